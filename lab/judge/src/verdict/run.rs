//! The verdict on a run: the worst of its cells, and what holds for it as a whole.

use super::{Status, Verdict, rules};
use crate::result::RunResult;
use crate::result::units::count;

/// Judges the run; its cells must have been judged.
pub(super) fn judge(result: &RunResult) -> Verdict {
    let mut reasons = Vec::new();
    if result.incomplete {
        reasons.extend(
            rules::INTERRUPTED.always(
                "the run was interrupted: cells are missing or have fewer rounds than planned"
                    .to_owned(),
            ),
        );
    }
    let lost: u64 = result.spans_lost.values().sum();
    reasons.extend(rules::SPANS_LOST.check(lost as f64, |_| {
        let by_reason: Vec<_> = result
            .spans_lost
            .iter()
            .filter(|(_, lost)| **lost > 0)
            .map(|(reason, lost)| format!("{reason}: {}", count(*lost)))
            .collect();
        format!(
            "{} spans were lost on their way (limit 0; {}); trace fewer requests",
            count(lost),
            by_reason.join(", ")
        )
    }));
    let missing: u64 = result.points_missing.values().sum();
    reasons.extend(rules::POINTS_MISSING.check(missing as f64, |_| {
        let what: Vec<_> = result
            .points_missing
            .iter()
            .map(|(what, points)| format!("{} {what}", count(*points)))
            .collect();
        format!(
            "{} points are not in InfluxDB ({}): dashboards show less than happened; the run file has \
             everything, and the sidecar's log says why",
            count(missing),
            what.join(", ")
        )
    }));
    if let Some(cost) = &result.probe_cost {
        reasons.extend(rules::PROBE_COST.check(cost.interval.0, |limit| {
            format!(
                "the probe costs at least {:.3}× CPU per request (goal {limit}×), measured on {}",
                cost.interval.0, cost.cell
            )
        }));
    }
    let mut verdict = Verdict::from_reasons(reasons);
    let worst = result.cells.iter().map(|cell| cell.verdict.status).max();
    verdict.status = verdict.status.max(worst.unwrap_or(Status::Valid));
    verdict
}
