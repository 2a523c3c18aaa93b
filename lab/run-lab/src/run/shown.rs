//! What an earlier run is to be shown with: its name and its time, as far as its folder tells.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use ledger::date;

use super::RUN_FILE;
use lab_judge::result::RunResult;
use lab_launch::Opening;
use lab_report::RESULT_JSON;

/// Name of the file that holds what the points of load by hand are tagged with, for whoever shows them later.
pub const NAME: &str = "name";
/// What is shown of the time before and after an earlier run, in milliseconds.
const MARGIN_MS: u64 = 30_000;
/// A day, in milliseconds.
const DAY_MS: u64 = 86_400_000;

/// What the run in the folder `run` is to be shown with, and from when to when in milliseconds since 1970, as addresses
/// have it; `None` where its folder does not tell.
pub fn opening(run: &Path) -> Option<(Opening, [u64; 2])> {
    let file = run.join(RUN_FILE).metadata().ok()?;
    let ms =
        |time: SystemTime| u64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok();
    let end = ms(file.modified().ok()?)?;
    // Where the file system does not say when it was made, a day will do: boards zoom in.
    let begin = file.created().ok().and_then(ms).unwrap_or(end.saturating_sub(DAY_MS));
    let read = |name: &str| std::fs::read_to_string(run.join(name)).ok();
    let result = read(RESULT_JSON).and_then(|text| RunResult::from_json(&text).ok());
    // Only `run-lab run` leaves a result.
    let name = result.map(|result| result.run_id).or_else(|| read(NAME));
    let ends = [begin.saturating_sub(MARGIN_MS), end + MARGIN_MS];
    let [from, to] = ends.map(|ms| date::rfc3339(ms * 1_000_000));
    Some((Opening { run: name, from, to }, ends))
}
