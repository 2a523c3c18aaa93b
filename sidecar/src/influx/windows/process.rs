//! Processes in windows of a second: rates from consecutive samples.
//!
//! What a counter gained between two samples is laid evenly over the time between them. A rate is what fell
//! into a second over how much of that second was sampled. Processes of one name come and go, as the backends
//! of a database do: what all of them gained goes over the time in which there was any.

use std::collections::{BTreeMap, HashMap, HashSet};

use ledger::names;

use super::tags::OTHER;
use crate::influx::SECOND;
use crate::influx::line::Lines;
use crate::runfile::ProcessSample;

/// Process names that points tell apart; later ones are [`OTHER`].
const MOST_NAMES: usize = 256;

/// What was gained in one second.
#[derive(Debug, Clone, Copy, Default)]
struct Gained {
    cpu_ns: f64,
    voluntary: f64,
    involuntary: f64,
    run_queue_wait_ns: f64,
    rss_bytes: u64,
    threads: u64,
}

/// All processes of one name in one second.
#[derive(Debug, Default)]
pub(super) struct ProcessWindow {
    /// Counters are added up, sizes are those of the largest.
    gained: Gained,
    /// Time of the second in which any was sampled.
    covered_ns: u64,
    /// Where that ends so far.
    until: u64,
    /// Whether any is a process and not the whole machine.
    process: bool,
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
                gains.extend(gained(before, sample, span, from).map(|(covered, gained)| Gain {
                    second: covered.0 / SECOND,
                    name: name.clone(),
                    pid: sample.pid,
                    covered,
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
    /// From when to when it was sampled in that second, in wall time.
    covered: (u64, u64),
    gained: Gained,
}

/// Lays the difference of two samples over the seconds of `span`; answers from when to when it covers each.
fn gained(
    before: &ProcessSample,
    after: &ProcessSample,
    span: (u64, u64),
    from: u64,
) -> impl Iterator<Item = ((u64, u64), Gained)> {
    let difference = |counter: fn(&ProcessSample) -> u64| {
        // A counter that went back is of another process with the same id: there is no difference.
        counter(after).checked_sub(counter(before)).map(|ns| ns as f64)
    };
    let whole = || {
        Some(Gained {
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
            let covered = (span.0.max(begins), span.1.min(ends));
            let share = covered.1.saturating_sub(covered.0) as f64 / length as f64;
            let part = Gained {
                cpu_ns: whole.cpu_ns * share,
                voluntary: whole.voluntary * share,
                involuntary: whole.involuntary * share,
                run_queue_wait_ns: whole.run_queue_wait_ns * share,
                ..whole
            };
            (covered, part)
        })
    })
}

impl ProcessWindow {
    pub(super) fn add(&mut self, gain: &Gain) {
        // Samples come in the order of time: what two processes cover both counts once.
        let (from, to) = gain.covered;
        self.covered_ns += to.saturating_sub(from.max(self.until));
        self.until = self.until.max(to);
        self.process |= gain.pid != 0;
        let (sum, more) = (&mut self.gained, &gain.gained);
        sum.cpu_ns += more.cpu_ns;
        sum.voluntary += more.voluntary;
        sum.involuntary += more.involuntary;
        sum.run_queue_wait_ns += more.run_queue_wait_ns;
        // A sum would count the pages that processes share once for each.
        sum.rss_bytes = sum.rss_bytes.max(more.rss_bytes);
        sum.threads = sum.threads.max(more.threads);
    }

    /// Writes its point: rates of all processes of the name, sizes of the largest.
    pub(super) fn write(&self, lines: &mut Lines, run: &str, name: &str, at_ns: u64) {
        let per = |gained: f64, unit: f64| gained / self.covered_ns.max(1) as f64 * unit;
        let (sum, second) = (&self.gained, SECOND as f64);
        let fields = lines
            .point(names::M_PROCESS, &[(names::T_RUN, run), (names::T_PROCESS, name)])
            .float(names::F_CPU_CORES, per(sum.cpu_ns, 1.0))
            .count(names::F_RSS_BYTES, sum.rss_bytes)
            .count(names::F_THREADS, sum.threads)
            .float(names::F_VOLUNTARY_SWITCHES, per(sum.voluntary, second))
            .float(names::F_RUN_QUEUE_WAIT, per(sum.run_queue_wait_ns, 1.0));
        if !self.process {
            // The kernel does not say which of the whole machine's switches were forced.
            return fields.at(at_ns);
        }
        fields.float(names::F_INVOLUNTARY_SWITCHES, per(sum.involuntary, second)).at(at_ns);
    }
}

/// The processes of one second, by name.
pub(super) type ProcessesOfSecond = BTreeMap<String, ProcessWindow>;
