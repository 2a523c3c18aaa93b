//! The command line: what can be asked for, and which exit code answers it.

mod arm;
mod attach;
mod bundle;
mod certify;
mod configuration;
mod doctor;
mod exit;
mod factors;
mod gate;
mod order;
mod part;
mod plans;
mod results;
mod run;
mod terminal;
mod up;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use configuration::{configuration, read_back, variables};
pub use exit::{Exit, Failure};

use lab_supervise::Absolute;

/// What the help says after the options.
const AFTER: &str = "\
Examples:
  run-lab                                     the default plan, less than three minutes
  run-lab run --plan smoke                    does everything work? ten seconds
  run-lab run --size 10,1MB --duration 10s    two payloads, ten seconds a round
  run-lab run --protocol grpc --size 1MiB --set stream_window=64KiB
  run-lab run --plan smoke --inject echo:handler=5ms
  run-lab run --plan blog-as-published        the wrong comparison, and why it is wrong
  run-lab compare lab-runs/A lab-runs/B
  run-lab gate --new nagle=true --fail-on 'mean>5%'   is it slower, and surely so?
  run-lab run --objective 'p99<200ms'         what is asked of the system
  run-lab certify --size 10,1MB               what measuring itself costs, probes on over off

Sizes are bytes, or end in kB, MB (10^3, 10^6) or KiB, MiB (2^10, 2^20). Durations are
numbers with ns, us, ms, s, m or h: 500ms, 1.5s, 1m30s.

Exit codes:
  0    done, and every cell can be believed or is only suspect
  1    something else went wrong
  2    the command line or the plan is wrong
  3    a cell is INVALID: what was declared is not what was sent
  4    a part that was required is missing
  5    a part did not start, or died
  6    an objective was missed, or a limit of a change is exceeded
  7    asked to decide, it cannot tell
  130  interrupted (once: stop and keep what was measured; twice: stop at once)";

/// Where did the time go between two services, and can you believe it?
///
/// Starts a gateway and an echo service, offers them load at a constant rate, and books every
/// microsecond of latency to one stage of one hop. Without a command, `run-lab` means `run-lab run`.
#[derive(Debug, Parser)]
#[command(name = "run-lab", version, after_help = AFTER, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: run::RunArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Carry out a plan, print what was found and write a report
    #[command(after_help = AFTER)]
    Run(Box<run::RunArgs>),
    /// Start everything there is, print where it listens and what to open, and stay until Ctrl-C
    Up(Box<up::UpArgs>),
    /// Show a run again and rewrite its reports from its result.json
    Report(results::ReportArgs),
    /// Show runs beside others that were made apart: from three of each on, with intervals
    #[command(after_help = results::AFTER)]
    Compare(results::CompareArgs),
    /// Hold a change against limits: two arms in one session, 0 kept, 6 exceeded, 7 cannot tell
    #[command(after_help = gate::AFTER)]
    Gate(Box<gate::GateArgs>),
    /// Measure what measuring costs: CPU per request with probes on over probes off, cell by cell
    #[command(after_help = certify::AFTER)]
    Certify(certify::CertifyArgs),
    /// Say which parts are on this machine, and what stands in for the others
    Doctor(doctor::DoctorArgs),
    /// List the built-in plans with their factors and duration
    Plans,
    #[command(flatten)]
    Part(part::PartCommand),
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    // Usage errors and --help end the process here, with 2 and 0.
    let cli = settings::parse::<Cli>();
    if let Err(failure) = place_for_temporary_files() {
        terminal::complain(&failure.error);
        return failure.exit.into();
    }
    let done = match cli.command {
        None => block_on(run::run(cli.run)),
        Some(Command::Run(arguments)) => block_on(run::run(*arguments)),
        Some(Command::Up(arguments)) => block_on(up::up(*arguments)),
        Some(Command::Report(arguments)) => results::report(&arguments),
        Some(Command::Compare(arguments)) => results::compare(&arguments),
        Some(Command::Gate(arguments)) => block_on(gate::gate(*arguments)),
        Some(Command::Certify(arguments)) => block_on(certify::certify(arguments)),
        Some(Command::Doctor(arguments)) => block_on(doctor::doctor(arguments)),
        Some(Command::Plans) => plans::plans(),
        Some(Command::Part(part)) => part::run(part),
    };
    match done {
        Ok(exit) => exit.into(),
        Err(failure) => {
            terminal::complain(&failure.error);
            failure.exit.into()
        }
    }
}

/// Folders that are made for a while are told to other programs, in other folders; and an empty `TMPDIR` names none.
fn place_for_temporary_files() -> Result<(), Failure> {
    let named = settings::variable("TMPDIR").unwrap_or_else(|| "/tmp".into());
    let folder = Absolute::new(&named)
        .map_err(|error| Failure::usage(format!("TMPDIR={}: {error}", named.display())))?;
    // Fails only where it has been done.
    let _ = tempfile::env::override_temp_dir(&folder);
    Ok(())
}

/// Runs the lab's own work: one thread beside the main one, for the cores belong to what is measured.
fn block_on<F: Future<Output = Result<Exit, Failure>>>(work: F) -> Result<Exit, Failure> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime
        .map_err(|error| Failure::other(anyhow::Error::new(error).context("starting the runtime")))?
        .block_on(work)
}
