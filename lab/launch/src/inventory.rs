//! Which real parts a run uses, and what stands in for the others.

use std::path::PathBuf;

use settings::{DatabaseUrl, PeerUrl, variable};

use super::influxdb::{Generation, READER_TOKEN, of_program, of_server};
use super::tools::{NOTHING, NotAProgram, Tool};
use lab_model::Component;

/// A real part that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where it is.
    pub place: Place,
    /// What it says its version is; empty if it is away.
    pub version: String,
    /// Which InfluxDB it is, if it is one and not away.
    pub generation: Option<Generation>,
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

/// Why a part is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Absence {
    NotFound,
    LeftOut,
    /// It was found but cannot be used here, for this reason.
    NoUse(String),
    /// An environment variable names one that cannot be used: the variable, and why.
    Refused(String),
}

/// Which real parts were found, and why the others were not.
#[derive(Debug, Clone, Default)]
pub struct Inventory {
    parts: Vec<(Tool, Result<Found, Absence>)>,
    required: Vec<Tool>,
}

impl Inventory {
    /// Looks for every part, except those in `without`; those in `required` are insisted on.
    ///
    /// # Errors
    /// If a variable names a program that cannot be run.
    pub async fn take(without: &[Tool], required: &[Tool]) -> Result<Inventory, NotAProgram> {
        let mut parts = Vec::new();
        for tool in Tool::ALL {
            let found = if without.contains(&tool) {
                Err(Absence::LeftOut)
            } else {
                look_for(tool).await?
            };
            parts.push((tool, found));
        }
        let mut inventory = Inventory { parts, required: required.to_owned() };
        if inventory.of(Tool::Influxdb).is_none() {
            inventory.no_use(Tool::Grafana, "there is no InfluxDB for it to show");
        }
        let elsewhere = inventory.of(Tool::Influxdb).is_some_and(Found::is_elsewhere);
        if elsewhere && variable("LAB_INFLUXDB_TOKEN").is_some() && variable(READER_TOKEN).is_none()
        {
            let why = format!(
                "whoever opens it could write; name a token that only reads by {READER_TOKEN}"
            );
            inventory.no_use(Tool::Grafana, &why);
        }
        Ok(inventory)
    }

    /// Leaves `tool` out although it was found; reports of the run say why.
    pub fn no_use(&mut self, tool: Tool, why: &str) {
        for (known, found) in &mut self.parts {
            if *known == tool && found.is_ok() {
                *found = Err(Absence::NoUse(why.to_owned()));
            }
        }
    }

    /// An inventory in which nothing is there.
    #[must_use]
    pub fn empty() -> Inventory {
        let parts = Tool::ALL.map(|tool| (tool, Err(Absence::LeftOut))).into();
        Inventory { parts, required: Vec::new() }
    }

    /// The part, if it is used.
    #[must_use]
    pub fn of(&self, tool: Tool) -> Option<&Found> {
        self.parts.iter().find(|(known, _)| *known == tool)?.1.as_ref().ok()
    }

    /// Whether the user insists on `tool`: then the run does not go on without it.
    #[must_use]
    pub fn requires(&self, tool: Tool) -> bool {
        self.required.contains(&tool)
    }

    /// The first that an environment variable names and that cannot be used, and why: whoever names a part wants that one.
    #[must_use]
    pub fn refused(&self) -> Option<&str> {
        self.parts.iter().find_map(|(_, found)| match found {
            Err(Absence::Refused(why)) => Some(why.as_str()),
            _ => None,
        })
    }

    /// The first that is required and not there, and why.
    #[must_use]
    pub fn missing(&self) -> Option<String> {
        self.required.iter().find_map(|tool| self.without(*tool))
    }

    /// Why `tool` is not there, if it is not, to somebody who needs it.
    #[must_use]
    pub fn without(&self, tool: Tool) -> Option<String> {
        if self.of(tool).is_some() {
            return None;
        }
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
        self.parts.iter().find(|(known, _)| *known == tool)?.1.as_ref().err()
    }

    /// Whether `tool` was looked for in vain.
    #[must_use]
    pub fn is_not_found(&self, tool: Tool) -> bool {
        matches!(self.absence(tool), Some(Absence::NotFound))
    }

    /// Why `tool` is not used, where it is not.
    #[must_use]
    pub fn why_not(&self, tool: Tool) -> String {
        match self.absence(tool) {
            Some(Absence::LeftOut) => "left out by choice".to_owned(),
            Some(Absence::NoUse(why) | Absence::Refused(why)) => format!("not used: {why}"),
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

async fn look_for(tool: Tool) -> Result<Result<Found, Absence>, NotAProgram> {
    if let Some(variable) = tool.address_variable()
        && let Some(address) = settings::text(variable)
    {
        return Ok(elsewhere(tool, variable, address).await);
    }
    let Some(path) = tool.find()? else {
        return Ok(Err(Absence::NotFound));
    };
    let version = tool.version(&path).await.unwrap_or_default();
    let generation = match tool {
        Tool::Influxdb => match of_program(&path, &version).await {
            Ok(generation) => Some(generation),
            Err(unsupported) => {
                return Ok(Err(Absence::NoUse(format!("{unsupported} ({})", path.display()))));
            }
        },
        _ => None,
    };
    Ok(Ok(Found { place: Place::Program(path), version, generation }))
}

/// The part that `variable` says is at `address`.
async fn elsewhere(tool: Tool, variable: &'static str, address: String) -> Result<Found, Absence> {
    let refused = |why: &dyn std::fmt::Display| Absence::Refused(format!("{variable}: {why}"));
    let mut known = None;
    if tool == Tool::Influxdb {
        let url: PeerUrl = address.parse().map_err(|error| refused(&error))?;
        known = of_server(&url).await.map_err(|error| refused(&error))?;
    } else {
        address.parse::<DatabaseUrl>().map_err(|error| refused(&error))?;
    }
    let (version, generation) = known.unzip();
    let place = Place::Elsewhere { variable, address };
    Ok(Found { place, version: version.unwrap_or_default(), generation })
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

    /// An inventory of one part, which is required.
    fn of(tool: Tool, found: Result<Found, Absence>) -> Inventory {
        Inventory { parts: vec![(tool, found)], required: vec![tool] }
    }

    fn program(path: &str, version: &str) -> Found {
        let (place, version) = (Place::Program(path.into()), version.to_owned());
        Found { place, version, generation: None }
    }

    #[tokio::test]
    async fn an_address_that_cannot_be_used_is_refused_by_its_variable_and_without_its_password() {
        for (tool, variable, address, why) in [
            (Tool::Influxdb, "LAB_INFLUXDB_URL", "http://u:s3cret@h:1", "a user or a password"),
            (Tool::Influxdb, "LAB_INFLUXDB_URL", "http://h:99999", "is no port"),
            (Tool::Postgres, "LAB_DATABASE_URL", "http://u:s3cret@h", "begin with postgres://"),
            (Tool::Postgres, "LAB_DATABASE_URL", "postgres://u:s3cret@h:99999/d", "cannot be read"),
        ] {
            let found = elsewhere(tool, variable, address.to_owned()).await;
            let refused = of(tool, found).refused().unwrap().to_owned();
            assert!(refused.starts_with(variable) && refused.contains(why), "{refused}");
            assert!(!refused.contains("s3cret"), "{refused}");
        }
    }

    #[tokio::test]
    async fn a_stand_in_says_what_it_stands_in_for() {
        let nothing = Inventory::take(&Tool::ALL, &[]).await.unwrap();
        for tool in Tool::ALL {
            let component = nothing.component(tool);
            assert!(!component.real && component.note.contains(tool.name()), "{component:?}");
            let missing = nothing.without(tool).unwrap();
            assert!(missing.contains(tool.name()) && missing.contains("by choice"), "{missing}");
        }
        assert_eq!(nothing.missing(), None);
        let missing = of(Tool::K6, Err(Absence::NotFound)).missing().unwrap();
        assert!(missing.contains(Tool::K6.how_to_get()), "{missing}");
    }

    #[test]
    fn what_is_there_and_of_no_use_says_why() {
        let mut inventory = of(Tool::Grafana, Ok(program("/opt/grafana", "")));
        inventory.no_use(Tool::Grafana, "nothing to show");
        let component = inventory.component(Tool::Grafana);
        assert!(
            !component.real && component.note.ends_with("Grafana is not used: nothing to show")
        );
        let missing = inventory.missing().unwrap();
        assert!(missing.contains("nothing to show") && !missing.contains("to get it"), "{missing}");
        // What was not there is still not there.
        let mut absent = of(Tool::K6, Err(Absence::NotFound));
        absent.no_use(Tool::K6, "never mind");
        assert!(absent.component(Tool::K6).note.contains("not on PATH"));
    }

    #[test]
    fn a_real_part_says_where_it_is() {
        let inventory = of(Tool::K6, Ok(program("/opt/k6", "k6 v1.8.1")));
        let component = inventory.component(Tool::K6);
        assert!(component.real && component.note.ends_with("/opt/k6"), "{component:?}");
        assert_eq!(inventory.missing(), None);
    }
}
