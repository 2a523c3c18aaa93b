//! The arms of a plan: what each is, and the cells that each of them runs.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::file::PlanFile;
use super::{Overrides, PlanError};
use crate::Arm;

/// An arm as the command line spells it, in place of those of the plan.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ArmSettings {
    /// What it is called, and where its services come from.
    pub arm: Arm,
    /// Its settings, laid over those of every cell.
    pub knobs: toml::Table,
}

/// What the cells of a plan are run by: no arm at all, or two and more that take turns.
pub(super) type Arms = Vec<Option<(Arc<Arm>, toml::Table)>>;

/// The arms of the plan, or those of the command line.
pub(super) fn arms(file: &str, raw: &PlanFile, overrides: &Overrides) -> Result<Arms, PlanError> {
    let of_plan = raw.arm.iter().map(|written| ArmSettings {
        arm: Arm { name: written.name.clone(), program: written.program.clone() },
        knobs: written.knobs.0.clone(),
    });
    let all: Vec<ArmSettings> = match overrides.arms.as_slice() {
        [] => of_plan.collect(),
        own => own.to_vec(),
    };
    let refused = |reason: String| PlanError::Cells { file: file.to_owned(), reason };
    if let [only] = all.as_slice() {
        let name = &only.arm.name;
        return Err(refused(format!("the arm {name:?} is alone: two are compared, or none")));
    }
    let mut names: Vec<&str> = all.iter().map(|one| one.arm.name.as_str()).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(refused(format!("two arms are called {:?}", twice[0])));
    }
    if names.first() == Some(&"") {
        return Err(refused("an arm has no `name`".to_owned()));
    }
    if all.is_empty() {
        return Ok(vec![None]);
    }
    Ok(all.into_iter().map(|one| Some((Arc::new(one.arm), one.knobs))).collect())
}
