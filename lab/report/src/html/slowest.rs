//! The slowest requests of the run, each a ledger drawn in time.

use maud::{Markup, Render as _, html};

use super::super::family::named;
use super::super::single::{doubts, facts};
use super::markup::Table;
use lab_judge::result::units::{percent, time};
use lab_judge::result::{HopInTime, RequestResult, RunResult, ratio, sum};

/// The section: closed, for it is long.
pub(super) fn section(result: &RunResult) -> Markup {
    html! {
        details {
            summary { (result.slowest.len()) " requests, the slowest first" }
            @for request in &result.slowest {
                details.single {
                    summary { (headline(request)) }
                    (lanes(request))
                    (stages(request))
                }
            }
            p { "Any other request of the run: " code { "run-lab trace ID --run FOLDER" } "." }
        }
    }
}

fn headline(request: &RequestResult) -> Markup {
    html! {
        b { (time(request.latency_us)) } " "
        (if request.cell.is_empty() { &request.operation } else { &request.cell })
        " · round " (request.round)
        @if let Some((hop, stage, us)) = request.largest() {
            " · " (hop.hop) " " (stage.replace('_', " ")) " "
            (percent(ratio(us, request.latency_us)))
        }
        " · " code { (request.trace_id) }
        @for doubt in doubts(request) { " · " span.bad { (doubt) } }
    }
}

/// A lane for each hop: its own time where it lay, in the colours of families.
fn lanes(request: &RequestResult) -> Markup {
    html! {
        @for hop in &request.hops {
            div.lane {
                span title=(facts(hop).join(", ")) { (hop.hop) }
                div.track {
                    i.waits style=(place(request, hop.from_us, hop.us)) {}
                    @for piece in hop.pieces.iter().filter(|piece| piece.us > 0.0) {
                        i class={ "f-" (piece.family) } style=(place(request, piece.from_us, piece.us))
                            title=(format!("{} {} ({})", piece.stage.replace('_', " "), time(piece.us), piece.kind)) {}
                    }
                }
            }
        }
    }
}

fn place(request: &RequestResult, from: f64, us: f64) -> String {
    let share = |us: f64| (ratio(us, request.latency_us) * 100.0).clamp(0.0, 100.0);
    let from = share(from);
    format!("left:{from:.3}%;width:{:.3}%", share(us).min(100.0 - from))
}

/// Every stage in numbers.
fn stages(request: &RequestResult) -> Markup {
    let caption = format!("Began {}; times count from then.", request.started_at);
    let mut table = Table::new(&caption, &["stage", "known", "from", "took", "share"], 2);
    for hop in &request.hops {
        table.heading(&heading(hop));
        for pieces in hop.stages() {
            let (first, us) = (pieces[0], sum(&pieces));
            let name = html! { i class={ "dot f-" (first.family) } title=(named(&first.family).name) {} (first.stage.replace('_', " ")) };
            let share = percent(ratio(us, request.latency_us));
            table.row(&[&name, &first.kind, &time(first.from_us), &time(us), &share]);
        }
    }
    table.render()
}

fn heading(hop: &HopInTime) -> String {
    let facts = facts(hop);
    if facts.is_empty() { hop.hop.clone() } else { format!("{} ({})", hop.hop, facts.join(", ")) }
}
