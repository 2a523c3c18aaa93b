//! The drill-down: every stage of every hop, REST beside gRPC, down to the residual and the sum.

use ledger::Stage;
use maud::{Markup, Render, html};

use super::super::family::named;
use super::super::label::{Group, protocol};
use super::markup::Table;
use lab_judge::result::units::{percent, time};
use lab_judge::result::{CellResult, ratio};

/// Every stage of the group's cells, hop by hop.
pub(super) fn stages(group: &Group<'_>) -> Markup {
    let mut headings = vec!["stage".to_owned(), "family".to_owned()];
    for cell in &group.cells {
        let name = protocol(cell.factors.protocol);
        headings.extend(
            ["mean", "share", "p50 band", "p99 band"].map(|column| format!("{name} {column}")),
        );
    }
    let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
    let caption = "Times per request. An asterisk: inferred from durations, not measured by marks.";
    let mut table = Table::new(caption, &headings, 2);
    let mut last = None;
    for (depth, hop, stage) in keys(group) {
        if last != Some((depth, hop)) {
            table.heading(hop);
            last = Some((depth, hop));
        }
        let mut cells: Vec<Markup> = name_and_family(stage, depth).into();
        for cell in &group.cells {
            cells.extend(columns(cell, hop, stage));
        }
        table.row_of(&cells);
    }
    table.heading("what is left, and the sum");
    let sums: [(&str, Columns); 2] =
        [("residual", residual), ("latency of the traced requests", latency)];
    for (name, of) in sums {
        let mut cells = vec![name.to_owned(), String::new()];
        for cell in &group.cells {
            let [mean, p50, p99] = of(cell);
            let share = percent(ratio(mean, cell.traced.mean_us));
            cells.extend([time(mean), share, time(p50), time(p99)]);
        }
        table.row_of(&cells);
    }
    table.render()
}

/// Mean, p50 band and p99 band of something.
type Columns = fn(&CellResult) -> [f64; 3];

fn residual(cell: &CellResult) -> [f64; 3] {
    let left = cell.residual;
    [left.mean_us, left.p50_us, left.p99_band_us]
}

fn latency(cell: &CellResult) -> [f64; 3] {
    let traced = cell.traced;
    [traced.mean_us, traced.p50_us, traced.p99_band_us]
}

/// The first two columns: what the stage is called, and the family with its colour.
fn name_and_family(stage: &str, depth: u32) -> [Markup; 2] {
    let known = Stage::from_name(stage).ok();
    let family = known.map_or("backend", |stage| stage.family_at(depth).name());
    [
        html! { abbr title=(known.map_or("", Stage::meaning)) { (stage.replace('_', " ")) } },
        html! { i class={ "dot f-" (family) } {} (named(family).short) },
    ]
}

fn columns(cell: &CellResult, hop: &str, stage: &str) -> [Markup; 4] {
    let found: Vec<_> =
        cell.stages.iter().filter(|part| part.hop == hop && part.stage == stage).collect();
    if found.is_empty() {
        return ["–", "–", "–", "–"].map(|none| none.render());
    }
    let (mut mean, mut share, mut p50, mut p99) = (0.0, 0.0, 0.0, 0.0);
    for part in &found {
        mean += part.mean_us;
        share += part.share;
        p50 += part.p50_us;
        p99 += part.p99_band_us;
    }
    let star = if found.iter().any(|part| part.kind == "inferred") { "*" } else { "" };
    let part = format!("--part:{:.1}%", share.clamp(0.0, 1.0) * 100.0);
    [
        html! { (time(mean)) (star) },
        html! { span.meter style=(part) { (percent(share)) } },
        time(p50).render(),
        time(p99).render(),
    ]
}

/// The stages that any cell of the group has, in the order in which a request passes them.
fn keys<'a>(group: &Group<'a>) -> Vec<(u32, &'a str, &'a str)> {
    let mut keys: Vec<(u32, &str, &str)> = Vec::new();
    for stage in group.cells.iter().flat_map(|cell| &cell.stages) {
        let key = (stage.depth, stage.hop.as_str(), stage.stage.as_str());
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    let order = |name: &str| Stage::from_name(name).map_or(usize::MAX, |stage| stage as usize);
    keys.sort_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)).then(order(a.2).cmp(&order(b.2))));
    keys
}
