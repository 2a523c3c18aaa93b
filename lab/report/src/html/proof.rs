//! Can it be believed? The proof of the workload, the verdicts in words, the cost of measuring, the
//! processes' CPU and memory.

use maud::{Markup, Render, html};

use super::markup::{Table, chip, details};
use lab_judge::result::units::{
    count, exact_bytes, http, mean, memory, percent, rate, time, trimmed,
};
use lab_judge::result::{CellResult, RunResult, WireResult, holds_payload};
use lab_model::{Reason, Status};

/// What was declared against what taps and relays counted, and what spans claim where there were none.
pub(super) fn workload(result: &RunResult) -> Markup {
    let headings = [
        "cell",
        "hop",
        "protocol",
        "payload declared",
        "request payload sent",
        "reply payload sent",
        "request wire bytes",
        "reply wire bytes",
        "frames",
        "framing bytes",
        "header bytes",
        "connections",
    ];
    let mut table = Table::new(
        "Means per request over both directions, unless said otherwise. Every traced request was checked, not the mean.",
        &headings,
        3,
    );
    for cell in &result.cells {
        for hop in &cell.wire {
            wire_row(&mut table, cell, hop);
        }
    }
    table.render()
}

fn wire_row(table: &mut Table, cell: &CellResult, hop: &WireResult) {
    let versions: Vec<String> = hop.http.iter().map(|&version| http(version)).collect();
    let declared = match (hop.declared_request_bytes, hop.declared_response_bytes) {
        (Some(request), Some(reply)) if request == reply => {
            format!("{} both ways", exact_bytes(reply))
        }
        (_, Some(reply)) => format!("{} reply", exact_bytes(reply)),
        _ => "–".to_owned(),
    };
    let relayed = hop.relayed.unwrap_or_default();
    let claimed = hop.claimed.unwrap_or_default();
    table.row(&[
        &cell.id,
        &hop.hop,
        &if versions.is_empty() { "not seen".to_owned() } else { versions.join(", ") },
        &declared,
        &carried(
            (hop.declared_request_bytes, hop.envelope()),
            hop.request_payload_range,
            [relayed.request_body_range, claimed.request_body_range],
        ),
        &carried(
            (hop.declared_response_bytes, hop.envelope()),
            hop.response_payload_range,
            [relayed.response_body_range, claimed.response_body_range],
        ),
        &counted(hop.request_wire_bytes),
        &counted(hop.response_wire_bytes),
        &counted(hop.frames),
        &counted(hop.framing_bytes),
        &counted(hop.header_bytes),
        &count(hop.connections),
    ]);
}

/// A mean of what taps counted.
fn counted(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), mean)
}

/// What was carried, and whether that is what was declared: the payload that taps counted, else the body that a relay
/// counted, else the one that spans claim.
fn carried(
    (declared, envelope): (Option<u64>, u64),
    counted: Option<(u64, u64)>,
    [relayed, claimed]: [Option<(u64, u64)>; 2],
) -> Markup {
    let ways = [(counted, ""), (relayed, " of body"), (claimed, " of body, claimed")];
    let known = ways.into_iter().find_map(|(range, how)| Some((range?, how)));
    let Some(((least, most), how)) = known else {
        return "not seen".render();
    };
    let text = if least == most {
        format!("{}{how}", exact_bytes(least))
    } else {
        format!("{} … {}{how}", count(least), exact_bytes(most))
    };
    let right = |bytes, declared| {
        if counted.is_some() { bytes == declared } else { holds_payload(bytes, declared, envelope) }
    };
    match declared {
        Some(declared) if right(least, declared) && right(most, declared) => {
            html! { span.good { (text) " " i aria-label="as declared" { "✓" } } }
        }
        Some(_) => {
            html! { span.bad { (text) " " i aria-label="not as declared" { "✕" } } }
        }
        None => text.render(),
    }
}

/// Latency and accounting of every cell.
pub(super) fn cells(result: &RunResult) -> Markup {
    let headings = [
        "cell", "verdict", "asked /s", "planned", "started", "dropped", "late", "ok", "errors",
        "done /s", "mean", "p50", "p90", "p99", "max",
    ];
    let mut table = Table::new(
        "Latency of every successful request, from its planned start (where k6 drove: from when its user asks). \
         planned = started + dropped.",
        &headings,
        2,
    );
    for cell in &result.cells {
        let (all, latency) = (cell.requests, cell.latency_us);
        let took = |us| known(latency.count > 0, time(us));
        table.row(&[
            &cell.id,
            &chip(cell.verdict.status),
            &rate(cell.factors.rate_per_s),
            &count(all.planned),
            &count(all.started),
            &count(all.dropped),
            &all.late.map_or_else(|| "unknown".to_owned(), count),
            &count(all.ok),
            &count(all.error),
            &rate(cell.load.completed_per_s),
            &took(latency.mean),
            &took(latency.p50),
            &took(latency.p90),
            &latency.p99.map_or_else(|| "–".to_owned(), took),
            &took(latency.max),
        ]);
    }
    table.render()
}

/// `text` if there is anything that it was computed from.
fn known(is: bool, text: String) -> String {
    if is { text } else { "–".to_owned() }
}

/// Every reason, in words; what failed requests said.
pub(super) fn reasons(result: &RunResult) -> Markup {
    let run = result.verdict.reasons.iter().map(|reason| ("the whole run", reason));
    let cells = result
        .cells
        .iter()
        .flat_map(|cell| cell.verdict.reasons.iter().map(move |reason| (cell.id.as_str(), reason)));
    let mut all: Vec<(&str, &Reason)> = run.chain(cells).collect();
    all.sort_by_key(|(_, reason)| std::cmp::Reverse(reason.status));
    let failed = result.cells.iter().filter(|cell| !cell.errors.is_empty());
    html! {
        @if all.is_empty() { p { "Nothing speaks against any cell: every check passed." } }
        ul.reasons {
            @for (name, reason) in all {
                li {
                    @if reason.status == Status::Valid { span.chip { "NOTE" } }
                    @else { (chip(reason.status)) }
                    " " b { (name) } " " code { (reason.code) } br; (reason.text)
                }
            }
        }
        @for cell in failed { (errors(cell)) }
    }
}

/// What the failed requests of a cell said.
fn errors(cell: &CellResult) -> Markup {
    let mut table =
        Table::new(&format!("Errors of {}", cell.id), &["what they said", "how often"], 1);
    for (text, often) in &cell.errors {
        table.row(&[text, &count(*often)]);
    }
    table.render()
}

/// What measuring cost, and what it left open, cell by cell.
pub(super) fn ledgers(result: &RunResult) -> Markup {
    html! { p { (probe_cost(result)) } (accounts(result)) @if let Some(table) = injected(result) { (table) } }
}

fn probe_cost(result: &RunResult) -> Markup {
    let Some(cost) = &result.probe_cost else {
        return "The cost of the probe was not measured in this run.".render();
    };
    let (low, high) = cost.interval;
    html! {
        "The probe costs " b { (format!("{:.3}×", cost.ratio)) }
        (format!(" [{low:.2}, {high:.2}] CPU per request"))
        @if let Some((ratio, (low, high))) = cost.latency {
            (format!(" and {ratio:.3}× [{low:.2}, {high:.2}] latency"))
        }
        ": probes on over probes off, "
        (cost.pairs) " pairs of rounds on " (cost.cell) ", " (percent(cost.traced_share))
        " of the requests traced; the brackets hold the 95 % interval."
    }
}

fn accounts(result: &RunResult) -> Markup {
    let headings = [
        "cell",
        "traced",
        "weight",
        "measured",
        "inferred",
        "residual, mean",
        "residual, p50 band",
        "residual, p99 band",
        "out of order",
        "sent late, p99",
        "generator, cores",
        "machine",
    ];
    let mut table =
        Table::new("How well the books close, and how busy the machine was.", &headings, 1);
    for cell in &result.cells {
        let late = cell.send_delay_us.map_or_else(|| "unknown".to_owned(), |delay| time(delay.p99));
        let traced = cell.traced.succeeded > 0;
        // Without a stopwatch there is nothing that stages could fall short of.
        let timed = cell.marks.without_stopwatch < cell.traced.succeeded;
        table.row_of(&[
            cell.id.clone(),
            match cell.traced.expected {
                // How many a script of the user's own sampled, nobody tells.
                0 => count(cell.traced.count),
                expected => format!("{} of {}", count(cell.traced.count), count(expected)),
            },
            trimmed(cell.traced.weight),
            known(traced, percent(cell.measured_share)),
            known(traced, percent(cell.inferred_share)),
            known(timed, time(cell.residual.mean_us)),
            known(timed, percent(cell.residual.p50_share)),
            known(timed, percent(cell.residual.p99_share)),
            count(cell.marks.out_of_order),
            late,
            trimmed(cell.load.driver_cores),
            percent(cell.load.host_cpu_share),
        ]);
    }
    table.render()
}

/// Injected delays, as the injectors measured them, beside the stages they should be found in.
fn injected(result: &RunResult) -> Option<Table> {
    let headings = ["cell", "hop", "stage", "injected, mean", "found in the stage, mean"];
    let mut table = Table::new("Delays that were injected to check the attribution.", &headings, 3);
    let mut any = false;
    for cell in &result.cells {
        for delay in &cell.injected {
            any = true;
            let found = cell
                .stages
                .iter()
                .filter(|part| part.hop == delay.hop && part.stage == delay.stage);
            let found: f64 = found.map(|part| part.mean_us).sum();
            table.row(&[
                &cell.id,
                &delay.hop,
                &delay.stage.replace('_', " "),
                &time(delay.mean_us),
                &time(found),
            ]);
        }
    }
    any.then_some(table)
}

/// CPU per request of every process, a row per cell; everything else below.
pub(super) fn resources(result: &RunResult) -> Markup {
    let mut processes: Vec<&str> = Vec::new();
    for process in result.cells.iter().flat_map(|cell| &cell.resources) {
        if !processes.contains(&process.process.as_str()) {
            processes.push(&process.process);
        }
    }
    if processes.is_empty() {
        return html! { p { "No process was sampled." } };
    }
    let mut headings = vec!["cell"];
    headings.extend(&processes);
    let mut table = Table::new("CPU per started request, user and system.", &headings, 1);
    for cell in &result.cells {
        let mut row = vec![cell.id.clone()];
        row.extend(processes.iter().map(|name| {
            let found = cell.resources.iter().find(|process| process.process == *name);
            found.map_or_else(|| "–".to_owned(), |process| time(process.cpu_us_per_request))
        }));
        table.row_of(&row);
    }
    let more = "Memory, threads, context switches and waiting for a CPU";
    html! { (table) (details(more, &every_process(result))) }
}

fn every_process(result: &RunResult) -> Markup {
    let headings = [
        "cell",
        "process",
        "CPU per request",
        "CPU, cores",
        "memory, max",
        "threads",
        "switches, own wish",
        "switches, forced",
        "waited for a CPU",
    ];
    let mut table = Table::new(
        "While the rounds of each cell ran. CPU per request: per started request.",
        &headings,
        2,
    );
    for cell in &result.cells {
        for process in &cell.resources {
            table.row_of(&[
                cell.id.clone(),
                process.process.clone(),
                time(process.cpu_us_per_request),
                trimmed(process.cores),
                memory(process.rss_max_bytes),
                count(process.threads_max),
                count(process.voluntary_switches),
                process.involuntary_switches.map_or_else(|| "unknown".to_owned(), count),
                percent(process.run_queue_wait_share),
            ]);
        }
    }
    table.render()
}
