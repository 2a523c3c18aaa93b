//! Where the time went: stacked bars, REST beside gRPC. The stages below them are in a neighbouring file.
//!
//! Each bar is there three times (mean, p50 band, p99 band) and has three widths; the style sheet
//! shows what the reader picks, without a script.

use ledger::Family;
use maud::{Markup, html};

use super::super::family::{look, named};
use super::super::label::{Group, groups, protocol};
use super::markup::{chip, details};
use super::slow::explained;
use super::stages::stages;
use lab_judge::result::units::{percent, time};
use lab_judge::result::{CellResult, RunResult, ratio};

/// The three columns of a ledger: class, name, and what it means.
const BANDS: [(&str, &str, &str); 3] = [
    ("mean", "mean of all requests", "the mean over all traced requests"),
    (
        "p50",
        "typical requests (p50 band)",
        "the mean of the requests between the 45th and 55th percentile",
    ),
    (
        "p99",
        "slowest requests (p99 band)",
        "the mean of the requests at or above the 99th percentile",
    ),
];

const SCALES: [(&str, &str); 3] = [
    ("own", "time, each payload on its own scale"),
    ("all", "time, one scale for all"),
    ("share", "shares of the total"),
];

/// The section.
pub(super) fn section(result: &RunResult) -> Markup {
    let most = BANDS
        .map(|(band, ..)| result.cells.iter().map(|cell| total(cell, band)).fold(0.0, f64::max));
    html! {
        div.breakdown {
            (controls())
            (key())
            @for group in groups(result) {
                section.group {
                    h3 { (group.title()) }
                    @for cell in &group.cells { (row(cell, &group, most)) }
                    dl.words {
                        @for cell in group.cells.iter().filter(|cell| !explained(result, cell)) {
                            dt { (protocol(cell.factors.protocol)) }
                            dd { (cell.explanation) }
                        }
                    }
                    (details("Every stage of every hop", &stages(&group)))
                }
            }
        }
    }
}

fn controls() -> Markup {
    html! {
        div.controls {
            fieldset {
                legend { "Which requests" }
                @for (index, (band, name, _)) in BANDS.iter().enumerate() {
                    (radio("band", band, name, index == 0))
                }
            }
            fieldset {
                legend { "How long the bars are" }
                @for (index, (scale, name)) in SCALES.iter().enumerate() {
                    (radio("scale", scale, name, index == 0))
                }
            }
        }
    }
}

fn radio(group: &str, value: &str, name: &str, checked: bool) -> Markup {
    html! {
        label {
            input type="radio" name=(group) id={ (group) "-" (value) } checked[checked];
            " " (name)
        }
    }
}

/// What the colours mean.
fn key() -> Markup {
    html! {
        p.key {
            @for family in Family::ALL {
                span { i class={ "f-" (family.name()) } {} (look(family).name) }
            }
            span { i.f-residual {} "residual (no stage explains it)" }
        }
    }
}

fn total(cell: &CellResult, band: &str) -> f64 {
    match band {
        "p50" => cell.traced.p50_us,
        "p99" => cell.traced.p99_band_us,
        _ => cell.traced.mean_us,
    }
}

fn row(cell: &CellResult, group: &Group<'_>, most: [f64; 3]) -> Markup {
    html! {
        div.row {
            b { (protocol(cell.factors.protocol)) }
            @if cell.traced.succeeded == 0 {
                span.none { "no request was traced" }
                span.total { (time(cell.latency_us.mean)) }
            } @else {
                @for (band, most) in BANDS.iter().zip(most) { (bar(cell, group, band, most)) }
            }
            (chip(cell.verdict.status))
        }
    }
}

/// One bar in its three widths, and the time that it stands for.
fn bar(cell: &CellResult, group: &Group<'_>, band: &(&str, &str, &str), most: f64) -> Markup {
    let (band, _, meaning) = band;
    let all = total(cell, band);
    let own = group.cells.iter().map(|cell| total(cell, band)).fold(0.0, f64::max);
    let (own, most) = (ratio(all, own) * 100.0, ratio(all, most) * 100.0);
    html! {
        div class={ "track band-" (band) } {
            div.bar style=(format!("--own:{own:.2}%;--all:{most:.3}%")) { (segments(cell, band)) }
        }
        span class={ "total band-" (band) } title=(meaning) { (time(all)) }
    }
}

fn segments(cell: &CellResult, band: &str) -> Markup {
    let all = total(cell, band);
    let families = cell.families.iter().map(|family| {
        let us = match band {
            "p50" => family.p50_us,
            "p99" => family.p99_band_us,
            _ => family.mean_us,
        };
        (family.family.as_str(), named(&family.family).short, us)
    });
    let residual = match band {
        "p50" => cell.residual.p50_us,
        "p99" => cell.residual.p99_band_us,
        _ => cell.residual.mean_us,
    };
    let parts = families.chain([("residual", "residual", residual)]).filter(|part| part.2 > 0.0);
    html! {
        @for (class, name, us) in parts {
            @let share = ratio(us, all);
            span class={ "seg f-" (class) } style=(format!("flex-grow:{share:.5}"))
                title=(format!("{name}: {} ({})", time(us), percent(share))) {
                b { u { (name) " " } (percent(share)) }
            }
        }
    }
}
