//! Do the ledgers close? Traces, joins, residual, marks.

use super::{Circumstances, Reason, Status, rules};
use crate::result::units::{count, percent, time};
use crate::result::{CellResult, ratio};
use lab_model::{Arrivals, Capability};

/// Judges the ledgers of `cell`.
pub(super) fn judge(cell: &CellResult, run: &Circumstances, reasons: &mut Vec<Reason>) {
    traces(cell, reasons);
    if cell.traced.succeeded == 0 {
        return;
    }
    residual(cell, reasons);
    stopwatch(cell, run, reasons);
    containment(cell, reasons);
    marks(cell, run, reasons);
    if run.built_in && run.system.can(Capability::Taps) {
        // What no stage explains is neither, and another rule's.
        let told = ratio(cell.measured_share, cell.measured_share + cell.inferred_share);
        reasons.extend(rules::MEASURED_SHARE.check(told, |limit| {
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
    // Which of its requests a script has traced it does not say.
    if cell.factors.arrivals == Arrivals::Script {
        if traced.succeeded == 0 {
            reasons.extend(rules::TRACES_UNTOLD.untold(
                "no request of this operation is in the ledger, so nothing says where its time went: have the script import \
                 hoplab.js, and not ask by `batch`"
                    .to_owned(),
            ));
        }
        return;
    }
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
        let past = rule.check(share.abs(), |limit| {
            format!(
                "the stopwatch saw {} ({}) that no stage explains in the {band} band (limit {}); \
                 look for work outside the marks, or for spans of another clock",
                time(us),
                percent(share),
                percent(limit)
            )
        });
        let few = band == "p99" && cell.traced.p99_band_count < FEW;
        reasons.extend(past.map(|reason| at_worst(reason, Status::Valid, few)));
    }
    let share = residual.unexplained_share;
    let past = rules::UNEXPLAINED.check(share, |limit| {
        let why = if share > 0.5 {
            "work outside of the marks, or spans of another clock"
        } else {
            "a process that loses the CPU between stopwatch and mark makes some: look at how busy the machine was"
        };
        format!(
            "of {} of the traced requests more than 2 % of the time is in no stage (limit {}): {why}",
            percent(share),
            percent(limit)
        )
    });
    let few = cell.traced.succeeded < FEW;
    reasons.extend(past.map(|reason| at_worst(reason, Status::Suspect, few)));
}

/// Of fewer requests than this one alone decides: no cell is INVALID for them.
const FEW: u64 = 100;

/// `reason`, no worse than `status` if there are `few` requests that it rests on.
fn at_worst(reason: Reason, status: Status, few: bool) -> Reason {
    let status = if few { reason.status.min(status) } else { reason.status };
    Reason { status, ..reason }
}

/// Whether anything but the load generator's own word says that its latency is right. Of the built-in driver that is a
/// stopwatch that knows nothing of marks; of another generator, whose marks are made of its own times, containment.
fn stopwatch(cell: &CellResult, run: &Circumstances, reasons: &mut Vec<Reason>) {
    let (marks, all) = (cell.marks, cell.traced.succeeded);
    if !run.built_in {
        let checked = marks.contained + marks.not_contained;
        if ratio(checked as f64, all as f64) < CHECKED {
            reasons.extend(rules::LATENCY_UNTOLD.untold(format!(
                "the latency is what the load generator says; only of {} of {} requests did a service say on the same clock when \
                 it read and wrote, so nothing here can check it",
                count(checked),
                count(all)
            )));
        }
        return;
    }
    if marks.without_stopwatch == all {
        reasons.extend(rules::LATENCY_UNTOLD.untold(
            "no independent stopwatch timed any traced request: their stages are checked by nothing"
                .to_owned(),
        ));
        return;
    }
    let unwatched = ratio(marks.without_stopwatch as f64, all as f64);
    reasons.extend(rules::NO_STOPWATCH.check(unwatched, |_| {
        format!(
            "no independent stopwatch timed {} of the traced requests (limit 0 %): their stages are \
             checked by nothing",
            percent(unwatched)
        )
    }));
}

/// Of so many of the traced requests it has to be known whether their times contain the service's.
const CHECKED: f64 = 0.99;

/// The generator's times against what others saw: a service cannot read a request before it was sent.
fn containment(cell: &CellResult, reasons: &mut Vec<Reason>) {
    let (inside, outside) = (cell.marks.contained, cell.marks.not_contained);
    let all = inside + outside;
    let (generator, service) = edge(cell);
    if all > 0 {
        let past = rules::CONTAINMENT.check(ratio(inside as f64, all as f64), |limit| {
            format!(
                "in {} of {} requests the {service} read before {generator} says that it asked, or wrote after {generator} \
                 says that it had the answer (its times hold {}, limit {}): its times cannot be",
                count(outside),
                count(all),
                percent(ratio(inside as f64, all as f64)),
                percent(limit)
            )
        });
        reasons.extend(past.map(|reason| at_worst(reason, Status::Suspect, all < FEW)));
    }
    let Some(k6) = cell.k6 else { return };
    let told = k6.joined.saturating_sub(k6.connected);
    let past = rules::OWN_WORDS.check(ratio(k6.misplaced as f64, told as f64), |limit| {
        format!(
            "the times of {} of {} requests by k6 begin before its script made them, or end after the script had the answer \
             (limit {})",
            count(k6.misplaced),
            count(told),
            percent(limit)
        )
    });
    reasons.extend(past.map(|reason| at_worst(reason, Status::Suspect, told < FEW)));
}

/// Client and server of the edge.
pub(super) fn edge(cell: &CellResult) -> (&str, &str) {
    let hop = cell.stages.iter().find(|part| part.depth == 0).map_or("", |part| &*part.hop);
    hop.split_once('→').unwrap_or(("the load generator", "first service"))
}

fn marks(cell: &CellResult, run: &Circumstances, reasons: &mut Vec<Reason>) {
    if run.certified().is_none() {
        let why = match run.commit.strip_suffix("-dirty") {
            Some(commit) => format!("something was changed since commit {commit}"),
            None => "the commit that it was built from is not known".to_owned(),
        };
        reasons.extend(
            rules::NOT_CERTIFIED
                .untold(format!("no tests certify the marks of this build of the lab: {why}")),
        );
    }
    let (marks, all) = (cell.marks, cell.traced.succeeded as f64);
    // Which services a request reaches is known of the lab's own system, and where the plan itself says so.
    let shape = run.system.can(Capability::Shape) || cell.factors.own_workload.is_some();
    let lacking = if shape { marks.without_inner_hop } else { 0 };
    let unjoined = ratio((marks.unjoined + lacking) as f64, all);
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
