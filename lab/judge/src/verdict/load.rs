//! Was the load the planned one, and was there room to measure it? The load generator's side.

use super::diagnosis;
use super::rules;
use super::steady::steady;
use super::{Circumstances, Reason, Status};
use crate::result::units::{count, percent, rate, time, trimmed};
use crate::result::{CellResult, ratio};
use lab_model::{Arrivals, Capability};

/// Judges accounting, rate, errors and saturation of `cell`.
pub(super) fn judge(cell: &CellResult, run: &Circumstances, reasons: &mut Vec<Reason>) {
    // It explains what follows. Those of the lab's own system are started and stopped with its rounds, and the death of one
    // is known by its parent.
    if !run.system.can(Capability::Restart) {
        ended(cell, reasons);
    }
    accounting(cell, reasons);
    if !run.incomplete {
        plan(cell, reasons);
    }
    outcome(cell, reasons);
    overload(cell, reasons);
    dropped(cell, reasons);
    steady(cell, reasons);
    generator(cell, run, reasons);
    by_k6(cell, reasons);
    machine(cell, reasons);
    fold(cell, reasons);
}

/// A busy machine loses spans and holds processes up in the middle of their work. What follows from that alone makes no
/// number INVALID.
pub(super) fn busy(reasons: &mut [Reason]) {
    let says = |reason: &Reason| {
        let codes = [rules::HOST_SATURATED.code, rules::WAITING_FOR_CPU.code];
        codes.contains(&reason.code.as_str()) && reason.status >= Status::Suspect
    };
    if !reasons.iter().any(says) {
        return;
    }
    let follows = [rules::TRACES_LOST.code, rules::UNJOINED_HOPS.code, rules::UNEXPLAINED.code];
    let follows = |reason: &&mut Reason| follows.contains(&reason.code.as_str());
    for reason in reasons.iter_mut().filter(follows) {
        if reason.status == Status::Invalid {
            reason.status = Status::Suspect;
            reason.text.push_str(". The machine was busy, which makes this too");
        }
    }
}

/// On a machine that was asked for more than it can serve everybody waits, the load generator too: once
/// the drops have said so, that is a note and not another reason for doubt. So is latency that grows where others had
/// the machine.
fn fold(cell: &CellResult, reasons: &mut [Reason]) {
    let overloaded = reasons.iter().any(|reason| reason.code == rules::RATE_NOT_KEPT.code);
    let waits = [rules::GENERATOR_LATE.code, rules::WAITING_FOR_CPU.code];
    let waits = waits.into_iter().filter(|_| overloaded && cell.requests.dropped > 0);
    let grows = diagnosis::others(cell).map(|_| rules::FALLING_BEHIND.code);
    let follows: Vec<&str> = waits.chain(grows).collect();
    for reason in reasons.iter_mut().filter(|reason| follows.contains(&reason.code.as_str())) {
        reason.status = Status::Valid;
    }
}

fn accounting(cell: &CellResult, reasons: &mut Vec<Reason>) {
    let all = cell.requests;
    let accounted = (all.started + all.dropped, all.ok + all.error + all.unfinished);
    let astray = all.planned.abs_diff(accounted.0)
        + all.started.abs_diff(accounted.1)
        + all.ok.abs_diff(cell.latency_us.count)
        + all.late.unwrap_or(0).saturating_sub(all.started);
    reasons.extend(rules::CONSERVATION.check(astray as f64, |_| {
        format!(
            "the accounting cannot place {} requests (limit 0): {} planned, {} started and {} \
             dropped; {} ok, {} errors and {} unfinished; {} latencies. Report this as a bug",
            count(astray),
            count(all.planned),
            count(all.started),
            count(all.dropped),
            count(all.ok),
            count(all.error),
            count(all.unfinished),
            count(cell.latency_us.count)
        )
    }));
}

fn plan(cell: &CellResult, reasons: &mut Vec<Reason>) {
    let factors = &cell.factors;
    let asked = factors.rate_per_s * factors.duration_s * factors.rounds as f64;
    let chance = match factors.arrivals {
        Arrivals::Closed(users) => return reasons.extend(closed_loop(users)),
        Arrivals::Script => {
            return reasons.extend(rules::ARRIVALS_UNTOLD.untold(
                "when requests were to begin is not the lab's to say and cannot be checked: where users wait for an \
                 answer before they ask again (a closed loop), a slow system is asked less, and what would have waited is in \
                 no number (coordinated omission)"
                    .to_owned(),
            ));
        }
        Arrivals::Constant => factors.rounds as f64,
        // Five standard deviations of a number of arrivals that are independent of each other.
        Arrivals::Poisson => 5.0 * asked.sqrt(),
    };
    let off = (cell.requests.planned as f64 - asked).abs() - chance;
    reasons.extend(rules::PLAN_NOT_CARRIED_OUT.check(ratio(off, asked), |limit| {
        format!(
            "the cell asks for {} arrivals, the load generator planned {} (limit: {} off)",
            count(asked.round() as u64),
            count(cell.requests.planned),
            percent(limit)
        )
    }));
}

/// What a closed loop does not show.
fn closed_loop(users: usize) -> Option<Reason> {
    rules::CLOSED_LOOP.check(users as f64, |_| {
        format!(
            "{} users each waited for their answer before they asked again: a slow system was asked less, and who would have \
             come meanwhile is in no number. The tail is that of so many users, not that of a rate",
            count(users as u64)
        )
    })
}

fn outcome(cell: &CellResult, reasons: &mut Vec<Reason>) {
    let all = cell.requests;
    let errors = ratio(all.error as f64, all.started as f64);
    reasons.extend(rules::ERRORS.check(errors, |limit| {
        let most = cell.errors.iter().max_by_key(|(_, count)| **count);
        let said = most.map(|(text, _)| format!(", mostly: {text}")).unwrap_or_default();
        format!(
            "{} of {} requests failed ({}, limit {}){said}; latency is that of the others",
            count(all.error),
            count(all.started),
            percent(errors),
            percent(limit)
        )
    }));
    reasons.extend(rules::NOTHING_COMPLETED.check(all.ok as f64, |_| {
        "no request succeeded (at least 1 is needed); look at the errors and the services' logs"
            .to_owned()
    }));
    if all.ok > 0 {
        reasons.extend(rules::FEW_SAMPLES.check(all.ok as f64, |limit| {
            format!(
                "{} requests succeeded; with fewer than {} the p99 is the slowest of them: measure \
                 longer",
                count(all.ok),
                count(limit as u64)
            )
        }));
    }
    reasons.extend(rules::INTERRUPTED.check(all.unfinished as f64, |_| {
        format!("{} requests were in flight when the run was interrupted", count(all.unfinished))
    }));
}

/// An overloaded service is a legitimate finding, but its latency is a queue's, not the service's.
fn overload(cell: &CellResult, reasons: &mut Vec<Reason>) {
    let all = cell.requests;
    // What was still in flight when the run was interrupted is neither kept nor not.
    let planned = all.planned.saturating_sub(all.unfinished);
    let kept = ratio(all.ok as f64, planned as f64);
    let why = if all.dropped >= all.error {
        format!(
            "{} ({}) were dropped since {}{}",
            count(all.dropped),
            percent(cell.load.dropped_share),
            taken(cell),
            dropped_why(cell)
        )
    } else {
        format!("{} failed: see the errors", count(all.error))
    };
    if all.ok > 0 {
        reasons.extend(rules::RATE_NOT_KEPT.check(kept, |limit| {
            format!(
                "{} of {} planned requests succeeded ({}, limit {}); {why}",
                count(all.ok),
                count(planned),
                percent(kept),
                percent(limit)
            )
        }));
    }
    let growth = cell.load.latency_growth;
    let others = diagnosis::others(cell);
    reasons.extend(rules::FALLING_BEHIND.check(growth, |limit| {
        let why = match others {
            Some(_) => "others had the machine, which says nothing of the services".to_owned(),
            None => format!(
                "requests came faster than they were served, and a longer round would show more. Ask for less than {}/s",
                rate(cell.load.completed_per_s)
            ),
        };
        let (growth, limit) = (time(growth * 1e6), time(limit * 1e6));
        format!("latency grew by {growth} in each second (limit {limit}): {why}")
    }));
    reasons.extend(rules::SETTLING.check(growth, |limit| {
        format!(
            "latency fell by {} in each second (limit {}): what was measured was still settling. Warm up longer",
            time(-growth * 1e6),
            time(-limit * 1e6)
        )
    }));
}

/// Why nobody was there to take an arrival.
fn taken(cell: &CellResult) -> String {
    if cell.factors.arrivals == Arrivals::Script {
        return "every user that the script allows was waiting for an answer".to_owned();
    }
    format!("{} were in flight", count(cell.factors.max_in_flight as u64))
}

/// Why arrivals were dropped, where stages tell: a queue of the system, or the plan's own limit.
fn dropped_why(cell: &CellResult) -> String {
    let served = rate(cell.load.completed_per_s);
    if diagnosis::others(cell).is_some() {
        return ". Others had the machine: leave it to the lab".to_owned();
    }
    if diagnosis::mostly_waits(cell) {
        return format!(
            ". Latency is that of an overloaded system: ask for less than {served}/s to see the service itself"
        );
    }
    let needed = diagnosis::allowed(cell).map(|needed| {
        format!(
            ". That is what the plan allows (max_in_flight), and {}/s of {} each need {}: raise it, or ask for less than {served}/s",
            rate(cell.factors.rate_per_s),
            time(cell.latency_us.mean),
            count(needed.ceil() as u64)
        )
    });
    needed.unwrap_or_else(|| format!(": ask for less than {served}/s"))
}

/// What was dropped is in no latency: it would have been the slowest.
fn dropped(cell: &CellResult, reasons: &mut Vec<Reason>) {
    let share = cell.load.dropped_share;
    reasons.extend(rules::DROPPED.check(share, |_| {
        let p99 = if cell.latency_us.p99.is_none() {
            "; with one in a thousand or more of them gone there is no p99"
        } else {
            ""
        };
        format!(
            "{} of {} arrivals ({}) were dropped since {}: they are in no latency{p99}",
            count(cell.requests.dropped),
            count(cell.requests.planned),
            percent(share),
            taken(cell)
        )
    }));
}

/// Requests of which one in a hundred is one.
const HUNDRED: u64 = 100;

fn generator(cell: &CellResult, run: &Circumstances, reasons: &mut Vec<Reason>) {
    let cores = cell.load.driver_cores;
    match (cell.send_delay_us, cell.latency_us.p99) {
        (None, _) if !run.built_in => reasons.extend(rules::LATENESS_UNTOLD.untold(
            "the load generator does not tell when it meant to send a request, so whether it was on time cannot be checked"
                .to_owned(),
        )),
        (Some(late), Some(p99)) => {
            let past = rules::GENERATOR_LATE.check(ratio(late.p99, p99), |limit| {
                format!(
                    "one request in a hundred was sent {} or more after its planned time, that is {} of the p99 of {} (limit {}): \
                     the load generator had too much to do (it used {} cores) or waited for a CPU (the machine's were {} busy). \
                     That lateness is in the latency, as driver lag. Ask for less, or use more cores",
                    time(late.p99),
                    percent(ratio(late.p99, p99)),
                    time(p99),
                    percent(limit),
                    trimmed(cores),
                    percent(cell.load.host_cpu_share)
                )
            });
            let few = cell.requests.ok < HUNDRED;
            reasons.extend(past.map(|reason| Reason {
                status: if few { Status::Valid } else { reason.status },
                ..reason
            }));
        }
        _ => {}
    }
    // The built-in driver has one thread; k6 takes what there is.
    let most = if run.built_in { 1.0 } else { run.cpus.max(1) as f64 };
    reasons.extend(rules::GENERATOR_CPU.check(ratio(cores, most), |limit| {
        format!(
            "the load generator used {} of the {} cores that it can (limit {}): it may measure itself. Ask for less, or run it \
             on another machine",
            trimmed(cores),
            trimmed(most),
            percent(limit)
        )
    }));
}

fn by_k6(cell: &CellResult, reasons: &mut Vec<Reason>) {
    let Some(k6) = cell.k6 else { return };
    let lost = ratio(k6.not_joined as f64, (k6.joined + k6.not_joined) as f64);
    reasons.extend(rules::NOT_JOINED.check(lost, |_| {
        format!(
            "of {} requests k6's stream does not say everything (limit 0): they count as errors, and \
             their latency is not known",
            count(k6.not_joined)
        )
    }));
}

/// Who died while there were requests to come.
fn ended(cell: &CellResult, reasons: &mut Vec<Reason>) {
    reasons.extend(rules::PROCESS_ENDED.check(cell.ended.len() as f64, |_| {
        let ended: Vec<String> = cell
            .ended
            .iter()
            .map(|one| {
                let ago = time(one.seen_before_end_s * 1e6);
                format!("{} (process {}), last seen {ago} before the end", one.process, one.pid)
            })
            .collect();
        format!(
            "a process ended before the last round did: {}. Requests that pass it fail since then, and spans that it had yet to \
             send are lost. Look at its log, start it anew, and measure again",
            ended.join("; ")
        )
    }));
}

fn machine(cell: &CellResult, reasons: &mut Vec<Reason>) {
    let busy = cell.load.host_cpu_share;
    reasons.extend(rules::HOST_SATURATED.check(busy, |limit| {
        let with = match diagnosis::others(cell) {
            Some((theirs, all)) => format!(
                "{} of {} cores were used by processes that are no part of this run. Leave the machine to the lab",
                trimmed(theirs),
                trimmed(all)
            ),
            None => "load generator and services compete. Ask for less, or use more cores".to_owned(),
        };
        format!("the machine's CPUs were {} busy (limit {}): {with}", percent(busy), percent(limit))
    }));
    // Whoever is not at the end of a hop waits without holding up a request.
    let on_the_way = |name: &str| {
        let mut ends = cell.wire.iter().flat_map(|hop| hop.hop.split('→'));
        ends.any(|end| end == name)
    };
    let mut waiting: Vec<(f64, &str)> = cell
        .resources
        .iter()
        .filter(|process| on_the_way(&process.process))
        .map(|process| (process.run_queue_wait_share, process.process.as_str()))
        .collect();
    waiting.sort_by(|a, b| b.0.total_cmp(&a.0));
    let Some(&(most, _)) = waiting.first() else {
        return;
    };
    reasons.extend(rules::WAITING_FOR_CPU.check(most, |limit| {
        let named: Vec<String> = waiting
            .iter()
            .map(|(share, name)| format!("{name} {}", percent(*share)))
            .collect();
        format!(
            "processes were ready but waited for a CPU, of the time they wanted one: {} (limit {}); \
             that waiting is inside their stages. Leave the machine to the lab, or use more cores",
            named.join(", "),
            percent(limit)
        )
    }));
}
