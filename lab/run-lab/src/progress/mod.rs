//! Showing a run while it goes on: a bar with the time left on a terminal, plain lines elsewhere.
//!
//! Reporters see events and nothing else. What was measured is shown by the reports, afterwards.

mod bar;
mod plain;

use std::io::IsTerminal;

pub use bar::Bar;
pub use plain::Plain;

use lab_launch::NOTHING;
use lab_model::Component;
use lab_model::event::Reporter;

/// How much is told while something goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verbosity {
    /// What is not as it should be.
    Quiet,
    /// What is done, and how far it is.
    #[default]
    Normal,
    /// Each second of it.
    Verbose,
}

/// The reporter that suits where standard error goes: a bar needs a terminal that can move its cursor, and leaves out
/// what scrolls by.
#[must_use]
pub fn reporter(verbosity: Verbosity) -> Box<dyn Reporter> {
    let dumb = settings::variable("TERM").is_some_and(|term| term == "dumb");
    if std::io::stderr().is_terminal() && !dumb && verbosity == Verbosity::Normal {
        Box::new(Bar::new())
    } else {
        Box::new(Plain::new(std::io::stderr(), verbosity))
    }
}

/// One line on a part: real or standing in, and why.
pub(crate) fn component_line(component: &Component) -> String {
    let state = match component {
        Component { real: true, .. } => "real",
        Component { name, .. } if name == NOTHING => "left out",
        _ => "stands in",
    };
    let Component { role, name, version, note, .. } = component;
    let version = if version.is_empty() { String::new() } else { format!(" {version}") };
    let note = if note.is_empty() { String::new() } else { format!(": {note}") };
    format!("{role:<11} {state:<9}  {name}{version}{note}")
}

/// Nanoseconds as seconds or milliseconds, for a line on progress.
fn short(ns: u64) -> String {
    match ns {
        0..10_000_000 => format!("{:.2} ms", ns as f64 / 1e6),
        10_000_000..1_000_000_000 => format!("{:.0} ms", ns as f64 / 1e6),
        _ => format!("{:.1} s", ns as f64 / 1e9),
    }
}

/// Nanoseconds as minutes and seconds.
fn clock(ns: u64) -> String {
    let seconds = ns.div_ceil(1_000_000_000);
    if seconds < 60 {
        format!("{seconds} s")
    } else {
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    }
}
