//! The terminal that `run-lab` writes to: colour, how much is told, and the printing. Colour is decided here alone.
//!
//! What is printed is the business of the commands and of the reports.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;

use clap::{Args, ColorChoice};

use super::Failure;
use crate::progress::Verbosity;

/// Columns where nobody can tell.
const WIDTH: usize = 120;

/// What every command takes: how it is told, not what is done.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Every command")]
pub(super) struct ConsoleArgs {
    /// When to colour: auto (on a terminal, unless NO_COLOR is set), always or never
    #[arg(
        long,
        value_name = "WHEN",
        global = true,
        default_value = "auto",
        hide_possible_values = true
    )]
    color: ColorChoice,
    /// No progress and no hints: what was asked for, warnings and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// More progress: each second of each round, and where parts listen
    #[arg(short, long, global = true)]
    verbose: bool,
}

/// How this process writes. A process has one terminal, so this is settled once, when the command line has been read.
static CONSOLE: OnceLock<ConsoleArgs> = OnceLock::new();

/// From here on it is written as `console` says.
pub(super) fn settle(console: ConsoleArgs) {
    // Fails only where it has been settled before, by the same words.
    let _ = CONSOLE.set(console);
}

/// How much is told.
pub(super) fn verbosity() -> Verbosity {
    match CONSOLE.get() {
        Some(ConsoleArgs { quiet: true, .. }) => Verbosity::Quiet,
        Some(ConsoleArgs { verbose: true, .. }) => Verbosity::Verbose,
        _ => Verbosity::Normal,
    }
}

/// Columns of the terminal behind standard output.
pub(super) fn width() -> usize {
    terminal_size::terminal_size_of(std::io::stdout())
        .map_or(WIDTH, |(width, _)| usize::from(width.0))
}

/// Whether to colour what goes to standard output.
pub(super) fn colour() -> bool {
    colours(&io::stdout())
}

/// Whether to colour what goes to `out`: as `--color` says; else a terminal that can, and nobody said otherwise
/// (<https://no-color.org>).
fn colours(out: &impl IsTerminal) -> bool {
    match CONSOLE.get().map_or(ColorChoice::Auto, |console| console.color) {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => {
            out.is_terminal()
                && settings::variable("TERM").is_none_or(|term| term != "dumb")
                && settings::variable("NO_COLOR").is_none()
        }
    }
}

/// Prints `text` as it is. That nobody reads to the end (`| head`) is no error, and no panic either.
///
/// # Errors
/// If standard output takes no more for another reason, for example a full disk.
pub(super) fn print(text: impl Display) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match write!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let error = anyhow::Error::new(error).context("writing to standard output");
            Err(Failure::other(error))
        }
        _ => Ok(()),
    }
}

/// Prints `value` as JSON, for programs.
///
/// # Errors
/// As [`print()`].
pub(super) fn print_json(value: &serde_json::Value) -> Result<(), Failure> {
    print(format_args!("{value:#}\n"))
}

/// Prints where to look next. That is a convenience: quiet leaves it out, and nobody minds if it cannot be read.
pub(super) fn hint(text: impl Display) {
    if verbosity() != Verbosity::Quiet {
        let _ = print(text);
    }
}

/// Says what went wrong. Where nobody listens there is nobody to tell.
pub(super) fn complain(error: &anyhow::Error) {
    let _ = writeln!(io::stderr(), "{} {error:#}", marked("run-lab:", "1;31"));
}

/// Says what may matter, and is no error.
pub(super) fn warn(text: &str) {
    let _ = writeln!(io::stderr(), "{} {text}", marked("warning:", "1;33"));
}

/// `word` in a colour, on a standard error that shows it.
fn marked(word: &str, code: &str) -> String {
    if colours(&io::stderr()) { format!("\x1b[{code}m{word}\x1b[0m") } else { word.to_owned() }
}
