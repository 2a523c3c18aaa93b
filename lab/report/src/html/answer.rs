//! The first screen: which is faster, by how much, why, and whether that is certain. A card for each payload, with a
//! waterfall from one mean to the other.

use maud::{Markup, html};

use super::super::family::named;
use super::super::headline::{Compared, Step, compared, signed, steps};
use super::markup::{Table, chip, details};
use lab_judge::result::units::{interval, time};
use lab_judge::result::{ContrastResult, RESIDUAL, RunResult, TAIL};
use lab_judge::verdict::{Comparison, ONE_START, headline, told};
use lab_model::Status;

/// The section.
pub(super) fn section(result: &RunResult) -> Markup {
    let pairs = compared(result);
    html! {
        div.claims { @for pair in &pairs { (card(pair)) } }
    }
}

fn card(pair: &Compared<'_>) -> Markup {
    html! {
        article.claim {
            h3 {
                (pair.title) " "
                @for status in doubts(pair) { (chip(status)) " " }
            }
            @match pair.comparison {
                Comparison::Claim { contrast, one_start, .. } => {
                    (claim(pair, contrast))
                    @if one_start { p.said { (ONE_START.trim()) } }
                }
                other => { p.said { (told(other, pair.cells, pair.names)) } }
            }
        }
    }
}

/// The verdicts of the two cells that a reader has to know of.
fn doubts(pair: &Compared<'_>) -> Vec<Status> {
    let mut all = pair.cells.map(|cell| cell.verdict.status).to_vec();
    all.retain(|status| *status != Status::Valid);
    all.dedup();
    all
}

fn claim(pair: &Compared<'_>, contrast: &ContrastResult) -> Markup {
    let found = contrast.mean.found();
    html! {
        p.said { @if found { b { (headline(contrast, pair.names)) } } @else { (headline(contrast, pair.names)) } }
        @if contrast.shows_steps() { (waterfall(pair, contrast)) }
        p.fine {
            @if found { "From " (contrast.pairs) " pairs of rounds."
                @if let Some(floor) = contrast.noise_floor_us {
                    " Pairing takes out what a machine does to both: without it, halves of one side's own rounds differ by up to "
                    (time(floor)) "."
                }
            } @else {
                "Means: " (time(contrast.first_us)) " by " (pair.names[0]) ", " (time(contrast.second_us)) " by " (pair.names[1])
                ": " (signed(contrast.mean.us)) " " (between(contrast.mean.together)) ", which includes 0."
            }
            @if let Some(cpu) = contrast.cpu {
                " CPU of the services per request: " (pair.names[1]) " takes "
                (format!("{:.2}× [{:.2}, {:.2}]", cpu.ratio, cpu.interval.0, cpu.interval.1))
                " of what " (pair.names[0]) " takes."
            }
        }
        (details("All kinds of work and waiting", &families(contrast)))
    }
}

/// Where things lie between the least and the most of the way, in per cent.
struct Scale {
    least: f64,
    width: f64,
}

impl Scale {
    fn of(contrast: &ContrastResult, steps: &[Step]) -> Scale {
        let ends = steps.iter().flat_map(|step| {
            let (low, high) = step.interval.unwrap_or((step.us, step.us));
            [step.from, step.to(), step.from + low, step.from + high]
        });
        let all: Vec<f64> = ends.chain([contrast.first_us, contrast.second_us]).collect();
        let least = all.iter().copied().fold(f64::MAX, f64::min);
        let most = all.iter().copied().fold(f64::MIN, f64::max);
        let margin = (most - least) * 0.02;
        Scale { least: least - margin, width: (most - least + 2.0 * margin).max(1e-9) }
    }

    fn at(&self, us: f64) -> f64 {
        (us - self.least) / self.width * 100.0
    }

    /// A piece from one place to another, as a style.
    fn piece(&self, from: f64, to: f64) -> String {
        let (left, right) = (self.at(from.min(to)), self.at(from.max(to)));
        format!("left:{left:.2}%;width:{:.2}%", right - left)
    }
}

fn waterfall(pair: &Compared<'_>, contrast: &ContrastResult) -> Markup {
    let steps = steps(contrast);
    let scale = Scale::of(contrast, &steps);
    html! {
        div.waterfall role="img" aria-label=(told(pair.comparison, pair.cells, pair.names)) {
            (end(pair.names[0], contrast.first_us, &scale))
            @for step in &steps {
                span.name { (step.name) }
                span.track {
                    i class={ "step f-" (step.family.as_deref().unwrap_or("others")) }
                        style=(scale.piece(step.from, step.to())) {}
                    @if let Some((low, high)) = step.interval {
                        i.whisker style=(scale.piece(step.from + low, step.from + high)) {}
                    }
                }
                span.value { (signed(step.us)) @if let Some(interval) = step.interval { " " small { (between(interval)) } } }
            }
            (end(pair.names[1], contrast.second_us, &scale))
        }
    }
}

/// One of the two means.
fn end(name: &str, us: f64, scale: &Scale) -> Markup {
    html! {
        span.name { b { (name) } }
        span.track { i.end style=(format!("left:{:.2}%", scale.at(us))) {} }
        span.value { b { (time(us)) } " mean" }
    }
}

fn between(ends: (f64, f64)) -> String {
    interval(ends, signed)
}

/// All parts with their intervals, found or not, and their sum.
fn families(contrast: &ContrastResult) -> Table {
    let headings = ["part", "difference", "interval, all together", "interval, alone", "seen?"];
    let mut table = Table::new(
        "The second less the first, means of the traced requests. Parts add up to the difference of the means. What the slowest \
         of every 40 requests of a round take longer than the others is a part of its own.",
        &headings,
        1,
    );
    let mut row = |name: &str, part: &lab_judge::result::Difference| {
        let seen = if part.found() { "yes" } else { "no" };
        table.row(&[&name, &signed(part.us), &between(part.together), &between(part.alone), &seen]);
    };
    for part in &contrast.parts {
        let name = match part.family.as_str() {
            TAIL => "tail: slowest of every 40 requests",
            RESIDUAL => RESIDUAL,
            family => named(family).name,
        };
        row(name, &part.difference);
    }
    row("difference of the means", &contrast.mean);
    table
}
