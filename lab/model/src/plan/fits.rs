//! Whether a plan can be carried out with a system: what asks more of it than it can do is refused before anything runs.

use super::{Plan, PlanError, written_knobs};
use crate::services::DRIVER;
use crate::{Capability, Cell, System};

impl Plan {
    /// Holds every cell to what `system` can do.
    ///
    /// # Errors
    /// If a cell calls a service that the lab is to start and does not know, or has settings or an arm where services
    /// are not the lab's to start.
    pub fn fits(&self, system: &System) -> Result<(), PlanError> {
        if system.can(Capability::Shape) {
            let called = self.cells.iter().try_for_each(|cell| cell.workload.starts());
            called.map_err(|error| PlanError::Workload { file: self.name.clone(), error })?;
        }
        let System::Attached { target, .. } = system else { return Ok(()) };
        let refused = |cell: &Cell, what: String| PlanError::Cells {
            file: self.name.clone(),
            reason: format!(
                "cell {}: {what}: the services of {target} are not the lab's to start",
                cell.id
            ),
        };
        for cell in &self.cells {
            if let Some(arm) = &cell.arm {
                return Err(refused(cell, format!("the arm {:?}", arm.name)));
            }
            if let Some(setting) = of_services(cell) {
                return Err(refused(cell, setting));
            }
        }
        Ok(())
    }
}

/// A setting of `cell` that services would have to take. How many rows a table has is the user's to say; a delay of the
/// load generator is its own.
fn of_services(cell: &Cell) -> Option<String> {
    let driver = |place: &String| place.split(':').next() == Some(DRIVER);
    if let Some(place) = cell.knobs.inject.keys().find(|place| !driver(place)) {
        return Some(format!("a delay to inject into {place}"));
    }
    let knobs = crate::Knobs { inject: Default::default(), users: None, ..cell.knobs.clone() };
    let name = written_knobs(&knobs).into_iter().map(|(name, _)| name).next()?;
    Some(format!("the setting {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Overrides;

    const PLAN: &str = "protocol = [\"rest\"]\npayload = [10]\nrate = 100\nduration = \"1s\"\n";

    fn fits(more: &str, system: &System) -> Result<(), String> {
        let plan = Plan::read("p.toml", &format!("{PLAN}{more}"), &Overrides::default()).unwrap();
        plan.fits(system).map_err(|error| error.to_string())
    }

    #[test]
    fn what_cannot_be_done_with_a_system_that_is_not_ours_is_refused_by_cell_and_setting() {
        let attached =
            System::Attached { target: "http://shop:80".into(), sidecar: "http://s:1".into() };
        for (more, named) in [
            (
                "[knobs]\nnagle = true",
                "cell rest-10B: the setting nagle: the services of http://shop:80",
            ),
            (
                "[knobs.inject]\n\"gateway:handler\" = \"1ms\"",
                "a delay to inject into gateway:handler",
            ),
            (
                "[[arm]]\nname = \"a\"\n[[arm]]\nname = \"b\"\n[arm.knobs]\nnagle = true",
                "the arm \"a\"",
            ),
        ] {
            let error = fits(more, &attached).unwrap_err();
            assert!(error.contains(named), "{error}");
            assert_eq!(fits(more, &System::Owned), Ok(()), "{more}");
        }
        for more in ["", "[knobs.inject]\n\"driver:request_encode\" = \"1ms\""] {
            assert_eq!(fits(more, &attached), Ok(()));
        }
    }

    #[test]
    fn a_service_that_the_lab_does_not_start_is_asked_of_an_attached_system_alone() {
        let own = "workload = \"w\"\n[workloads.w]\ncalls = [\"inventory\"]\n[[workloads.w.request]]\nmethod = \"GET\"\npath = \"/\"\n";
        let plan = "protocol = [\"rest\"]\nrate = 100\nduration = \"1s\"\n".to_owned() + own;
        let plan = Plan::read("p.toml", &plan, &Overrides::default()).unwrap();
        let attached =
            System::Attached { target: "http://shop:80".into(), sidecar: "http://s:1".into() };
        plan.fits(&attached).unwrap();
        let error = plan.fits(&System::Owned).unwrap_err().to_string();
        assert!(
            error.contains("\"inventory\"; there are echo, pg-client")
                && error.contains("--target"),
            "{error}"
        );
    }
}
