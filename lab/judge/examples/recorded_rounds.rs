//! What rounds of runs differed by, small enough to be kept: from it `lab/contrast/tests/power.rs` draws its noise.
//!
//! ```sh
//! cargo run --release -p lab-judge --example recorded_rounds -- lab-runs/* \
//!     > lab/contrast/tests/power/turns.json
//! ```

use std::process::ExitCode;

use lab_contrast::Round;
use lab_judge::result::{RunResult, paired, pairs, part_names};
use serde_json::{Value, json};
use sidecar::runfile::RunFile;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    if paths.is_empty() {
        eprintln!("write: recorded_rounds RUN…, where each is the folder of a run");
        return ExitCode::from(2);
    }
    let mut runs = Vec::new();
    for path in paths {
        match recorded(&path).await {
            Ok(run) => runs.push(run.to_string()),
            Err(error) => {
                eprintln!("{path}: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    let parts: Vec<_> = part_names().collect();
    // A run a line, so that one more is one line more.
    println!("{{\"parts\": {},\n\"runs\": [\n{}\n]}}", json!(parts), runs.join(",\n"));
    ExitCode::SUCCESS
}

/// Of each two arms of the run: the first one's mean latency, and round by round what each part of the second took
/// longer. Microseconds, to the tenth. They are computed from the rows of its requests, as is done today.
async fn recorded(path: &str) -> Result<Value, Box<dyn std::error::Error>> {
    let mut run = RunResult::from_json(&std::fs::read_to_string(format!("{path}/result.json"))?)?;
    let mut rows = RunFile::open(format!("{path}/run.sqlite")).await?;
    lab_judge::retell(&mut rows, &mut run.cells).await?;
    rows.close().await?;
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
