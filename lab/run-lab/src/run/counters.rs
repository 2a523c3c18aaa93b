//! What the sidecar's counters say that a run does not have.

use std::collections::BTreeMap;

/// The counter of rows that it could not write.
pub(super) const ROWS_FAILED: &str = "rows_failed";

/// Traces that it has not closed, at the moment.
pub(super) const TRACES_OPEN: &str = "traces_open";

/// The counter of runs that were opened.
pub(super) const RUNS_OPENED: &str = "runs_opened";

/// What was counted since the counters stood as `before`. What waits is not counted up, and stays as it is.
pub(super) fn since(
    now: BTreeMap<String, u64>,
    before: &BTreeMap<String, u64>,
) -> BTreeMap<String, u64> {
    let waits = |name: &str| name.ends_with("points_spooled") || name.ends_with("points_waiting");
    now.into_iter()
        .map(|(name, count)| {
            let earlier = before.get(&name).filter(|_| !waits(&name)).copied().unwrap_or_default();
            (name, count.saturating_sub(earlier))
        })
        .collect()
}

/// Of the sidecar's counters, those that count points which InfluxDB does not have.
pub(super) fn missing_points(counters: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let what = |name: &str| match name.strip_prefix("influxdb.points_")? {
        waiting @ ("spooled" | "waiting") => Some(waiting.to_owned()),
        name => Some(format!("dropped: {}", name.strip_prefix("dropped.")?)),
    };
    let missing = counters.iter().filter(|(_, count)| **count > 0);
    missing.filter_map(|(name, count)| Some((what(name)?, *count))).collect()
}

/// Of the sidecar's counters, those that count spans which are in no row, by reason.
pub(super) fn lost_spans(counters: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let reason = |name: &str| -> Option<String> {
        if let Some(service) = name.strip_prefix("spans_lost.") {
            return Some(format!("lost.{service}"));
        }
        // Those that a process has made and that have not come: of one that was killed they are lost.
        if let Some(service) = name.strip_prefix("spans_lost_up_to.") {
            return Some(format!("lost_up_to.{service}"));
        }
        if let Some(why) = name.strip_prefix("spans_rejected.") {
            return Some(format!("rejected.{why}"));
        }
        let direct = ["malformed_messages", "late", "over_limit", "dropped_spans", ROWS_FAILED];
        direct.contains(&name).then(|| name.to_owned())
    };
    let lost = counters.iter().filter(|(_, count)| **count > 0);
    lost.filter_map(|(name, count)| Some((reason(name)?, *count))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named<const N: usize>(counters: [(&str, u64); N]) -> BTreeMap<String, u64> {
        counters.map(|(name, count)| (name.to_owned(), count)).into()
    }

    #[test]
    fn what_another_run_lost_before_is_not_this_ones() {
        let before = named([("late", 4), ("influxdb.points_spooled", 2)]);
        let now = named([("late", 5), ("over_limit", 1), ("influxdb.points_spooled", 3)]);
        let expected = named([("late", 1), ("over_limit", 1), ("influxdb.points_spooled", 3)]);
        assert_eq!(since(now, &before), expected);
    }

    #[test]
    fn points_that_influxdb_has_are_not_missing() {
        let counters = [
            ("influxdb.points_taken", 9),
            ("influxdb.points_written", 4),
            ("influxdb.points_spooled", 3),
            ("influxdb.points_waiting", 0),
            ("influxdb.points_dropped.refused", 2),
        ];
        let missing: Vec<_> = missing_points(&named(counters)).into_iter().collect();
        assert_eq!(missing, [("dropped: refused".to_owned(), 2), ("spooled".to_owned(), 3)]);
    }

    #[test]
    fn only_spans_that_are_gone_count_as_lost() {
        let counters = [
            ("spans_received", 9),
            ("spans_lost.gateway", 2),
            ("spans_lost_up_to.echo", 4),
            ("spans_rejected.no_id", 1),
            ("late", 0),
            ("over_limit", 3),
        ];
        let lost: Vec<_> = lost_spans(&named(counters)).into_iter().collect();
        let expected =
            [("lost.gateway", 2), ("lost_up_to.echo", 4), ("over_limit", 3), ("rejected.no_id", 1)];
        assert_eq!(lost, expected.map(|(name, count)| (name.to_owned(), count)));
    }
}
