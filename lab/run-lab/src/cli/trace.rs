//! `run-lab trace`: single requests of a run, or of what a sidecar has by now: the slowest, or one drawn in time.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use serde_json::json;
use settings::PeerUrl;
use sidecar::runfile::{MOST_SINGLE, Single};

use super::attach::token;
use super::{Exit, Failure, terminal};
use crate::run::{RunError, Singles};
use lab_judge::result::{RequestResult, SLOWEST};

/// The version of the shape of `--json`.
const SCHEMA: u32 = 1;

/// What the help of `trace` says after the options.
pub(super) const AFTER: &str = "\
Each hop has a line with its own time in the colours of families, dots where it waits for a
call of its own; the lines below it are its stages where they lay in time. How a stage is known:
measured (two marks on one clock), inferred (a difference of durations), unseen (nobody told:
network, queues, libraries and the scheduler in one).

Only requests that were sampled are there: at most 200 a second, unless a plan says otherwise.

Examples:
  run-lab trace                                   the ten slowest of the newest run in lab-runs
  run-lab trace --slowest 3 --cell rest-1MB       of one cell
  run-lab trace 4bf92f3577b34da6                  draw one; the beginning of its id is enough
  run-lab trace --run lab-runs/A --json | jq '.requests[0].hops[].pieces[]'
  run-lab trace --sidecar http://127.0.0.1:4319   what a sidecar has by now (run-lab up says where it is)

Exit codes:
  0  told
  1  the run file or the sidecar cannot be read
  2  there is no such run, request or cell";

/// What to show.
#[derive(Debug, Args)]
pub(super) struct TraceArgs {
    /// The trace to draw: its id, or as much of its beginning as tells it from others. Without one the slowest are listed
    #[arg(value_name = "ID", value_parser = id, conflicts_with_all = ["slowest", "cell"])]
    id: Option<String>,
    /// List so many requests, the slowest first [default: 10]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_SINGLE)))]
    slowest: Option<u32>,
    /// Those of this cell alone
    #[arg(long, value_name = "CELL")]
    cell: Option<String>,
    /// The folder of the run, or a sidecar's run file [default: the newest folder in lab-runs]
    #[arg(long, value_name = "DIR|FILE", value_hint = ValueHint::AnyPath, conflicts_with = "sidecar")]
    run: Option<PathBuf>,
    /// Ask the sidecar whose control address this is, http://HOST:PORT: it needs a --run-file, and has a request some
    /// seconds after its last span
    #[arg(long, value_name = "URL")]
    sidecar: Option<PeerUrl>,
    /// The token that this sidecar asks for (its own --token-file)
    #[arg(long, value_name = "FILE", requires = "sidecar")]
    token_file: Option<PathBuf>,
    /// Draw every stage, however small
    #[arg(long)]
    all: bool,
    /// Tell it as JSON
    #[arg(long)]
    json: bool,
}

/// A trace id, or its beginning.
fn id(text: &str) -> Result<String, String> {
    let plain = text.to_ascii_lowercase();
    let digits = plain.bytes().all(|digit| digit.is_ascii_hexdigit());
    if (1..=32).contains(&plain.len()) && digits {
        Ok(plain)
    } else {
        Err("a trace id is 32 hexadecimal digits, or as many of its first as tell it from others"
            .into())
    }
}

/// Draws one request, or lists the slowest.
pub(super) async fn trace(arguments: TraceArgs) -> Result<Exit, Failure> {
    let from = match &arguments.sidecar {
        Some(url) => Singles::of_sidecar(url, token(arguments.token_file.as_deref())?)?,
        None => Singles::of_run(arguments.run.as_deref()).await.map_err(Failure::usage)?,
    };
    let most = arguments.slowest.unwrap_or(SLOWEST as u32);
    let which = match &arguments.id {
        Some(id) => Single::Trace(id.clone()),
        None => Single::Slowest { most, cell: arguments.cell.clone() },
    };
    let requests = from.read(&which).await.map_err(unread)?;
    if requests.is_empty() {
        return Err(Failure::usage(none(&which, &from).await?));
    }
    if arguments.id.is_some() {
        one_trace(&requests)?;
    }
    if arguments.json {
        let told = json!({ "schema": SCHEMA, "from": from.to_string(), "requests": requests });
        return terminal::print_json(&told).map(|()| Exit::Done);
    }
    let (width, colour) = (terminal::width(), terminal::colour());
    if arguments.id.is_some() {
        for request in &requests {
            terminal::print(lab_report::single(request, width, colour, arguments.all))?;
        }
        return Ok(Exit::Done);
    }
    terminal::print(format_args!(
        "The slowest of {}, of what was traced\n\n{}",
        from.there().await.map_err(unread)?,
        lab_report::slowest(&requests, width, colour)
    ))?;
    terminal::hint(format_args!(
        "\ndraw one: run-lab trace {} {}\n",
        requests[0].trace_id,
        from.flag()
    ));
    Ok(Exit::Done)
}

/// That it cannot be read is nobody's death.
fn unread(error: RunError) -> Failure {
    Failure::other(error.into())
}

/// Refuses a beginning that several traces have.
fn one_trace(requests: &[RequestResult]) -> Result<(), Failure> {
    let mut ids: Vec<_> = requests.iter().map(|one| one.trace_id.as_str()).collect();
    ids.dedup();
    if ids.len() < 2 {
        return Ok(());
    }
    let (all, first) = (ids.len(), ids[..ids.len().min(5)].join(", "));
    Err(Failure::usage(format!(
        "{all} traces begin so: {first}…; say more of the one that is meant"
    )))
}

/// That there is none, where was looked, and what is there.
async fn none(which: &Single, from: &Singles) -> Result<String, Failure> {
    let (what, flag) = match which {
        Single::Trace(id) => (format!("request of the trace {id}"), from.flag()),
        Single::Slowest { cell: Some(cell), .. } => {
            (format!("traced request of the cell {cell}"), from.flag())
        }
        Single::Slowest { cell: None, .. } => ("traced request".to_owned(), String::new()),
    };
    let mut text = format!("there is no {what} in {}", from.there().await.map_err(unread)?);
    if !flag.is_empty() {
        text.push_str(&format!(
            "; only requests that were sampled are traced, and run-lab trace --slowest 10 {flag} lists some"
        ));
    }
    Ok(text)
}
