//! Reports of a [`RunResult`]: to the terminal, as JSON, as a page, and two side by side.
//!
//! A report only shows. It computes nothing that is not in `result.json`, so that `run-lab report DIR`
//! can make every report again.

mod asked;
mod compare;
mod costs;
mod family;
mod gate;
mod headline;
mod html;
mod label;
mod single;
mod terminal;
mod text;

use std::io;
use std::path::Path;

use lab_judge::result::RunResult;

pub use compare::{compare, compare_json, compare_runs, places_differ};
pub use costs::{costs, costs_json};
pub use gate::{gate, gate_json};
pub use html::html;
pub use single::{single, slowest};
pub use terminal::terminal;

/// Name of the result in a run's folder.
pub const RESULT_JSON: &str = "result.json";
/// Name of the page in a run's folder.
pub const REPORT_HTML: &str = "report.html";
/// Name of the plain table in a run's folder.
pub const REPORT_TXT: &str = "report.txt";

/// Width of the table in [`REPORT_TXT`], in columns.
const TEXT_WIDTH: usize = 120;

/// The result as `result.json` holds it.
#[must_use]
pub fn json(result: &RunResult) -> String {
    let mut text = serde_json::to_string_pretty(result)
        .expect("a result is plain data with text keys, which always has a JSON form");
    text.push('\n');
    text
}

/// Writes every report of `result` into the folder `dir`, which must exist. Each is there as a whole or
/// not at all, and one that was there before stays if the new one does not fit on the disk.
///
/// # Errors
/// The error of the first file that could not be written, with its path. The others are written.
pub fn write_all(dir: &Path, result: &RunResult) -> io::Result<()> {
    let reports = [
        (RESULT_JSON, json(result)),
        (REPORT_HTML, html(result)),
        (REPORT_TXT, terminal(result, TEXT_WIDTH, false)),
    ];
    let mut outcome = Ok(());
    for (name, text) in reports {
        let written = replace(dir, name, &text).map_err(|error| {
            let path = dir.join(name);
            io::Error::new(error.kind(), format!("writing the report {}: {error}", path.display()))
        });
        outcome = outcome.and(written);
    }
    outcome
}

/// Writes beside the file and puts it in its place.
fn replace(dir: &Path, name: &str, text: &str) -> io::Result<()> {
    let part = dir.join(format!(".{name}.part"));
    let written = std::fs::write(&part, text).and_then(|()| std::fs::rename(&part, dir.join(name)));
    if written.is_err() {
        // There may be nothing to remove.
        let _ = std::fs::remove_file(&part);
    }
    written
}
