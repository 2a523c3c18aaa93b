//! Progress as lines, for logs and pipes.

use std::io::Write;

use super::{Verbosity, clock, component_line, short};
use lab_judge::result::units::{percent, time};
use lab_model::event::{LabEvent, Reporter};
use lab_model::{Certificate, Requests};

/// Writes a line for what is worth one.
#[derive(Debug)]
pub struct Plain<W>(W, Verbosity);

impl<W: Write + Send> Plain<W> {
    /// Lines go to `out`, as many as `verbosity` says.
    pub fn new(out: W, verbosity: Verbosity) -> Self {
        Plain(out, verbosity)
    }
}

impl<W: Write + Send> Reporter for Plain<W> {
    fn on(&mut self, event: &LabEvent) {
        let told = match self.1 {
            Verbosity::Quiet => line(event).filter(|_| is_trouble(event)),
            Verbosity::Normal => line(event),
            Verbosity::Verbose => line(event).or_else(|| second(event)),
        };
        if let Some(line) = told {
            // Progress that nobody can read must not stop the run.
            let _ = writeln!(self.0, "{line}");
        }
    }
}

/// Whether an event is no progress: something is not as it was asked for.
fn is_trouble(event: &LabEvent) -> bool {
    use LabEvent::{NoBoards, NotCertified, Stopping};
    matches!(event, NoBoards { .. } | NotCertified { .. } | Stopping { .. })
}

/// What is told of the seconds of a round to who wants to know.
fn second(event: &LabEvent) -> Option<String> {
    match event {
        LabEvent::RoundBegan { cell, round } => {
            Some(format!("{cell:<16} round {} begins", round + 1))
        }
        LabEvent::RoundGoesOn { cell, requests, in_flight, elapsed_ns } => Some(format!(
            "{cell:<16} {:>5.1} s: {} ok, {in_flight} in flight, {} dropped, {} failed",
            *elapsed_ns as f64 / 1e9,
            requests.ok,
            requests.dropped,
            requests.error
        )),
        _ => None,
    }
}

/// What an event has to say, if anything.
pub(super) fn line(event: &LabEvent) -> Option<String> {
    Some(match event {
        LabEvent::Began { plan, cells, rounds, expected_ns, out } => {
            let plural = |count: u64| if count == 1 { "" } else { "s" };
            let (takes, out) = (clock(*expected_ns), out.display());
            format!(
                "plan {plan}: {cells} cell{}, {rounds} round{}, about {takes}; results go to {out}",
                plural(*cells as u64),
                plural(u64::from(*rounds))
            )
        }
        LabEvent::Uses(component) => component_line(component),
        LabEvent::Preparing { what } => format!("{what} …"),
        LabEvent::Ready { part, address, pid } => {
            format!("{part} listens on {address} (process {pid})")
        }
        LabEvent::Boards { address, run, files } => format!(
            "boards    http://{address}/d/lab-breakdown?var-run={run} (their files: {})",
            files.display()
        ),
        LabEvent::NoBoards { reason } => {
            format!("warning: there are no boards, Grafana does not start: {reason}")
        }
        LabEvent::CertificationBegan { cells, expected_ns } => {
            let plural = if *cells == 1 { "" } else { "s" };
            format!("certifying the probe on {cells} cell{plural}, about {}", clock(*expected_ns))
        }
        LabEvent::Certifying { pairs, cell, place: (number, all), .. } => {
            let place = if *all > 1 { format!("[{number} of {all}] ") } else { String::new() };
            format!(
                "{place}certifying the probe on {cell}: {pairs} pairs of rounds, probes on and off"
            )
        }
        LabEvent::Certified(certificate) => certificate_line(certificate),
        LabEvent::NotCertified { cell, reason } => {
            format!("{cell}: the probe could not be certified: {reason}")
        }
        LabEvent::RoundEnded { cell, round, requests, p50_ns, p99_ns, .. } => {
            round_line(cell, *round, *requests, (*p50_ns, *p99_ns))
        }
        LabEvent::Stopping { reason } => format!("stopping: {reason}"),
        LabEvent::Closing => "closing the books".to_owned(),
        LabEvent::RoundBegan { .. } | LabEvent::RoundGoesOn { .. } => {
            return None;
        }
    })
}

/// What the probe costs on one cell, and what that was computed from.
fn certificate_line(certificate: &Certificate) -> String {
    let Certificate { cost, on_ns, off_ns, .. } = certificate;
    let (low, high) = cost.interval;
    let latency = cost.latency.map_or_else(String::new, |(ratio, (low, high))| {
        format!("; {ratio:.3}x latency ({low:.3} to {high:.3})")
    });
    format!(
        "{}: the probe costs {:.3}x CPU per request (95 % interval {low:.3} to {high:.3}): {} with \
         it, {} without, {} of the requests traced{latency}",
        cost.cell,
        cost.ratio,
        time(on_ns / 1e3),
        time(off_ns / 1e3),
        percent(cost.traced_share)
    )
}

/// A round that has ended: its requests, and median and 99th percentile in nanoseconds.
fn round_line(cell: &str, round: u32, r: Requests, (p50, p99): (u64, u64)) -> String {
    let mut line = format!("{cell:<16} round {}: {} of {} ok", round + 1, r.ok, r.planned);
    for (count, what) in [
        (r.dropped, "dropped"),
        (r.error, "failed"),
        (r.unfinished, "unfinished"),
        (r.late.unwrap_or(0), "late"),
    ] {
        if count > 0 {
            line.push_str(&format!(", {count} {what}"));
        }
    }
    if r.ok > 0 {
        line.push_str(&format!("; p50 {}", short(p50)));
        if r.tell_p99() {
            line.push_str(&format!(", p99 {}", short(p99)));
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use lab_model::Component;

    #[test]
    fn a_run_reads_as_lines() {
        let mut plain = Plain::new(Vec::new(), Verbosity::Normal);
        for event in [
            LabEvent::Began {
                plan: "smoke".to_owned(),
                cells: 2,
                rounds: 1,
                expected_ns: 62_400_000_000,
                out: "lab-runs/x".into(),
            },
            LabEvent::Uses(Component {
                role: "driver".to_owned(),
                name: "built-in driver".to_owned(),
                version: "0.1.0".to_owned(),
                address: None,
                real: false,
                note: "for k6".to_owned(),
            }),
            LabEvent::RoundBegan { cell: "rest-1kB".to_owned(), round: 0 },
            LabEvent::RoundEnded {
                cell: "rest-1kB".to_owned(),
                round: 0,
                requests: Requests {
                    planned: 100,
                    started: 97,
                    dropped: 3,
                    ok: 96,
                    error: 1,
                    ..Requests::default()
                },
                p50_ns: 812_000,
                p99_ns: 23_000_000,
                planned_ns: 1,
            },
        ] {
            plain.on(&event);
        }
        expect![[r#"
            plan smoke: 2 cells, 1 round, about 1 min 03 s; results go to lab-runs/x
            driver      stands in  built-in driver 0.1.0: for k6
            rest-1kB         round 1: 96 of 100 ok, 3 dropped, 1 failed; p50 0.81 ms
        "#]]
        .assert_eq(&String::from_utf8(plain.0).unwrap());
    }
}
