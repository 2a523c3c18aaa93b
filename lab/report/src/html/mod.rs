//! The report as one page that needs no network and no script.
//!
//! A reader who has never seen the lab gets the answer first, then the pictures, then the proof. All
//! colours, light and dark, are in `style.css`.

mod about;
mod breakdown;
mod graphs;
mod markup;
mod payload;
mod proof;
mod stages;
mod svg;

use std::fmt::Write as _;

use ledger::Family;

use super::family::look;
use lab_judge::result::RunResult;
use lab_model::Status;
use markup::{chip, escape};

const STYLE: &str = include_str!("style.css");

/// `result` as a page of its own.
#[must_use]
pub fn html(result: &RunResult) -> String {
    let title = format!("Where did the time go? {}", result.run_id);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>{}</title><style>{STYLE}{}</style></head><body>",
        escape(&title),
        family_styles()
    );
    page.push_str(&head(result));
    page.push_str("<main>");
    for section in &SECTIONS {
        let _ = write!(
            page,
            "<section id=\"{}\"><h2>{}</h2><p class=\"lead\">{}</p>{}</section>",
            section.id,
            section.title,
            section.lead,
            (section.html)(result)
        );
    }
    page.push_str("</main></body></html>\n");
    page
}

/// The families' colours, from the one place that knows them.
fn family_styles() -> String {
    Family::ALL.into_iter().fold(String::new(), |mut css, family| {
        let look = look(family);
        let _ = write!(css, ".f-{}{{background:{};color:{}}}", family.name(), look.fill, look.ink);
        css
    })
}

/// Title, answer, verdict and table of contents.
fn head(result: &RunResult) -> String {
    let mut html = format!(
        "<header><p class=\"run\">{} · {}</p><h1>Where did the time go?</h1><p class=\"answer\">{}</p>{}{}<nav>",
        escape(&result.run_id),
        escape(&result.environment.started_at),
        escape(&result.explanation),
        banner(result),
        about::asked(result)
    );
    for section in &SECTIONS {
        let _ = write!(html, "<a href=\"#{}\">{}</a>", section.id, section.title);
    }
    html.push_str("</nav></header>");
    html
}

fn banner(result: &RunResult) -> String {
    let (class, words) = match result.verdict.status {
        Status::Valid => ("valid", "Every cell is what it says it is."),
        Status::Suspect => {
            ("suspect", "Some cells may be distorted, or are those of an overloaded system.")
        }
        Status::Invalid => {
            ("invalid", "Some cells are not what they say they are: do not use them.")
        }
    };
    let mut html =
        format!("<div class=\"banner {class}\"><p><b>Can I believe it?</b> {words}</p><p>");
    for status in [Status::Valid, Status::Suspect, Status::Invalid] {
        let of = result.cells.iter().filter(|cell| cell.verdict.status == status).count();
        if of > 0 {
            let _ = write!(html, "<span class=\"tally\">{of} {}</span>", chip(status));
        }
    }
    html.push_str("</p><ul>");
    let doubted = result.cells.iter().filter(|cell| cell.verdict.status > Status::Valid);
    for cell in doubted {
        let mut codes: Vec<String> =
            cell.verdict.codes().map(|code| escape(code.replace('_', " "))).collect();
        codes.dedup();
        let _ = write!(html, "<li><b>{}</b>: {}</li>", escape(&cell.id), codes.join(", "));
    }
    html.push_str("</ul></div>");
    html
}

/// A section of the page.
struct Section {
    id: &'static str,
    title: &'static str,
    lead: &'static str,
    html: fn(&RunResult) -> String,
}

impl Section {
    const fn new(
        id: &'static str,
        title: &'static str,
        lead: &'static str,
        html: fn(&RunResult) -> String,
    ) -> Self {
        Section { id, title, lead, html }
    }
}

/// Every section, in the order of the page.
const SECTIONS: [Section; 12] = [
    Section::new(
        "breakdown",
        "Where the time went",
        "Every microsecond of a request belongs to one stage of one hop; stages of a kind share a colour. Percentiles \
             do not add, so the p99 bar is the mean of the slowest requests, not a stack of p99s.",
        breakdown::section,
    ),
    Section::new(
        "curves",
        "How slow the slow ones are",
        "Latency from the planned start (where k6 drove: from when its user asks), up to the percentile under the \
             curve: further right, fewer requests.",
        graphs::curves,
    ),
    Section::new(
        "payload",
        "By payload",
        "A hollow mark is a SUSPECT cell, a cross an INVALID one.",
        payload::by_payload,
    ),
    Section::new(
        "time",
        "Over time",
        "Latency by the second in which a request was planned, mean of the rounds. A rising line is a queue that grows.",
        graphs::over_time,
    ),
    Section::new(
        "cells",
        "Every cell in numbers",
        "What became of the planned requests, and how long the successful ones took.",
        proof::cells,
    ),
    Section::new(
        "workload",
        "Proof of the workload",
        "What the cell declares against what was counted on the connections themselves.",
        proof::workload,
    ),
    Section::new(
        "verdicts",
        "Verdicts in words",
        "What speaks against a number, with the limit that it crossed and what to do about it.",
        proof::reasons,
    ),
    Section::new(
        "books",
        "What measuring cost and left open",
        "The residual is what an independent stopwatch saw and no stage explains.",
        proof::books,
    ),
    Section::new(
        "processes",
        "CPU and memory",
        "What each process used while the cells ran.",
        proof::resources,
    ),
    Section::new(
        "glossary",
        "What the stages mean",
        "In the order in which reports stack the families.",
        |_| about::glossary(),
    ),
    Section::new(
        "environment",
        "Where and with what",
        "The machine and the parts of the lab.",
        |result| about::environment(result) + &about::parts(result),
    ),
    Section::new(
        "repeat",
        "How to repeat it",
        "On this or another machine, in an empty folder:",
        |result| format!("<pre><code>{}</code></pre>", escape(&result.command)),
    ),
];
