//! Which real parts a run uses, and what stands in for the others.

use std::path::PathBuf;

use super::tools::{NOTHING, NotAProgram, Tool};
use crate::model::Component;

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

/// Why a part is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Absence {
    NotFound,
    LeftOut,
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
        Ok(Inventory(all))
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
        Some(format!(
            "{} is required, but {} (to get it: {}); leave the requirement out to run with what \
             stands in for it: {stand_in}",
            tool.name(),
            self.why_not(tool),
            tool.how_to_get(),
        ))
    }

    fn why_not(&self, tool: Tool) -> String {
        let left_out = self.0.contains(&(tool, Err(Absence::LeftOut)));
        if left_out {
            "left out by choice".to_owned()
        } else {
            format!("not on PATH nor named by {}", tool.variable())
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
                    Place::Elsewhere { variable, .. } => {
                        format!("{}; the one that {variable} names", tool.use_of())
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

async fn look_for(tool: Tool) -> Result<Option<Found>, NotAProgram> {
    let address = tool.address_variable().and_then(|variable| {
        let address = std::env::var(variable).ok().filter(|value| !value.trim().is_empty())?;
        Some(Place::Elsewhere { variable, address })
    });
    if let Some(place) = address {
        return Ok(Some(Found { place, version: String::new() }));
    }
    let Some(path) = tool.find()? else {
        return Ok(None);
    };
    let version = tool.version(&path).await.unwrap_or_default();
    Ok(Some(Found { place: Place::Program(path), version }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stand_in_says_what_it_stands_in_for() {
        let nothing = Inventory::take(&Tool::ALL).await.unwrap();
        for tool in Tool::ALL {
            let component = nothing.component(tool);
            assert!(!component.real && component.note.contains(tool.name()), "{component:?}");
            let missing = nothing.missing(&[tool]).unwrap();
            assert!(missing.contains(tool.name()) && missing.contains(tool.how_to_get()));
        }
        assert_eq!(nothing.missing(&[]), None);
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
