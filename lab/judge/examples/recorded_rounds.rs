//! What rounds of runs differed by, small enough to be kept: from it `lab/contrast/tests/power.rs` draws its noise.
//!
//! ```sh
//! cargo run --release -p lab-judge --example recorded_rounds -- lab-runs/*/result.json \
//!     > lab/contrast/tests/power/rounds.json
//! ```

use std::process::ExitCode;

use lab_contrast::Round;
use lab_judge::result::{RESIDUAL, RunResult, paired, pairs};
use ledger::Family;
use serde_json::{Value, json};

fn main() -> ExitCode {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    if paths.is_empty() {
        eprintln!("write: recorded_rounds RUN/result.json…");
        return ExitCode::from(2);
    }
    let mut runs = Vec::new();
    for path in paths {
        match recorded(&path) {
            Ok(run) => runs.push(run.to_string()),
            Err(error) => {
                eprintln!("{path}: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    let parts: Vec<_> = Family::ALL.into_iter().map(Family::name).chain([RESIDUAL]).collect();
    // A run a line, so that one more is one line more.
    println!("{{\"parts\": {},\n\"runs\": [\n{}\n]}}", json!(parts), runs.join(",\n"));
    ExitCode::SUCCESS
}

/// Of each two arms of the run: the first one's mean latency, and round by round what each part of the second took
/// longer. Microseconds, to the tenth.
fn recorded(path: &str) -> Result<Value, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let run = RunResult::from_json(&text).map_err(|error| error.to_string())?;
    let tenths = |us: f64| (us * 10.0).round() / 10.0;
    let longer = |(one, other): (&Round, &Round)| {
        let parts = std::iter::zip(&one.parts, &other.parts);
        let parts: Vec<_> = parts.map(|(one, other)| tenths(other - one)).collect();
        json!([one.number, parts])
    };
    let pairs = pairs(&run.cells).into_iter().map(|(first, second)| {
        let (one, other) = paired(first, second);
        let mean = one.iter().map(|round| round.mean).sum::<f64>() / one.len().max(1) as f64;
        let rounds: Vec<_> = std::iter::zip(&one, &other).map(longer).collect();
        json!({ "first": first.id, "second": second.id, "mean_us": tenths(mean), "rounds": rounds })
    });
    let pairs: Vec<_> = pairs.collect();
    Ok(json!({ "run": run.run_id, "pairs": pairs }))
}
