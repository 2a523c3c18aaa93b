//! Which real parts a run uses, and what stands in for the others.

use std::path::PathBuf;
use std::time::Duration;

use super::tools::{NOTHING, NotAProgram, Tool};
use super::variable;
use lab_model::Component;

/// How long a server elsewhere may take to tell its version.
const PATIENCE: Duration = Duration::from_secs(2);

/// A real part that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where it is.
    pub place: Place,
    /// What it says its version is.
    pub version: String,
}

/// Where a real part is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A program to start.
    Program(PathBuf),
    /// One that somebody else runs, at the address that a variable names.
    Elsewhere {
        /// The variable.
        variable: &'static str,
        /// Its value; it may hold a password.
        address: String,
    },
}

impl Found {
    /// Whether somebody else runs it.
    #[must_use]
    pub fn is_elsewhere(&self) -> bool {
        matches!(self.place, Place::Elsewhere { .. })
    }
}

/// Names a token of somebody else's InfluxDB that may only read.
pub(super) const READER: &str = "LAB_INFLUXDB_READER_TOKEN";

/// Why a part is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Absence {
    NotFound,
    LeftOut,
    /// It is there, but of no use here: why.
    NoUse(String),
}

/// What there is of every real part.
#[derive(Debug, Clone)]
pub struct Inventory(Vec<(Tool, Result<Found, Absence>)>);

impl Inventory {
    /// Looks for every part, except those in `without`.
    ///
    /// # Errors
    /// If a variable names a program that cannot be run.
    pub async fn take(without: &[Tool]) -> Result<Inventory, NotAProgram> {
        let mut all = Vec::new();
        for tool in Tool::ALL {
            let found = if without.contains(&tool) {
                Err(Absence::LeftOut)
            } else {
                look_for(tool).await?.ok_or(Absence::NotFound)
            };
            all.push((tool, found));
        }
        let mut inventory = Inventory(all);
        if inventory.of(Tool::Influxdb).is_none() {
            inventory.no_use(Tool::Grafana, "there is no InfluxDB for it to show");
        }
        let elsewhere = inventory.of(Tool::Influxdb).is_some_and(Found::is_elsewhere);
        if elsewhere && variable("LAB_INFLUXDB_TOKEN").is_some() && variable(READER).is_none() {
            let why =
                format!("whoever opens it could write; name a token that only reads by {READER}");
            inventory.no_use(Tool::Grafana, &why);
        }
        Ok(inventory)
    }

    /// Does without `tool`, where it is there, for a reason that those who read of the run are told.
    pub fn no_use(&mut self, tool: Tool, why: &str) {
        for (known, found) in &mut self.0 {
            if *known == tool && found.is_ok() {
                *found = Err(Absence::NoUse(why.to_owned()));
            }
        }
    }

    /// An inventory in which nothing is there.
    #[must_use]
    pub fn empty() -> Inventory {
        Inventory(Tool::ALL.map(|tool| (tool, Err(Absence::LeftOut))).into())
    }

    /// The part, if it is used.
    #[must_use]
    pub fn of(&self, tool: Tool) -> Option<&Found> {
        self.0.iter().find(|(known, _)| *known == tool).and_then(|(_, found)| found.as_ref().ok())
    }

    /// The first of `required` that is not there, and why.
    #[must_use]
    pub fn missing(&self, required: &[Tool]) -> Option<String> {
        let tool = *required.iter().find(|tool| self.of(**tool).is_none())?;
        let (stand_in, _) = tool.stand_in();
        let how = match self.absence(tool) {
            Some(Absence::NotFound) => format!(" (to get it: {})", tool.how_to_get()),
            _ => String::new(),
        };
        Some(format!(
            "{} is required, but {}{how}; leave the requirement out to run with what stands in for it: {stand_in}",
            tool.name(),
            self.why_not(tool),
        ))
    }

    fn absence(&self, tool: Tool) -> Option<&Absence> {
        self.0.iter().find(|(known, _)| *known == tool).and_then(|(_, found)| found.as_ref().err())
    }

    fn why_not(&self, tool: Tool) -> String {
        match self.absence(tool) {
            Some(Absence::LeftOut) => "left out by choice".to_owned(),
            Some(Absence::NoUse(why)) => format!("not used: {why}"),
            _ => format!("not on PATH nor named by {}", tool.variable()),
        }
    }

    /// The part, or what stands in for it, as a part of a run.
    #[must_use]
    pub fn component(&self, tool: Tool) -> Component {
        let role = tool.role().to_owned();
        match self.of(tool) {
            Some(found) => Component {
                role,
                name: tool.name().to_owned(),
                version: found.version.clone(),
                address: None,
                real: true,
                note: match &found.place {
                    Place::Program(path) => format!("{}; {}", tool.use_of(), path.display()),
                    Place::Elsewhere { variable, address } => {
                        format!(
                            "{}; the one that {variable} names, {}",
                            tool.use_of(),
                            host(address)
                        )
                    }
                },
            },
            None => self.stand_in(tool, role),
        }
    }

    fn stand_in(&self, tool: Tool, role: String) -> Component {
        let (name, what) = tool.stand_in();
        Component {
            role,
            name: name.to_owned(),
            version: if name == NOTHING { "" } else { env!("CARGO_PKG_VERSION") }.to_owned(),
            address: None,
            real: false,
            note: format!("{what}; {} is {}", tool.name(), self.why_not(tool)),
        }
    }
}

/// Host and port of a URL, without what else may stand in it, such as a password.
fn host(url: &str) -> String {
    let Ok(url) = reqwest::Url::parse(url) else { return "which is no URL".to_owned() };
    match (url.host_str().filter(|host| !host.is_empty()), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_owned(),
        (None, _) => "on this machine".to_owned(),
    }
}

async fn look_for(tool: Tool) -> Result<Option<Found>, NotAProgram> {
    let address = tool.address_variable().and_then(|variable| {
        let address = std::env::var(variable).ok().filter(|value| !value.trim().is_empty())?;
        Some(Place::Elsewhere { variable, address })
    });
    if let Some(place) = address {
        let version = match (&place, tool) {
            (Place::Elsewhere { address, .. }, Tool::Influxdb) => influxdb_version(address).await,
            _ => None,
        };
        return Ok(Some(Found { place, version: version.unwrap_or_default() }));
    }
    let Some(path) = tool.find()? else {
        return Ok(None);
    };
    let version = tool.version(&path).await.unwrap_or_default();
    Ok(Some(Found { place: Place::Program(path), version }))
}

/// What the server at `url` says its version is; it may be away.
async fn influxdb_version(url: &str) -> Option<String> {
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().ok()?;
    let reply = client.get(format!("{}/ping", url.trim_end_matches('/'))).send().await.ok()?;
    Some(reply.headers().get("X-Influxdb-Version")?.to_str().ok()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_address_elsewhere_only_host_and_port_are_told() {
        for (url, told) in [
            ("http://db.example:8086", "db.example:8086"),
            ("postgres://lab:p%40ss@[::1]:5432/lab?sslmode=disable", "[::1]:5432"),
            ("postgres://lab:p/s?s@host/lab", "which is no URL"),
            ("postgres://u:s3cret@h", "h"),
            ("postgres:///lab", "on this machine"),
        ] {
            assert_eq!(host(url), told);
        }
    }

    #[tokio::test]
    async fn a_stand_in_says_what_it_stands_in_for() {
        let nothing = Inventory::take(&Tool::ALL).await.unwrap();
        for tool in Tool::ALL {
            let component = nothing.component(tool);
            assert!(!component.real && component.note.contains(tool.name()), "{component:?}");
            let missing = nothing.missing(&[tool]).unwrap();
            assert!(missing.contains(tool.name()) && missing.contains("by choice"), "{missing}");
        }
        assert_eq!(nothing.missing(&[]), None);
        let absent = Inventory(vec![(Tool::K6, Err(Absence::NotFound))]);
        let missing = absent.missing(&[Tool::K6]).unwrap();
        assert!(missing.contains(Tool::K6.how_to_get()), "{missing}");
    }

    #[test]
    fn what_is_there_and_of_no_use_says_why() {
        let found = Found { place: Place::Program("/opt/grafana".into()), version: String::new() };
        let mut inventory = Inventory(vec![(Tool::Grafana, Ok(found))]);
        inventory.no_use(Tool::Grafana, "nothing to show");
        let component = inventory.component(Tool::Grafana);
        assert!(
            !component.real && component.note.ends_with("Grafana is not used: nothing to show")
        );
        let missing = inventory.missing(&[Tool::Grafana]).unwrap();
        assert!(missing.contains("nothing to show") && !missing.contains("to get it"), "{missing}");
        // What was not there is still not there.
        let mut absent = Inventory(vec![(Tool::K6, Err(Absence::NotFound))]);
        absent.no_use(Tool::K6, "never mind");
        assert!(absent.component(Tool::K6).note.contains("not on PATH"));
    }

    #[test]
    fn a_real_part_says_where_it_is() {
        let found =
            Found { place: Place::Program("/opt/k6".into()), version: "k6 v1.8.1".to_owned() };
        let inventory = Inventory(vec![(Tool::K6, Ok(found))]);
        let component = inventory.component(Tool::K6);
        assert!(component.real && component.note.ends_with("/opt/k6"), "{component:?}");
        assert_eq!(inventory.missing(&[Tool::K6]), None);
    }
}
