//! Do the ledgers close? Traces, joins, residual, marks.

use super::Reason;
use super::rules;
use crate::result::units::{count, percent, time};
use crate::result::{CellResult, ratio};

/// Judges the ledgers of `cell`. `built_in`: the load generator's own connections were tapped.
pub(super) fn judge(cell: &CellResult, built_in: bool, reasons: &mut Vec<Reason>) {
    traces(cell, reasons);
    if cell.traced.succeeded == 0 {
        return;
    }
    residual(cell, reasons);
    marks(cell, reasons);
    if built_in {
        reasons.extend(rules::MEASURED_SHARE.check(cell.measured_share, |limit| {
            format!(
                "{} of the mean is measured (limit {}), {} is inferred from durations; look for a \
                 process without taps",
                percent(cell.measured_share),
                percent(limit),
                percent(cell.inferred_share)
            )
        }));
    }
}

fn traces(cell: &CellResult, reasons: &mut Vec<Reason>) {
    let traced = cell.traced;
    reasons.extend(rules::NO_TRACES.check(traced.succeeded as f64, |_| {
        "no successful request has a ledger (at least 1 is needed): nothing proves what was sent. \
         Look at the sidecar's log"
            .to_owned()
    }));
    let lost = traced.expected.saturating_sub(traced.count);
    let share = ratio(lost as f64, traced.expected as f64);
    reasons.extend(rules::TRACES_LOST.check(share, |limit| {
        format!(
            "{} of {} traced requests are not in the run file ({}, limit {}), and the slow ones may \
             be among them; trace fewer requests",
            count(lost),
            count(traced.expected),
            percent(share),
            percent(limit)
        )
    }));
    let extra = traced.count.saturating_sub(traced.expected);
    reasons.extend(rules::TRACES_UNEXPECTED.check(extra as f64, |_| {
        format!(
            "the run file holds {} traced requests, the load generator sent {} (limit: no more)",
            count(traced.count),
            count(traced.expected)
        )
    }));
}

fn residual(cell: &CellResult, reasons: &mut Vec<Reason>) {
    let residual = cell.residual;
    let bands = [
        (rules::RESIDUAL_P50, residual.p50_share, residual.p50_us, "p50"),
        (rules::RESIDUAL_P99, residual.p99_share, residual.p99_band_us, "p99"),
    ];
    for (rule, share, us, band) in bands {
        reasons.extend(rule.check(share.abs(), |limit| {
            format!(
                "the stopwatch saw {} ({}) that no stage explains in the {band} band (limit {}); \
                 look for work outside the marks, or for spans of another clock",
                time(us),
                percent(share),
                percent(limit)
            )
        }));
    }
    let unwatched = ratio(cell.marks.without_stopwatch as f64, cell.traced.succeeded as f64);
    reasons.extend(rules::NO_STOPWATCH.check(unwatched, |_| {
        format!(
            "no independent stopwatch timed {} of the traced requests (limit 0 %): their stages are \
             checked by nothing",
            percent(unwatched)
        )
    }));
}

fn marks(cell: &CellResult, reasons: &mut Vec<Reason>) {
    let (marks, all) = (cell.marks, cell.traced.succeeded as f64);
    let unjoined = ratio((marks.unjoined + marks.without_inner_hop) as f64, all);
    reasons.extend(rules::UNJOINED_HOPS.check(unjoined, |limit| {
        format!(
            "{} of the traced requests lack a hop or a side of one (limit {}); that time is booked \
             under remote or network. Trace fewer requests, or look for a process that lost spans",
            percent(unjoined),
            percent(limit)
        )
    }));
    let disorder = marks.out_of_order_share;
    reasons.extend(rules::OUT_OF_ORDER.check(disorder, |limit| {
        format!(
            "{} stages came out negative, in {} of the traced requests (limit {}); the stages next \
             to them are too long by as much",
            count(marks.out_of_order),
            percent(disorder),
            percent(limit)
        )
    }));
    let early = ratio(marks.early as f64, all);
    reasons.extend(rules::EARLY_REPLIES.check(early, |_| {
        format!(
            "{} of the replies began before their request was written out; sending and receiving \
             overlapped",
            percent(early)
        )
    }));
}
