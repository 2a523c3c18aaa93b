//! Standard output: what is known of the terminal behind it, and how to print to it.

use std::fmt;
use std::io::{IsTerminal, Write};

/// Columns where nobody can tell.
const WIDTH: usize = 120;

/// Columns of the terminal behind standard output.
pub(super) fn width() -> usize {
    terminal_size::terminal_size_of(std::io::stdout())
        .map_or(WIDTH, |(width, _)| usize::from(width.0))
}

/// Whether to colour: a terminal, and nobody said otherwise (<https://no-color.org>).
pub(super) fn colour() -> bool {
    std::io::stdout().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Prints; a reader who has gone (`run-lab plans | head -1`) is no reason to panic.
pub(super) fn say(text: fmt::Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_fmt(text).and_then(|()| out.flush());
}
