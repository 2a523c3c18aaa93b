//! What is known of the terminal that reports are printed to, and the printing.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use super::Failure;

/// Columns where nobody can tell.
const WIDTH: usize = 120;

/// Columns of the terminal behind standard output.
pub(super) fn width() -> usize {
    terminal_size::terminal_size_of(std::io::stdout())
        .map_or(WIDTH, |(width, _)| usize::from(width.0))
}

/// Whether to colour: a terminal that can, and nobody said otherwise (<https://no-color.org>).
pub(super) fn colour() -> bool {
    std::io::stdout().is_terminal()
        && settings::variable("TERM").is_none_or(|term| term != "dumb")
        && settings::variable("NO_COLOR").is_none()
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

/// Says what went wrong. Where nobody listens there is nobody to tell.
pub(super) fn complain(error: &anyhow::Error) {
    let _ = writeln!(io::stderr(), "run-lab: {error:#}");
}

/// Says what may matter, and is no error.
pub(super) fn warn(text: &str) {
    let _ = writeln!(io::stderr(), "warning: {text}");
}
