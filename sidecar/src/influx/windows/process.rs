//! Processes in windows of a second: rates from consecutive samples.
//!
//! What a counter gained between two samples is laid evenly over the time between them. A rate is what fell
//! into a second over how much of that second was sampled.

use std::collections::{BTreeMap, HashMap, HashSet};

use ledger::names;

use super::cells::OTHER;
use crate::influx::SECOND;
use crate::influx::line::Lines;
use crate::runfile::ProcessSample;

/// Process names that points tell apart; later ones are [`OTHER`].
const MOST_NAMES: usize = 256;

/// What one process gained in one second.
#[derive(Debug, Clone, Copy, Default)]
struct Gained {
    covered_ns: f64,
    cpu_ns: f64,
    voluntary: f64,
    involuntary: f64,
    run_queue_wait_ns: f64,
    rss_bytes: u64,
    threads: u64,
}

/// All processes of one name in one second, by pid.
#[derive(Debug, Default)]
pub(super) struct ProcessWindow {
    pids: HashMap<u32, Gained>,
}

/// Remembers the latest sample of every process.
#[derive(Debug, Default)]
pub(super) struct Processes {
    last: HashMap<(String, u32), ProcessSample>,
    names: HashSet<String>,
}

impl Processes {
    /// Takes in samples of one time; answers what each process gained since the one before it, by the
    /// second of `wall_ns`, as far as seconds are not before `from`.
    pub(super) fn gains(
        &mut self,
        samples: &[ProcessSample],
        from: u64,
        wall_ns: impl Fn(u64) -> u64,
    ) -> Vec<Gain> {
        let mut gains = Vec::new();
        let before = std::mem::take(&mut self.last);
        for sample in samples {
            let key = (sample.process.clone(), sample.pid);
            if let Some(before) = before.get(&key) {
                let name = self.name(&sample.process);
                let span = (wall_ns(before.at_ns), wall_ns(sample.at_ns));
                gains.extend(gained(before, sample, span, from).map(|(second, gained)| Gain {
                    second,
                    name: name.clone(),
                    pid: sample.pid,
                    gained,
                }));
            }
            self.last.insert(key, sample.clone());
        }
        gains
    }

    fn name(&mut self, name: &str) -> String {
        if self.names.contains(name) {
            return name.to_owned();
        }
        if self.names.len() >= MOST_NAMES {
            return OTHER.to_owned();
        }
        self.names.insert(name.to_owned());
        name.to_owned()
    }
}

/// What a process gained in one second, between two samples.
#[derive(Debug)]
pub(super) struct Gain {
    pub(super) second: u64,
    pub(super) name: String,
    pid: u32,
    gained: Gained,
}

/// Lays the difference of two samples over the seconds of `span`.
fn gained(
    before: &ProcessSample,
    after: &ProcessSample,
    span: (u64, u64),
    from: u64,
) -> impl Iterator<Item = (u64, Gained)> {
    let difference = |counter: fn(&ProcessSample) -> u64| {
        // A counter that went back is of another process with the same id: there is no difference.
        counter(after).checked_sub(counter(before)).map(|ns| ns as f64)
    };
    let whole = || {
        Some(Gained {
            covered_ns: 0.0,
            cpu_ns: difference(|s| s.cpu_ns)?,
            voluntary: difference(|s| s.voluntary_switches)?,
            involuntary: difference(|s| s.involuntary_switches)?,
            run_queue_wait_ns: difference(|s| s.run_queue_wait_ns)?,
            rss_bytes: after.rss_bytes,
            threads: after.threads,
        })
    };
    let length = span.1.saturating_sub(span.0);
    let whole = whole().filter(|_| length > 0);
    let seconds = (span.0 / SECOND).max(from)..=span.1.saturating_sub(1) / SECOND;
    whole.into_iter().flat_map(move |whole| {
        seconds.clone().map(move |second| {
            let (begins, ends) = (second * SECOND, (second + 1) * SECOND);
            let covered = span.1.min(ends).saturating_sub(span.0.max(begins)) as f64;
            let share = covered / length as f64;
            let part = Gained {
                covered_ns: covered,
                cpu_ns: whole.cpu_ns * share,
                voluntary: whole.voluntary * share,
                involuntary: whole.involuntary * share,
                run_queue_wait_ns: whole.run_queue_wait_ns * share,
                ..whole
            };
            (second, part)
        })
    })
}

impl ProcessWindow {
    pub(super) fn add(&mut self, gain: &Gain) {
        let sum = self.pids.entry(gain.pid).or_default();
        let more = &gain.gained;
        sum.covered_ns += more.covered_ns;
        sum.cpu_ns += more.cpu_ns;
        sum.voluntary += more.voluntary;
        sum.involuntary += more.involuntary;
        sum.run_queue_wait_ns += more.run_queue_wait_ns;
        sum.rss_bytes = sum.rss_bytes.max(more.rss_bytes);
        sum.threads = sum.threads.max(more.threads);
    }

    /// Writes its point: rates and sizes of processes of one name added up.
    pub(super) fn write(&self, lines: &mut Lines, run: &str, name: &str, at_ns: u64) {
        let per = |counter: fn(&Gained) -> f64, unit: f64| -> f64 {
            self.pids.values().map(|pid| counter(pid) / pid.covered_ns.max(1.0) * unit).sum()
        };
        let total = |size: fn(&Gained) -> u64| self.pids.values().map(size).sum::<u64>();
        let second = SECOND as f64;
        let fields = lines
            .point(names::M_PROCESS, &[(names::T_RUN, run), (names::T_PROCESS, name)])
            .float(names::F_CPU_CORES, per(|pid| pid.cpu_ns, 1.0))
            .count(names::F_RSS_BYTES, total(|pid| pid.rss_bytes))
            .count(names::F_THREADS, total(|pid| pid.threads))
            .float(names::F_VOLUNTARY_SWITCHES, per(|pid| pid.voluntary, second))
            .float(names::F_RUN_QUEUE_WAIT, per(|pid| pid.run_queue_wait_ns, 1.0));
        if self.pids.keys().all(|&pid| pid == 0) {
            // The kernel does not say which of the whole machine's switches were forced.
            return fields.at(at_ns);
        }
        fields.float(names::F_INVOLUNTARY_SWITCHES, per(|pid| pid.involuntary, second)).at(at_ns);
    }
}

/// The processes of one second, by name.
pub(super) type ProcessesOfSecond = BTreeMap<String, ProcessWindow>;
