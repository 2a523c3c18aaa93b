//! Progress as a bar with the time left, for people at a terminal.

use std::io::Write;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{clock, plain};
use lab_model::event::{LabEvent, Reporter};

/// A bar under the lines that stay.
#[derive(Debug)]
pub struct Bar {
    bar: ProgressBar,
    expected_ns: u64,
    /// Planned time of what is done.
    done_ns: u64,
}

impl Bar {
    /// A bar on standard error, drawn at most five times a second: drawing takes CPU from the run.
    #[must_use]
    pub fn new() -> Bar {
        let bar = ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::stderr_with_hz(5));
        let style = ProgressStyle::with_template("[{bar:30}] {percent:>3} %  {wide_msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
        Bar { bar, expected_ns: 1, done_ns: 0 }
    }

    fn show(&self, at_ns: u64, message: &str) {
        let at = at_ns.min(self.expected_ns);
        self.bar.set_position(at / 1_000_000);
        self.bar.set_message(format!("{} left  {message}", clock(self.expected_ns - at)));
    }
}

impl Default for Bar {
    fn default() -> Self {
        Bar::new()
    }
}

impl Reporter for Bar {
    fn on(&mut self, event: &LabEvent) {
        match event {
            LabEvent::RoundGoesOn { cell, requests, in_flight, elapsed_ns } => {
                let mut message = format!("{cell}: {} ok, {in_flight} in flight", requests.ok);
                for (count, what) in [(requests.dropped, "dropped"), (requests.error, "failed")] {
                    if count > 0 {
                        message.push_str(&format!(", {count} {what}"));
                    }
                }
                self.show(self.done_ns + elapsed_ns, &message);
            }
            LabEvent::RoundBegan { cell, .. } => self.show(self.done_ns, cell),
            _ => {}
        }
        match event {
            LabEvent::Began { expected_ns, .. }
            | LabEvent::CertificationBegan { expected_ns, .. } => {
                self.expected_ns = (*expected_ns).max(1);
                self.bar.set_length(self.expected_ns / 1_000_000);
            }
            LabEvent::RoundEnded { planned_ns, .. } => self.done_ns += planned_ns,
            LabEvent::Closing | LabEvent::Stopping { .. } => self.bar.set_message(String::new()),
            _ => {}
        }
        // Ready parts scroll by too fast to be read, and a log has them; but a page is there to be opened.
        let hidden = matches!(event, LabEvent::Ready { part, .. } if part != "grafana");
        if let Some(line) = plain::line(event).filter(|_| !hidden) {
            // Progress that nobody can read must not stop the run.
            self.bar.suspend(|| {
                let _ = writeln!(std::io::stderr(), "{line}");
            });
        }
        if matches!(event, LabEvent::Closing) {
            self.bar.finish_and_clear();
        }
    }
}
