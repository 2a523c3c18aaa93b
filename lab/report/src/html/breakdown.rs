//! Where the time went: stacked bars, REST beside gRPC. The stages below them are in a neighbouring file.
//!
//! Each bar is there three times (mean, p50 band, p99 band) and has three widths; the style sheet
//! shows what the reader picks, without a script.

use std::fmt::Write as _;

use ledger::Family;

use super::super::family::{look, named};
use super::super::label::{Group, groups, protocol};
use super::markup::{chip, details, escape};
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
