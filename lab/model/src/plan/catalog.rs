//! The built-in plans, and where a plan is looked for.

use std::borrow::Cow;
use std::path::Path;

use super::{Overrides, Plan, PlanError};

/// Name and text of every built-in plan; the first is the default.
pub const BUILT_IN: [(&str, &str); 8] = [
    ("rest-vs-grpc", include_str!("../../plans/rest-vs-grpc.toml")),
    ("blog", include_str!("../../plans/blog.toml")),
    ("blog-as-published", include_str!("../../plans/blog-as-published.toml")),
    ("one-connection", include_str!("../../plans/one-connection.toml")),
    ("over-a-distance", include_str!("../../plans/over-a-distance.toml")),
    ("users", include_str!("../../plans/users.toml")),
    ("gate", include_str!("../../plans/gate.toml")),
    ("smoke", include_str!("../../plans/smoke.toml")),
];

/// The plan called `name`: a built-in one, or else a file.
///
/// # Errors
/// If there is neither, or it is not a plan.
pub fn load(name: &str, overrides: &Overrides) -> Result<Plan, PlanError> {
    Plan::read(name, &text(name)?, overrides)
}

/// How the plan called `name` is written.
///
/// # Errors
/// If there is no such plan.
pub fn text(name: &str) -> Result<Cow<'static, str>, PlanError> {
    if let Some((_, text)) = BUILT_IN.iter().find(|(built_in, _)| *built_in == name) {
        return Ok(Cow::Borrowed(text));
    }
    if !Path::new(name).exists() {
        let known: Vec<_> = BUILT_IN.iter().map(|(name, _)| *name).collect();
        return Err(PlanError::Unknown { name: name.to_owned(), known: known.join(", ") });
    }
    std::fs::read_to_string(name)
        .map(Cow::Owned)
        .map_err(|error| PlanError::Unreadable { file: name.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::together;
    use crate::{PayloadSource, Protocol};

    fn plan(name: &str) -> Plan {
        load(name, &Overrides::default()).unwrap()
    }

    #[test]
    fn every_built_in_plan_is_one_and_bears_its_name() {
        for (name, _) in BUILT_IN {
            assert_eq!(plan(name).name, name);
        }
    }

    #[test]
    fn the_default_plan_takes_less_than_three_minutes_and_certifies_the_probe() {
        let plan = plan(BUILT_IN[0].0);
        assert_eq!(plan.cells.len(), 12);
        assert!(plan.rounds >= 6, "a claim takes six rounds");
        let pairs = together(&plan.cells);
        assert_eq!(pairs.iter().map(Vec::len).collect::<Vec<_>>(), [2; 6], "protocols take turns");
        assert!(plan.certify.is_some());
        let seconds = plan.expected_ns() / 1_000_000_000;
        assert!((100..=165).contains(&seconds), "{seconds} s");
    }

    #[test]
    fn who_takes_no_turns_makes_fewer_rounds_that_are_longer() {
        let turning = plan(BUILT_IN[0].0);
        let whole = turning.clone().without_turns(1_000_000_000);
        assert!(whole.rounds >= 6 && whole.cells.iter().all(|cell| cell.turn_ns.is_none()));
        let round = |plan: &Plan| plan.cells[0].warmup_ns + plan.cells[0].duration_ns;
        assert!(round(&whole) >= 1_000_000_000);
        let all = |plan: &Plan| u64::from(plan.rounds) * plan.cells[0].duration_ns;
        assert_eq!(all(&whole), all(&turning), "as much is measured");
        let other = plan("smoke");
        assert_eq!(other.clone().without_turns(60_000_000_000), other);
    }

    #[test]
    fn the_blog_as_published_has_the_wrong_size_and_the_slow_payload() {
        let plan = plan("blog-as-published");
        assert!(
            plan.cells.iter().all(|cell| cell.knobs.payload_source == PayloadSource::PerRequest)
        );
        assert!(plan.cells.iter().all(|cell| cell.knobs.worker_threads == Some(1)));
        let wrong: Vec<_> =
            plan.cells.iter().filter(|cell| cell.knobs.rest_size_bug == Some(100_000)).collect();
        assert_eq!(
            wrong.iter().map(|cell| cell.payload_bytes).collect::<Vec<_>>(),
            [10, 10_000, 1_000_000]
        );
        assert!(wrong.iter().all(|cell| cell.protocol == Protocol::Rest));
    }

    #[test]
    fn an_unknown_plan_is_answered_with_the_known_ones() {
        let error = load("no-such-plan", &Overrides::default()).unwrap_err().to_string();
        assert!(error.contains("no-such-plan") && error.contains("rest-vs-grpc"), "{error}");
    }
}
