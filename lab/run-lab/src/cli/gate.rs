//! `run-lab gate`: two arms in one session, and whether one keeps its limits beside the other.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::factors::FactorArgs;
use super::order::{Ground, RealParts, components, leave_out_database};
use super::{Exit, Failure, arm, terminal};
use crate::progress;
use crate::run::{Interrupt, Order, Outcome, carry_out};
use lab_judge::result::{Ruling, gate as decide};
use lab_launch::Tool;
use lab_model::plan::{self, Overrides, Plan};
use lab_model::{Compared, Limit, Status, System};
use lab_report::REPORT_HTML;
use lab_supervise::Absolute;

/// The plan whose cells are run, unless another is named.
const PLAN: &str = "gate";
/// Rounds of each arm at least.
const LEAST_ROUNDS: u32 = 6;
/// Answers of a round at least, for a p99 of it.
const P99_ANSWERS: f64 = 1_000.0;

/// What the help says after the options.
pub(super) const AFTER: &str = "\
An arm is a variant of the system. Each of --base and --new is, and may be given more than once:
  a program       a run-lab of another build: its services are started from it
  KNOB=VALUE      a setting of the services, as run --set has it
  STAGE=DURATION  a delay, as run --inject has it
  FILE.toml       settings in a file, as a plan's [knobs]
What is not given is this program with its plan's settings.

Both arms run every cell in each round, in turn: base new, new base, base new, ... Services start
anew for each, so what is peculiar to one start is inside a round. A limit is a one-sided question:
  kept      the whole 95 % interval of the change lies below the limit
  exceeded  the whole of it lies above
  unknown   the limit lies inside: the gate says how many rounds would take it out
Several limits or cells make the intervals wider, so that all of them hold together. What is
exceeded is told with the families of stages in which the new arm surely takes longer.

Limits:
  mean>5%   mean latency of all requests, more than 5 % longer      p50, p90, p99 alike
  p99>2ms   by more than 2 ms; a p99 takes 1,000 answers a round
  cpu>3%    CPU time of the services per request
  framing>20us   what a family of stages adds to the mean (queue, serialization, flow_control,
            socket, framing, network, backend, ...): of all, it is disturbed least by a busy machine

Examples:
  run-lab gate --base target/base/run-lab --new target/release/run-lab --fail-on 'mean>5%'
  run-lab gate --new echo:reply_encode=50us --fail-on 'mean>5%'     does the gate see 50 us?
  run-lab gate --new nagle=true --fail-on 'p50>10%' --fail-on 'cpu>5%' --size 10,100kB
  run-lab gate --new ./run-lab --fail-on 'p99>20%' --rate 1000 --duration 2s --json

Exit codes:
  0    every limit is surely kept
  2    the command line or the plan is wrong
  3    a cell is INVALID: what was declared is not what was sent
  5    a part did not start, or died
  6    a limit is surely exceeded, or an --objective was missed
  7    it cannot be told yet; the output says how many rounds it would take
  130  interrupted";

/// What is compared, and what is asked of it.
#[derive(Debug, Args)]
pub(super) struct GateArgs {
    /// The arm to compare with (repeatable): a run-lab program, KNOB=VALUE, STAGE=DURATION or a TOML file of settings
    #[arg(long, value_name = "BIN|SET")]
    base: Vec<String>,
    /// The arm that is held against it (repeatable), written as --base is
    #[arg(long, value_name = "BIN|SET")]
    new: Vec<String>,
    /// How much more the new arm may take (repeatable), e.g. mean>5%, p99>2ms, cpu>3%, framing>20us
    #[arg(long, value_name = "LIMIT", required = true)]
    fail_on: Vec<Limit>,
    /// A built-in plan (see `run-lab plans`) or a TOML file
    #[arg(long, value_name = "NAME|FILE", default_value = PLAN, value_hint = ValueHint::FilePath)]
    plan: String,
    /// Folder for the results; it must not exist [default: lab-runs/PLAN-TIME]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    out: Option<PathBuf>,
    /// Print the decision as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    factors: FactorArgs,
}

/// Runs both arms and decides.
pub(super) async fn gate(arguments: GateArgs) -> Result<Exit, Failure> {
    let arms = vec![arm::read("base", &arguments.base)?, arm::read("new", &arguments.new)?];
    let overrides = Overrides { arms, no_certify: true, ..arguments.factors.overrides()? };
    let mut plan = plan::load(&arguments.plan, &overrides)?;
    plan.fits(&System::Owned)?;
    hold(&plan, &arguments.fail_on)?;
    let inventory =
        RealParts::default().look(&[], &[Tool::K6, Tool::Influxdb, Tool::Grafana]).await?;
    let left_out = leave_out_database(&mut plan, &inventory)?;
    let Ground { executable, arms, run_id, out } = Ground::of(&plan, arguments.out)?;
    let interrupt = Interrupt::listen().map_err(|error| Failure::other(error.into()))?;
    let order = Order {
        attached: None,
        script: None,
        components: components(&plan, &inventory, left_out),
        inventory,
        plan,
        thresholds: None,
        pins: arguments.factors.pins(),
        k6_influxdb: false,
        out: out.clone(),
        run_id,
        command: crate::run::this_command(),
        arms,
        executable,
    };
    let outcome =
        carry_out(order, progress::reporter(terminal::verbosity()).as_mut(), &interrupt).await?;
    publish(&out, outcome, &arguments.fail_on, arguments.json)
}

/// Refuses before minutes have passed what could not be decided after them.
fn hold(plan: &Plan, limits: &[Limit]) -> Result<(), Failure> {
    if plan.rounds < LEAST_ROUNDS {
        return Err(Failure::usage(format!(
            "{} rounds of each arm are too few to decide anything: ask for {LEAST_ROUNDS} at least (--rounds)",
            plan.rounds
        )));
    }
    let Some(limit) = limits.iter().find(|limit| limit.of == Compared::P99) else { return Ok(()) };
    for cell in &plan.cells {
        let answers = cell.rate * cell.duration_ns as f64 / 1e9;
        if answers < P99_ANSWERS {
            return Err(Failure::usage(format!(
                "--fail-on {limit}: a p99 takes 1,000 answers a round, and {} has {answers:.0}: ask for rounds \
                 of {:.0}s (--duration), or a higher --rate",
                cell.id,
                (P99_ANSWERS / cell.rate).ceil()
            )));
        }
    }
    Ok(())
}

/// Writes the reports, tells what came of the limits, and settles the exit code.
fn publish(
    out: &Absolute,
    outcome: Outcome,
    limits: &[Limit],
    json: bool,
) -> Result<Exit, Failure> {
    let mut result = outcome.result;
    result.gate = decide(&result, limits);
    let written = lab_report::write_all(out, &result).map_err(|error| Failure::other(error.into()));
    let told = if json { lab_report::gate_json(&result) } else { lab_report::gate(&result) };
    let shown = terminal::print(told);
    if !json {
        terminal::hint(format_args!("report: {}\n", out.join(REPORT_HTML).display()));
    }
    if let Some(error) = outcome.failure {
        return Err(error.into());
    }
    written.and(shown)?;
    if outcome.interrupted {
        return Ok(Exit::Interrupted);
    }
    if result.cells.iter().any(|cell| cell.verdict.status == Status::Invalid) {
        return Ok(Exit::Invalid);
    }
    let missed = result.objectives.iter().any(|objective| !objective.met);
    Ok(match result.gate.map_or(Ruling::Unknown, |gate| gate.ruling) {
        Ruling::Exceeded => Exit::Missed,
        _ if missed => Exit::Missed,
        Ruling::Kept => Exit::Done,
        Ruling::Unknown => Exit::Undecided,
    })
}
