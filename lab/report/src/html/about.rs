//! What was asked, what the words mean, where it was made, and how to make it again.

use std::collections::BTreeSet;

use ledger::{Family, Stage};
use maud::{Markup, Render, html};

use super::super::family::look;
use super::super::label::{knobs, protocol};
use super::markup::Table;
use lab_judge::result::units::{memory, rate, trimmed};
use lab_judge::result::{CellResult, RunResult};
use lab_model::{Arrivals, Environment, Service};

/// What was asked of the run, as a list of terms.
pub(super) fn asked(result: &RunResult) -> Markup {
    let unique = |values: Vec<String>| {
        let mut seen: Vec<String> = Vec::new();
        for value in values {
            if !value.is_empty() && !seen.contains(&value) {
                seen.push(value);
            }
        }
        seen.join(", ")
    };
    let of = |value: fn(&lab_judge::result::Factors) -> String| {
        unique(result.cells.iter().map(|cell| value(&cell.factors)).collect())
    };
    let terms = [
        ("Plan", result.plan.clone()),
        (&*protocols_of(result), of(|factors| protocol(factors.protocol).to_owned())),
        (asked_for(result), of(|factors| factors.subject().to_string())),
        ("Requests per second", of(|factors| rate(factors.rate_per_s))),
        (
            "Rounds",
            of(|factors| {
                let rounds = format!("{} × {} s", factors.rounds, trimmed(factors.duration_s));
                // A script warms up as it likes, and allows what it likes.
                if factors.arrivals == Arrivals::Script {
                    return rounds;
                }
                format!("{rounds} after {} s of warm-up", trimmed(factors.warmup_s))
            }),
        ),
        (
            "In flight at most",
            of(|factors| match factors.arrivals {
                Arrivals::Script => "as the script allows".to_owned(),
                _ => factors.max_in_flight.to_string(),
            }),
        ),
        ("Settings", of(|factors| knobs(&factors.knobs).join(", "))),
    ];
    html! {
        dl.asked {
            @for (term, value) in terms.iter().filter(|(_, value)| !value.is_empty()) {
                div { dt { (term) } dd { (value) } }
            }
        }
    }
}

/// What the protocols are the label of: the hops behind the lab's own first service, where there are any.
fn protocols_of(result: &RunResult) -> String {
    let workloads = result.cells.iter().map(|cell| cell.factors.workload());
    let services: BTreeSet<String> =
        workloads.flat_map(|workload| workload.calls.clone()).collect();
    match services.len() {
        0 => "Protocol".to_owned(),
        _ if !result.system.is_owned() => "Protocol".to_owned(),
        _ => {
            let entry = Service::entry().name;
            format!("Between {entry} and {}", services.into_iter().collect::<Vec<_>>().join(" or "))
        }
    }
}

/// What cells are told apart by.
fn asked_for(result: &RunResult) -> &'static str {
    let payload = |cell: &CellResult| cell.factors.workload().payload;
    if result.cells.iter().any(payload) { "Payload" } else { "Workload" }
}

/// Every family and stage, with its meaning.
pub(super) fn glossary() -> Markup {
    html! {
        @for family in Family::ALL {
            h3 { i class={ "dot f-" (family.name()) } {} (look(family).name) }
            p { (meaning(family)) }
            dl.glossary {
                @for stage in Stage::ALL.iter().filter(|stage| stage.family() == family) {
                    div { dt { (stage.name().replace('_', " ")) } dd { (stage.meaning()) } }
                }
            }
        }
    }
}

const fn meaning(family: Family) -> &'static str {
    match family {
        Family::Generator => {
            "What the load generator itself takes: sending late, its own encoding and decoding, being woken. It is in the \
             latency and none of the services' time."
        }
        Family::Queue => "Waiting for a turn: pools, stream limits, other requests, the scheduler.",
        Family::Serialization => "Turning messages into bytes and back.",
        Family::Framing => "Turning bytes into frames and back: what HTTP/2 itself costs.",
        Family::FlowControl => "Waiting for the peer to open a HTTP/2 window.",
        Family::Socket => "Inside the kernel's send path, or waiting for room in it.",
        Family::Network => {
            "From the write of the last byte to its read by the peer. A peer that is busy reads late: within one \
             machine, more than some tens of microseconds here is waiting for that process, not a wire."
        }
        Family::Delivery => {
            "The payload was there, and the end of its message was not: trailers, a terminator, END_STREAM."
        }
        Family::Unseen => {
            "Time of which nobody told anything: between a call and its answer where no tap looked. Network, queues, \
             libraries and the scheduler in one."
        }
        Family::Backend => "The services' own code.",
    }
}

/// The parts of the lab, real and standing in.
pub(super) fn parts(result: &RunResult) -> Markup {
    let headings = ["for", "what", "version", "where", "real?", ""];
    let mut table =
        Table::new("A stand-in does the work of a part that was not found.", &headings, 6);
    for part in &result.components {
        table.row(&[
            &part.role,
            &part.name,
            &part.version,
            &part.address.as_deref().unwrap_or("–"),
            &if part.real { "real" } else { "stand-in" },
            &part.note,
        ]);
    }
    table.render()
}

/// Which CPUs were whose.
fn pinned(at: &Environment) -> String {
    if at.pinned.is_empty() { "no: the kernel chose".to_owned() } else { at.pinned.clone() }
}

/// Where the run was made.
pub(super) fn environment(result: &RunResult) -> Markup {
    let at = &result.environment;
    let rows = [
        ("CPU", format!("{} × {}", at.cpus, at.cpu_model)),
        ("Memory", memory(at.memory_bytes)),
        ("Kernel", at.kernel.clone()),
        ("Frequency governor", at.governor.clone()),
        ("Two threads a core", at.smt.clone()),
        ("Turbo", at.turbo.clone()),
        ("Pinned to CPUs", pinned(at)),
        ("Clock source", at.clocksource.clone()),
        ("Compiler", at.rustc.clone()),
        ("Built for", at.build.clone()),
        ("SHA-256 of Cargo.lock", at.cargo_lock.clone()),
        ("SHA-256 of flake.lock", at.flake_lock.clone()),
        ("Version of the lab", at.lab_version.clone()),
        ("Commit", at.commit.clone()),
        ("Began", at.started_at.clone()),
        ("Run", result.run_id.clone()),
    ];
    let mut table = Table::new("Numbers of another machine are other numbers.", &["", ""], 2);
    for (name, value) in rows {
        table.row_of(&[name, &value]);
    }
    table.render()
}
