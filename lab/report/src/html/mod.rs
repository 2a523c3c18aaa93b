//! The report as one page that needs no network and no script.
//!
//! A reader who has never seen the lab gets the answer first, then the pictures, then the proof. All
//! colours, light and dark, are in `style.css`.

mod about;
mod answer;
mod asked;
mod breakdown;
mod evidence;
mod graphs;
mod markup;
mod payload;
mod proof;
mod slow;
mod slowest;
mod stages;
mod svg;

use ledger::Family;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::family::look;
use super::headline::{answer as in_one_sentence, compared, found};
use lab_judge::result::RunResult;
use lab_model::{Reason, Status};
use markup::chip;

/// So many cells that are INVALID have their reason in the banner.
const REFUTED: usize = 3;

const STYLE: &str = include_str!("style.css");

/// `result` as a page of its own.
#[must_use]
pub fn html(result: &RunResult) -> String {
    let page = html! {
        (DOCTYPE) "\n"
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "Where did the time go? " (result.run_id) }
                // No text of a run is in here.
                style { (PreEscaped(STYLE)) (PreEscaped(family_styles())) }
            }
            body {
                (head(result))
                main {
                    @for section in sections(result).take(1) { (section.markup(result)) }
                    p.answer { (result.explanation) }
                    (about::asked(result))
                    nav { @for section in sections(result) { a href={ "#" (section.id) } { (section.title) } } }
                    @for section in sections(result).skip(1) { (section.markup(result)) }
                }
            }
        }
        "\n"
    };
    page.into_string()
}

/// The families' colours, from the one place that knows them.
fn family_styles() -> String {
    let style = |family: Family| {
        let look = look(family);
        format!(".f-{}{{background:{};color:{}}}", family.name(), look.fill, look.ink)
    };
    Family::ALL.into_iter().map(style).collect()
}

/// Title, answer, verdict and table of contents.
fn head(result: &RunResult) -> Markup {
    html! {
        header {
            p.run { (result.run_id) " · " (result.environment.started_at) " · " (machine(result)) }
            h1 {
                @if let Some(answer) = in_one_sentence(&compared(result)) { (answer) }
                @else if let Some(found) = found(result) { (found) }
                @else { "Where did the time go?" }
            }
            (banner(result))
        }
    }
}

/// The machine that the numbers are of; of a system that ran already, that of its load.
fn machine(result: &RunResult) -> String {
    let at = &result.environment;
    let on = if result.system.is_owned() { "on" } else { "load from" };
    match at.cpu_model.as_str() {
        "unknown" => format!("{on} {} CPUs", at.cpus),
        model => format!("{on} {} × {model}", at.cpus),
    }
}

fn banner(result: &RunResult) -> Markup {
    let (class, words) = match result.verdict.status {
        Status::Valid => ("valid", "Yes: every measurement passed every check."),
        Status::Unchecked => (
            "unchecked",
            "Some cells may be right, and nothing that was here could tell: see what could not be checked.",
        ),
        Status::Suspect => {
            ("suspect", "Some cells may be distorted, or are those of an overloaded system.")
        }
        Status::Invalid => {
            ("invalid", "Cells that are INVALID are not what they say they are: do not use them.")
        }
    };
    let of = |status| result.cells.iter().filter(|cell| cell.verdict.status == status).count();
    let tallies = Status::ALL.map(|status| (status, of(status)));
    html! {
        div class={ "banner " (class) } {
            p {
                b { "Can I believe it?" } " " (words) " "
                @for (status, of) in tallies.into_iter().filter(|(_, of)| *of > 0) {
                    span.tally { (of) @if of == 1 { " cell " } @else { " cells " } (chip(status)) }
                }
            }
            @for (index, (code, cells)) in doubts(result).iter().enumerate() {
                @if index > 0 { "; " }
                b { (code) } " in " (cells)
            }
            " (" a href="#evidence" { "evidence" } ")"
            @for (cell, reason) in refuted(result) {
                p { b { (cell) } ": " (reason) }
            }
        }
    }
}

/// Cells that are INVALID, some of them, each with its first reason in words: the numbers are in it.
fn refuted(result: &RunResult) -> impl Iterator<Item = (&str, &str)> {
    let invalid = |reason: &&Reason| reason.status == Status::Invalid;
    let cells = result.cells.iter().filter_map(move |cell| {
        cell.verdict.reasons.iter().find(invalid).map(|reason| (&*cell.id, &*reason.text))
    });
    cells.take(REFUTED)
}

/// What speaks against cells, in catchwords, each with the cells; the worst first.
fn doubts(result: &RunResult) -> Vec<(String, String)> {
    let mut codes: Vec<(Status, &str, Vec<&str>)> = Vec::new();
    for cell in &result.cells {
        for reason in cell.verdict.reasons.iter().filter(|reason| reason.status > Status::Valid) {
            match codes.iter_mut().find(|(_, code, _)| *code == reason.code) {
                Some((status, _, cells)) => {
                    *status = reason.status.max(*status);
                    // A cell may have several reasons of one kind.
                    if cells.last() != Some(&&*cell.id) {
                        cells.push(&cell.id);
                    }
                }
                None => codes.push((reason.status, &reason.code, vec![&cell.id])),
            }
        }
    }
    codes.sort_by_key(|(status, _, cells)| std::cmp::Reverse((*status, cells.len())));
    let cells = |cells: &[&str]| match cells.len() {
        all if all == result.cells.len() && all > 1 => format!("all {all} cells"),
        _ => cells.join(", "),
    };
    codes.iter().map(|(_, code, of)| (code.replace('_', " "), cells(of))).collect()
}

/// A section of the page.
struct Section {
    id: &'static str,
    title: &'static str,
    lead: &'static str,
    content: fn(&RunResult) -> Markup,
}

impl Section {
    const fn new(
        id: &'static str,
        title: &'static str,
        lead: &'static str,
        content: fn(&RunResult) -> Markup,
    ) -> Self {
        Section { id, title, lead, content }
    }

    fn markup(&self, result: &RunResult) -> Markup {
        html! {
            section id=(self.id) {
                h2 { (self.title) }
                p.lead { (self.lead) }
                ((self.content)(result))
            }
        }
    }
}

/// The sections of `result`: nothing is said of what was asked where nothing was, nor of single requests where none was
/// traced; what is slow comes first where nothing is compared.
fn sections(result: &RunResult) -> impl Iterator<Item = &'static Section> {
    let (asked, traced) = (crate::asked::anything(result), !result.slowest.is_empty());
    let compares = !compared(result).is_empty();
    SECTIONS.iter().filter(move |section| match section.id {
        ANSWER => compares,
        SLOW => !compares,
        ASKED => asked,
        SLOWEST => traced,
        _ => true,
    })
}

/// The section on what was asked of the system.
const ASKED: &str = "asked";
/// The sections that a page begins with: where cells are compared, and where none are.
const ANSWER: &str = "answer";
const SLOW: &str = "slow";
/// The section on the slowest requests.
const SLOWEST: &str = "slowest";

/// Every section, in the order of the page.
const SECTIONS: [Section; 17] = [
    Section::new(
        SLOW,
        "What is slow, and why",
        "The mean latency as the load generator saw it, and where it went.",
        slow::section,
    ),
    Section::new(
        ANSWER,
        "By how much, and why",
        "From one mean to the other, step by step: a bar is what one kind of work or waiting adds, the thin line over it and the \
             brackets are its 95 % interval, wide enough that all on this page hold at once. What includes 0 is not claimed. \
             Each card has a scale of its own.",
        answer::section,
    ),
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
        SLOWEST,
        "The slowest ten",
        "Single requests of those that were traced, each drawn in time: a lane is a hop, a colour the kind of work or \
             waiting, grey the time in which it waited for the lane below.",
        slowest::section,
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
        ASKED,
        "What was asked of the system",
        "Whether it was reached says nothing of whether the numbers can be believed.",
        asked::section,
    ),
    Section::new(
        "evidence",
        "The evidence",
        "Five questions, each with something that could show that the lab is wrong. VALID: no answer is no, and the first \
             three are yes.",
        evidence::section,
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
        proof::ledgers,
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
        |result| html! { (about::environment(result)) (about::parts(result)) },
    ),
    Section::new(
        "repeat",
        "How to repeat it",
        "On this or another machine, in an empty folder:",
        |result| html! { pre { code { (result.command) } } },
    ),
];
