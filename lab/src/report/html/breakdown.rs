//! Where the time went: stacked bars, REST beside gRPC, and every stage below them.
//!
//! Each bar is there three times (mean, p50 band, p99 band) and has three widths; the style sheet
//! shows what the reader picks, without a script.

use std::fmt::Write as _;

use ledger::{Family, Stage};

use super::super::family::{look, named};
use super::super::label::{Group, groups, protocol};
use super::markup::{Table, chip, details, escape};
use crate::result::units::{percent, time};
use crate::result::{CellResult, RunResult, ratio};

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
pub(super) fn section(result: &RunResult) -> String {
    let mut html = String::from("<div class=\"breakdown\">");
    html.push_str(&controls());
    html.push_str(&key());
    let most = BANDS
        .map(|(band, ..)| result.cells.iter().map(|cell| total(cell, band)).fold(0.0, f64::max));
    for group in groups(result) {
        let _ = write!(html, "<section class=\"group\"><h3>{}</h3>", escape(group.title()));
        for cell in &group.cells {
            html.push_str(&row(cell, &group, most));
        }
        html.push_str("<dl class=\"words\">");
        for cell in &group.cells {
            let name = protocol(cell.factors.protocol);
            let _ = write!(html, "<dt>{name}</dt><dd>{}</dd>", escape(&cell.explanation));
        }
        html.push_str("</dl>");
        html.push_str(&details("Every stage of every hop", &stages(&group)));
        html.push_str("</section>");
    }
    html.push_str("</div>");
    html
}

fn controls() -> String {
    let mut html =
        String::from("<div class=\"controls\"><fieldset><legend>Which requests</legend>");
    for (index, (band, name, _)) in BANDS.iter().enumerate() {
        html.push_str(&radio("band", band, name, index == 0));
    }
    html.push_str("</fieldset><fieldset><legend>How long the bars are</legend>");
    for (index, (scale, name)) in SCALES.iter().enumerate() {
        html.push_str(&radio("scale", scale, name, index == 0));
    }
    html.push_str("</fieldset></div>");
    html
}

fn radio(group: &str, value: &str, name: &str, checked: bool) -> String {
    let checked = if checked { " checked" } else { "" };
    format!(
        "<label><input type=\"radio\" name=\"{group}\" id=\"{group}-{value}\"{checked}> {}</label>",
        escape(name)
    )
}

/// What the colours mean.
fn key() -> String {
    let mut html = String::from("<p class=\"key\">");
    for family in Family::ALL {
        let look = look(family);
        let _ =
            write!(html, "<span><i class=\"f-{}\"></i>{}</span>", family.name(), escape(look.name));
    }
    html.push_str("<span><i class=\"f-residual\"></i>residual (no stage explains it)</span></p>");
    html
}

fn total(cell: &CellResult, band: &str) -> f64 {
    match band {
        "p50" => cell.traced.p50_us,
        "p99" => cell.traced.p99_band_us,
        _ => cell.traced.mean_us,
    }
}

fn row(cell: &CellResult, group: &Group<'_>, most: [f64; 3]) -> String {
    let name = protocol(cell.factors.protocol);
    let mut html = format!("<div class=\"row\"><b>{name}</b>");
    if cell.traced.succeeded == 0 {
        let _ = write!(
            html,
            "<span class=\"none\">no request was traced</span><span class=\"total\">{}</span>",
            time(cell.latency_us.mean)
        );
    }
    for ((band, _, meaning), most) in BANDS.into_iter().zip(most) {
        if cell.traced.succeeded == 0 {
            break;
        }
        let all = total(cell, band);
        let own = group.cells.iter().map(|cell| total(cell, band)).fold(0.0, f64::max);
        let _ = write!(
            html,
            "<div class=\"track band-{band}\"><div class=\"bar\" style=\"--own:{:.2}%;--all:{:.3}%\">{}</div></div>\
             <span class=\"total band-{band}\" title=\"{}\">{}</span>",
            ratio(all, own) * 100.0,
            ratio(all, most) * 100.0,
            segments(cell, band),
            escape(meaning),
            time(all)
        );
    }
    let _ = write!(html, "{}</div>", chip(cell.verdict.status));
    html
}

fn segments(cell: &CellResult, band: &str) -> String {
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
    let mut html = String::new();
    for (class, name, us) in families.chain([("residual", "residual", residual)]) {
        let share = ratio(us, all);
        if us <= 0.0 {
            continue;
        }
        let _ = write!(
            html,
            "<span class=\"seg f-{}\" style=\"flex-grow:{:.5}\" title=\"{}\"><b><u>{} </u>{}</b></span>",
            escape(class),
            share,
            escape(format!("{name}: {} ({})", time(us), percent(share))),
            escape(name),
            percent(share)
        );
    }
    html
}

/// Every stage of the group's cells, hop by hop.
fn stages(group: &Group<'_>) -> String {
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
            table.heading(hop, headings.len());
            last = Some((depth, hop));
        }
        let known = Stage::from_name(stage).ok();
        let family = known.map_or("backend", |stage| stage.family().name());
        let meaning = known.map_or("", Stage::meaning);
        let mut cells = vec![
            format!(
                "<abbr title=\"{}\">{}</abbr>",
                escape(meaning),
                escape(stage.replace('_', " "))
            ),
            format!("<i class=\"dot f-{}\"></i>{}", escape(family), escape(named(family).short)),
        ];
        for cell in &group.cells {
            cells.extend(columns(cell, hop, stage));
        }
        table.row(&cells);
    }
    table.heading("what is left, and the sum", headings.len());
    for (name, of) in [
        (
            "residual",
            (|cell| [cell.residual.mean_us, cell.residual.p50_us, cell.residual.p99_band_us])
                as fn(&CellResult) -> [f64; 3],
        ),
        ("latency of the traced requests", |cell| {
            [cell.traced.mean_us, cell.traced.p50_us, cell.traced.p99_band_us]
        }),
    ] {
        let mut cells = vec![name.to_owned(), String::new()];
        for cell in &group.cells {
            let [mean, p50, p99] = of(cell);
            cells.extend([
                time(mean),
                percent(ratio(mean, cell.traced.mean_us)),
                time(p50),
                time(p99),
            ]);
        }
        table.row(&cells);
    }
    table.finish()
}

fn columns(cell: &CellResult, hop: &str, stage: &str) -> [String; 4] {
    let found: Vec<_> =
        cell.stages.iter().filter(|part| part.hop == hop && part.stage == stage).collect();
    if found.is_empty() {
        return ["–", "–", "–", "–"].map(str::to_owned);
    }
    let (mut mean, mut share, mut p50, mut p99) = (0.0, 0.0, 0.0, 0.0);
    for part in &found {
        mean += part.mean_us;
        share += part.share;
        p50 += part.p50_us;
        p99 += part.p99_band_us;
    }
    let star = if found.iter().any(|part| part.kind == "inferred") { "*" } else { "" };
    let meter = format!(
        "<span class=\"meter\" style=\"--part:{:.1}%\">{}</span>",
        share.clamp(0.0, 1.0) * 100.0,
        percent(share)
    );
    [format!("{}{star}", time(mean)), meter, time(p50), time(p99)]
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
