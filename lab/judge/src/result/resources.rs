//! What every process used while the rounds of a cell ran.
//!
//! Samples hold counters since the start of a process and do not fall on the edges of a round: the
//! counters are interpolated there, so that a short round is not charged a whole sampling interval.

use std::collections::BTreeMap;

use sidecar::runfile::ProcessSample;

use super::cell::{EndedResult, ResourceResult};
use super::rounding::{ratio, round};
use lab_model::{CellMeasure, RoundMeasure};

/// Counters of a process, added up over rounds and processes of one name.
#[derive(Default)]
struct Used {
    cpu_ns: f64,
    voluntary: f64,
    /// `None` of the whole machine: the kernel does not say.
    involuntary: Option<f64>,
    wait_ns: f64,
    rss_max: u64,
    threads_max: u64,
}

/// The use of every process that was sampled while the cell ran, by name.
pub(super) fn resources(measure: &CellMeasure, samples: &[ProcessSample]) -> Vec<ResourceResult> {
    let mut processes: BTreeMap<(&str, u32), Vec<&ProcessSample>> = BTreeMap::new();
    for sample in samples {
        processes.entry((&sample.process, sample.pid)).or_default().push(sample);
    }
    let mut used: BTreeMap<&str, Used> = BTreeMap::new();
    for ((name, _), samples) in &mut processes {
        samples.sort_by_key(|sample| sample.at_ns);
        for round in &measure.rounds {
            if !alive(samples, round.start_ns, round.end_ns) {
                continue;
            }
            let used = used.entry(name).or_default();
            round.spans().for_each(|span| charge(used, samples, span));
        }
    }
    for (name, used) in &mut used {
        used.read_at_the_edges(name, &measure.rounds);
    }
    let elapsed: u64 = measure.rounds.iter().map(RoundMeasure::elapsed_ns).sum();
    // What a script asks beside it is work of the same processes.
    let beside = |round: &RoundMeasure| round.k6.map_or(0, |k6| k6.beside);
    let started =
        measure.rounds.iter().map(|round| round.requests.started + beside(round)).sum::<u64>();
    used.into_iter().map(|(name, used)| used.result(name, elapsed, started)).collect()
}

/// So many samples of the machine without one of a process, and it has ended: one may be late.
const MISSED: usize = 3;

/// The processes that were sampled and are no more, well before the last round of the cell ended. One that was started
/// anew under its name has not ended.
pub(super) fn ended(measure: &CellMeasure, samples: &[ProcessSample]) -> Vec<EndedResult> {
    let Some(end) = measure.rounds.iter().map(|round| round.end_ns).max() else {
        return Vec::new();
    };
    let mut last: BTreeMap<&str, &ProcessSample> = BTreeMap::new();
    for sample in samples {
        let known = last.entry(&sample.process).or_insert(sample);
        if sample.at_ns >= known.at_ns {
            *known = sample;
        }
    }
    // The machine is sampled whenever any process is.
    let since = |seen: u64| {
        let of_machine = samples.iter().filter(|sample| sample.pid == 0);
        of_machine.filter(|sample| sample.at_ns > seen && sample.at_ns <= end).count()
    };
    let gone = last.into_values().filter(|sample| sample.pid != 0 && since(sample.at_ns) >= MISSED);
    gone.map(|sample| EndedResult {
        process: sample.process.clone(),
        pid: sample.pid,
        seen_before_end_s: round((end - sample.at_ns) as f64 / 1e9, 1e3),
    })
    .collect()
}

/// Whether the process was sampled in the round, or on both sides of it.
fn alive(samples: &[&ProcessSample], start: u64, end: u64) -> bool {
    samples.first().is_some_and(|first| first.at_ns <= end)
        && samples.last().is_some_and(|last| last.at_ns >= start)
}

fn charge(used: &mut Used, samples: &[&ProcessSample], (start, end): (u64, u64)) {
    let between = |counter: fn(&ProcessSample) -> u64| {
        (at(samples, end, counter) - at(samples, start, counter)).max(0.0)
    };
    used.cpu_ns += between(|sample| sample.cpu_ns);
    used.voluntary += between(|sample| sample.voluntary_switches);
    if samples.first().is_some_and(|sample| sample.pid != 0) {
        *used.involuntary.get_or_insert(0.0) += between(|sample| sample.involuntary_switches);
    }
    used.wait_ns += between(|sample| sample.run_queue_wait_ns);
    // Gauges: the samples inside the round and the ones next to it.
    let first = samples.partition_point(|sample| sample.at_ns < start).saturating_sub(1);
    let last = samples.partition_point(|sample| sample.at_ns <= end);
    for sample in &samples[first..=last.min(samples.len() - 1)] {
        used.rss_max = used.rss_max.max(sample.rss_bytes);
        used.threads_max = used.threads_max.max(sample.threads);
    }
}

/// A counter at `when`: between two samples on the straight line, outside them as the nearest says.
fn at(samples: &[&ProcessSample], when: u64, counter: fn(&ProcessSample) -> u64) -> f64 {
    let next = samples.partition_point(|sample| sample.at_ns <= when);
    let before = next.checked_sub(1).and_then(|index| samples.get(index));
    match (before, samples.get(next)) {
        (Some(before), Some(after)) => {
            let (from, to) = (counter(before) as f64, counter(after) as f64);
            let part = (when - before.at_ns) as f64 / (after.at_ns - before.at_ns) as f64;
            from + (to - from) * part
        }
        (Some(only), None) | (None, Some(only)) => counter(only) as f64,
        (None, None) => 0.0,
    }
}

impl Used {
    /// What was read at the edges of every round and turn is known better than samples tell it, of which cells that take
    /// turns share each.
    fn read_at_the_edges(&mut self, name: &str, rounds: &[RoundMeasure]) {
        let read: Option<Vec<_>> = rounds.iter().map(|round| round.processes.get(name)).collect();
        if let Some(read) = read {
            self.cpu_ns = read.iter().map(|used| used.cpu_ns as f64).sum();
            self.wait_ns = read.iter().map(|used| used.wait_ns as f64).sum();
        }
    }

    fn result(self, name: &str, elapsed_ns: u64, started: u64) -> ResourceResult {
        ResourceResult {
            process: name.to_owned(),
            cpu_s: round(self.cpu_ns / 1e9, 1e6),
            cores: ratio(self.cpu_ns, elapsed_ns as f64),
            cpu_us_per_request: ratio(self.cpu_ns / 1e3, started as f64),
            rss_max_bytes: self.rss_max,
            threads_max: self.threads_max,
            voluntary_switches: self.voluntary.round() as u64,
            involuntary_switches: self.involuntary.map(|count| count.round() as u64),
            run_queue_wait_s: round(self.wait_ns / 1e9, 1e6),
            run_queue_wait_share: ratio(self.wait_ns, self.wait_ns + self.cpu_ns),
        }
    }
}
