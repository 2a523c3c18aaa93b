//! Can it be believed? Each cell's answers to the five questions, the worst cells first.

use maud::{Markup, Render, html};

use super::markup::{Table, chip};
use lab_judge::result::{CellResult, RunResult};
use lab_model::{Answer, Evidence, Question};

/// The section.
pub(super) fn section(result: &RunResult) -> Markup {
    let mut cells: Vec<&CellResult> =
        result.cells.iter().filter(|cell| !cell.evidence.is_empty()).collect();
    cells.sort_by_key(|cell| std::cmp::Reverse(cell.verdict.status));
    if cells.is_empty() {
        return html! { p { "This result was made by a version that kept no evidence." } };
    }
    html! {
        div.evidence {
            (matrix(&cells))
            @for cell in cells { (looked_at(cell)) }
        }
    }
}

/// Cells by questions.
fn matrix(cells: &[&CellResult]) -> Table {
    let mut headings = vec!["cell", "verdict"];
    headings.extend(Question::ALL.map(Question::words));
    let mut table = Table::new("Worst first.", &headings, headings.len());
    for cell in cells {
        let answers = Question::ALL.map(|question| answer(cell, question));
        let chip = chip(cell.verdict.status);
        let mut row: Vec<&dyn Render> = vec![&cell.id, &chip];
        row.extend(answers.iter().map(|answer| answer as &dyn Render));
        table.row(&row);
    }
    table
}

fn answer(cell: &CellResult, question: Question) -> Markup {
    let found = cell.evidence.iter().find(|evidence| evidence.question == question);
    let Some(Evidence { answer, codes, text, .. }) = found else { return "–".render() };
    let class = match answer {
        Answer::Yes => "good",
        Answer::Unchecked => "open",
        Answer::No => "bad",
    };
    html! {
        span class=(class) title=(text) { (answer.words()) }
        @if *answer == Answer::No { " " code { (codes.join(", ")) } }
    }
}

/// What was looked at, with numbers and limits.
fn looked_at(cell: &CellResult) -> Markup {
    html! {
        details {
            summary { (cell.id) ": what was looked at" }
            dl {
                @for evidence in &cell.evidence {
                    dt { (evidence.question.words()) " " b { (evidence.answer.words()) } }
                    dd { (evidence.text) }
                }
            }
        }
    }
}
