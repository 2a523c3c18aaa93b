//! What the terminal begins with: which is faster, by how much and why, a waterfall for each payload.

use std::fmt::Write as _;

use ledger::Family;

use super::super::family::{Look, look};
use super::super::headline::{Compared, answer, compared, found, signed, steps};
use super::super::text::{Paint, wrap};
use lab_judge::result::units::{interval, time};
use lab_judge::result::{ContrastResult, RunResult};
use lab_judge::verdict::{Comparison, ONE_START, headline, told};

/// Columns of a waterfall's bars.
const BARS: usize = 36;
/// Columns before a claim: what was asked for.
const TITLE: usize = 10;

/// Writes the answer of `result`, if it compares anything.
pub(super) fn write(text: &mut String, result: &RunResult, width: usize, paint: Paint) {
    let pairs = compared(result);
    let Some(answer) = answer(&pairs) else {
        if let Some(found) = found(result) {
            let _ = writeln!(text, "{}\n", wrap(&found, width, 0));
        }
        return;
    };
    let _ = writeln!(text, "{}\n", wrap(&answer, width, 0));
    for pair in &pairs {
        let claim = match pair.comparison {
            Comparison::Claim { contrast, one_start: true, .. } => {
                format!("{}{ONE_START}", headline(contrast, pair.names))
            }
            Comparison::Claim { contrast, .. } => headline(contrast, pair.names),
            other => told(other, pair.cells, pair.names),
        };
        let doubt = match pair.comparison {
            Comparison::Claim { doubted: true, .. } => " (if they can be believed: see below)",
            _ => "",
        };
        // What else was set makes a title longer than a payload.
        let line = format!("{:TITLE$}  {claim}{doubt}", pair.title);
        let _ = writeln!(text, "{}", wrap(&line, width, TITLE + 2));
        if let Comparison::Claim { contrast, .. } = pair.comparison
            && contrast.shows_steps()
        {
            waterfall(text, pair, contrast, paint);
        }
    }
    let brackets = "Brackets: 95 % intervals; those of differences are wide enough that all of them hold at once. Steps add up; their \
                    intervals do not.";
    let _ = writeln!(text, "\n{}\n", wrap(brackets, width, 0));
}

/// One line for each mean and for each step between them.
fn waterfall(text: &mut String, pair: &Compared<'_>, contrast: &ContrastResult, paint: Paint) {
    let steps = steps(contrast);
    let ends = steps.iter().flat_map(|step| [step.from, step.to()]);
    let ends: Vec<f64> = ends.chain([contrast.first_us, contrast.second_us]).collect();
    let least = ends.iter().copied().fold(f64::MAX, f64::min);
    let most = ends.iter().copied().fold(f64::MIN, f64::max);
    let place = |us: f64| {
        let share = if most > least { (us - least) / (most - least) } else { 0.0 };
        (share * (BARS - 1) as f64).round() as usize
    };
    let names = steps.iter().map(|step| step.name.chars().count()).max().unwrap_or(0);
    let line = |text: &mut String, name: &str, bar: &str, value: &str| {
        let indent = TITLE + 2;
        let line = format!("{:indent$}{name:names$} {bar} {value}", "");
        let _ = writeln!(text, "{}", line.trim_end());
    };
    let end = |us: f64| {
        format!("{:>at$}{:>rest$}", "|", "", at = place(us) + 1, rest = BARS - 1 - place(us))
    };
    line(text, pair.names[0], &end(contrast.first_us), &time(contrast.first_us));
    for step in &steps {
        let (from, to) = (place(step.from.min(step.to())), place(step.from.max(step.to())));
        let long = (to - from).max(1);
        // Of what is no family there is no letter.
        let family = step.family.as_deref().and_then(Family::from_name);
        let look = family.map(look);
        let bar = format!(
            "{:from$}{}{:rest$}",
            "",
            block(look, long, paint),
            "",
            rest = BARS.saturating_sub(from + long)
        );
        let ends = step.interval.map(|ends| format!(" {}", interval(ends, signed)));
        line(text, &step.name, &bar, &(signed(step.us) + ends.as_deref().unwrap_or_default()));
    }
    line(text, pair.names[1], &end(contrast.second_us), &time(contrast.second_us));
}

fn block(look: Option<Look>, long: usize, paint: Paint) -> String {
    match (look, paint.0) {
        (Some(look), true) => paint.colour(&"█".repeat(long), look.ansi),
        (Some(look), false) => look.letter.to_string().repeat(long),
        (None, _) => "·".repeat(long),
    }
}
