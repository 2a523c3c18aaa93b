//! What repeats a run elsewhere: its plan as it was written, what was changed in it, and where and with what it was made.
//!
//! Arrivals, values and the choice of traced requests follow from what is in it: no dice are thrown that are not the same
//! in every run.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Failure;
use super::order::DriverChoice;
use crate::run::capture;
use lab_model::Environment;
use lab_model::plan::{self, Overrides, Plan};

/// Name of the bundle in a run's folder.
const BUNDLE: &str = "bundle.json";
/// The version of its shape.
const SCHEMA: u32 = 1;

/// A run, to be repeated.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Bundle {
    schema: u32,
    /// What the plan is called: a built-in one, or a file.
    plan: String,
    /// The plan as it was written.
    text: String,
    /// What the command line changed in it.
    overrides: Overrides,
    /// The load generator that was asked for.
    pub(super) driver: DriverChoice,
    /// k6's thresholds.
    pub(super) thresholds: Option<String>,
    /// Which CPUs were whose.
    pub(super) pins: Vec<String>,
    /// The system that was driven, where it ran already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) target: Option<String>,
    /// Where and with what it was made, the hashes of locks included.
    environment: Environment,
}

impl Bundle {
    /// The run of the plan called `plan`, changed by `overrides`.
    pub(super) fn new(plan: &str, overrides: Overrides) -> Result<Bundle, Failure> {
        Ok(Bundle {
            schema: SCHEMA,
            plan: plan.to_owned(),
            text: plan::text(plan)?.into_owned(),
            overrides,
            driver: DriverChoice::default(),
            thresholds: None,
            pins: Vec::new(),
            target: None,
            environment: capture(),
        })
    }

    /// That of the run in the folder `dir`, and what is otherwise here than it was there.
    pub(super) fn read(dir: &Path) -> Result<(Bundle, Vec<String>), Failure> {
        let path = dir.join(BUNDLE);
        let refused = |error: &dyn std::fmt::Display| {
            Failure::usage(format!(
                "--like {}: cannot read {}: {error}",
                dir.display(),
                path.display()
            ))
        };
        let text = std::fs::read_to_string(&path).map_err(|error| refused(&error))?;
        let bundle: Bundle = serde_json::from_str(&text).map_err(|error| refused(&error))?;
        if bundle.schema != SCHEMA {
            let schema =
                format!("it has schema {}, and this version reads {SCHEMA}", bundle.schema);
            return Err(refused(&schema));
        }
        let here = capture();
        let others = lab_report::places_differ(&bundle.environment, &here);
        Ok((Bundle { environment: here, ..bundle }, others))
    }

    /// The plan that it holds.
    pub(super) fn plan(&self) -> Result<Plan, Failure> {
        Ok(Plan::read(&self.plan, &self.text, &self.overrides)?)
    }

    /// Writes it into the folder of a run.
    pub(super) fn write(&self, out: &Path) -> Result<(), Failure> {
        let path = out.join(BUNDLE);
        let written = serde_json::to_string_pretty(self)
            .map_err(std::io::Error::from)
            .and_then(|text| std::fs::write(&path, text + "\n"));
        written.map_err(|error| {
            Failure::other(anyhow::Error::new(error).context(format!("writing {}", path.display())))
        })
    }
}
