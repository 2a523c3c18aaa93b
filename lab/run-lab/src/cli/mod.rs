//! The command line: what can be asked for, and which exit code answers it.

mod arm;
mod attach;
mod bundle;
mod by_hand;
mod certify;
mod configuration;
mod doctor;
mod exit;
mod factors;
mod gate;
mod help;
mod holder;
mod order;
mod part;
mod plans;
mod results;
mod run;
mod shell;
mod terminal;
mod trace;
mod up;
mod words;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

pub use configuration::{configuration, read_back, variables};
pub use exit::{Exit, Failure};

use lab_supervise::Absolute;

/// Where did the time go between services, and can you believe it?
///
/// Starts a gateway and an echo service, offers them load at a constant rate, and books every
/// microsecond of latency to one stage of one hop. Without a command, `run-lab` means `run-lab run`.
#[derive(Debug, Parser)]
#[command(
    name = "run-lab",
    version,
    styles = help::STYLES,
    after_help = help::SHORT,
    after_long_help = help::with_exit_codes(help::RUN),
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    console: terminal::ConsoleArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Carry out a plan, print what was found and write a report
    #[command(after_help = help::MORE, after_long_help = help::with_exit_codes(help::RUN))]
    Run(Box<run::RunArgs>),
    /// Start everything there is, print where it listens and what to open, and stay until Ctrl-C
    Up(Box<up::UpArgs>),
    /// Show a run again; write its reports again with --write
    Report(results::ReportArgs),
    /// Compare runs that were made at different times; with intervals where there are three or more on each side
    #[command(after_help = help::MORE, after_long_help = results::AFTER)]
    Compare(results::CompareArgs),
    /// Show single requests: the slowest of a run, or one as a ledger drawn in time
    #[command(after_help = help::MORE, after_long_help = trace::AFTER)]
    Trace(trace::TraceArgs),
    /// Hold a change against limits, both arms in one session; exit code 0: kept, 6: exceeded, 7: it cannot tell
    #[command(after_help = help::MORE, after_long_help = gate::AFTER)]
    Gate(Box<gate::GateArgs>),
    /// Measure what measuring costs: CPU per request with probes on over probes off, cell by cell
    #[command(after_help = help::MORE, after_long_help = certify::AFTER)]
    Certify(certify::CertifyArgs),
    /// Say which parts are on this machine, and what stands in for the others
    Doctor(doctor::DoctorArgs),
    /// List the built-in plans, show one as it is written, or print the schema of plan files
    Plans(plans::PlansArgs),
    /// Print completions for a shell
    #[command(after_help = shell::COMPLETIONS)]
    Completions(shell::CompletionsArgs),
    /// Print the man page, or write one page for each command
    Man(shell::ManArgs),
    #[command(flatten)]
    Part(part::PartCommand),
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    // Usage errors and --help end the process here, with 2 and 0.
    let cli = words::parse::<Cli>(std::env::args_os()).unwrap_or_else(|error| error.exit());
    terminal::settle(cli.console);
    let done = place_for_temporary_files().and_then(|()| run_command(cli.command));
    match done {
        Ok(exit) => exit.into(),
        Err(failure) => {
            terminal::complain(&failure.error);
            failure.exit.into()
        }
    }
}

fn run_command(command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Run(arguments) => block_on(run::run(*arguments)),
        Command::Up(arguments) => block_on(up::up(*arguments)),
        Command::Report(arguments) => results::report(&arguments),
        Command::Compare(arguments) => results::compare(&arguments),
        Command::Trace(arguments) => block_on(trace::trace(arguments)),
        Command::Gate(arguments) => block_on(gate::gate(*arguments)),
        Command::Certify(arguments) => block_on(certify::certify(arguments)),
        Command::Doctor(arguments) => block_on(doctor::doctor(arguments)),
        Command::Plans(arguments) => plans::plans(&arguments),
        Command::Completions(arguments) => shell::completions(&arguments, Cli::command()),
        Command::Man(arguments) => shell::man(&arguments, Cli::command()),
        Command::Part(part) => part::run(part),
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
