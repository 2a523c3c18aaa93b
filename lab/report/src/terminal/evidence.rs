//! The five questions in the terminal, each answered once for all cells: how many say what, and the worst in its words.

use std::fmt::Write as _;

use super::super::text::{Paint, wrap};
use lab_judge::result::{CellResult, RunResult};
use lab_model::{Answer, Evidence, Question, Status};

/// The widest answer.
const ANSWER: usize = 9;

/// Writes what the verdicts of `result` rest on, the worst question first.
pub(super) fn write(text: &mut String, result: &RunResult, width: usize, paint: Paint) {
    let mut questions = Question::ALL.map(|question| answers(result, question));
    questions.sort_by_key(|answers| {
        std::cmp::Reverse(answers.first().map(|(_, one)| (one.status, one.answer)))
    });
    for answers in questions {
        let Some((cell, worst)) = answers.first() else { continue };
        let word = match worst.answer {
            Answer::Yes => "yes",
            Answer::Unchecked => "unchecked",
            Answer::No => "no",
        };
        let line = format!("{word:ANSWER$}  {}", told(&answers, cell, worst));
        let line = wrap(&line, width, ANSWER + 2);
        let (head, rest) = line.split_at(ANSWER);
        let _ = writeln!(text, "{}{rest}", paint.status(head, colour(worst)));
    }
    text.push('\n');
}

/// What each cell answers to `question`, the worst first; of answers alike the one closest to its limit.
fn answers(result: &RunResult, question: Question) -> Vec<(&CellResult, &Evidence)> {
    let of = |cell: &'_ CellResult| {
        cell.evidence.iter().position(|evidence| evidence.question == question)
    };
    let mut all: Vec<(&CellResult, &Evidence)> =
        result.cells.iter().filter_map(|cell| Some((cell, &cell.evidence[of(cell)?]))).collect();
    let apart = |evidence: &Evidence| match (evidence.value, evidence.limit) {
        (Some(value), Some(limit)) => (limit - value).abs(),
        _ => f64::MAX,
    };
    all.sort_by(|(_, one), (_, other)| {
        let bad = |evidence: &Evidence| (evidence.status, evidence.answer);
        bad(other).cmp(&bad(one)).then(apart(one).total_cmp(&apart(other)))
    });
    all
}

fn told(answers: &[(&CellResult, &Evidence)], cell: &CellResult, worst: &Evidence) -> String {
    let alike = answers.iter().filter(|(_, other)| other.answer == worst.answer).count();
    let all = answers.len();
    let cells = match (alike == all, all) {
        (true, 1) => String::new(),
        (true, _) => format!("all {all} cells, "),
        (false, _) => format!("{alike} of {all} cells, "),
    };
    // What speaks against a cell is told in full below.
    let text = match worst.answer {
        Answer::No => worst.codes.first().map_or_else(|| worst.text.clone(), Clone::clone),
        _ => worst.text.clone(),
    };
    let least = if all > 1 && worst.answer != Answer::Unchecked { "worst " } else { "" };
    format!("{} {cells}{least}{}: {text}", worst.question.words(), cell.id)
}

const fn colour(evidence: &Evidence) -> Status {
    match evidence.answer {
        Answer::Yes => Status::Valid,
        Answer::Unchecked => Status::Unchecked,
        Answer::No => evidence.status,
    }
}
