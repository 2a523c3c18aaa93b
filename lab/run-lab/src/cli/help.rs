//! What the help says beside the options: how it looks, examples, exit codes.

use std::fmt::Write as _;

use clap::builder::Styles;
use clap::builder::styling::{AnsiColor, Effects};

use super::Exit;

/// Headings and words to type in colours that every terminal has, as cargo's help has them.
pub(super) const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().effects(Effects::BOLD))
    .usage(AnsiColor::Green.on_default().effects(Effects::BOLD))
    .literal(AnsiColor::Cyan.on_default().effects(Effects::BOLD))
    .placeholder(AnsiColor::Cyan.on_default())
    .error(AnsiColor::Red.on_default().effects(Effects::BOLD))
    .valid(AnsiColor::Green.on_default());

/// What the short help (`-h`) of `run-lab` ends with.
pub(super) const SHORT: &str = "\
Begin with:
  run-lab                       the default plan: REST against gRPC, less than three minutes
  run-lab run --plan smoke      does everything work? ten seconds
  run-lab doctor                which real parts are here, and how to get the others

Without a command, `run-lab` means `run-lab run`. `run-lab COMMAND -h` is short, `--help` has everything.";

/// What the short help of a command ends with.
pub(super) const MORE: &str = "--help has examples, units and exit codes.";

/// What the long help of `run` ends with, before the exit codes.
pub(super) const RUN: &str = "\
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
  run-lab run --plan smoke --json | jq .cells[].verdict.status
  run-lab certify --size 10,1MB               what measuring itself costs, probes on over off

Sizes are bytes, or end in kB, MB (10^3, 10^6) or KiB, MiB (2^10, 2^20). Durations are
numbers with ns, us, ms, s, m or h: 500ms, 1.5s, 1m30s.";

/// `text`, and every exit code behind it.
pub(super) fn with_exit_codes(text: &str) -> String {
    let mut all = format!("{text}\n\nExit codes:\n");
    for exit in Exit::ALL {
        // Writing to a string cannot fail.
        let _ = writeln!(all, "  {:<4} {}", exit as u8, exit.meaning());
    }
    all.truncate(all.trim_end().len());
    all
}
