//! One repetition of a cell, measured in one go or in turns.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// What became of the planned requests of a round. `planned = started + dropped` and
/// `started = ok + error + unfinished`; `late` is a part of `started`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Requests {
    /// Arrivals that the plan asked for.
    pub planned: u64,
    /// Requests that were sent.
    pub started: u64,
    /// Arrivals for which no slot was free.
    pub dropped: u64,
    /// Requests sent more than [`LATE_NS`] after their planned time; `None` where the load generator does not
    /// tell (k6).
    pub late: Option<u64>,
    /// Requests answered as the contract says.
    pub ok: u64,
    /// Requests answered otherwise or not at all.
    pub error: u64,
    /// Requests still in flight when the run was interrupted.
    pub unfinished: u64,
}

/// From this share of dropped arrivals on there is no p99: dropped ones are in no latency, and would be among the slowest.
const DROPPED_NO_P99: f64 = 0.001;

impl Requests {
    /// Whether so few arrivals were dropped that the slowest hundredth was seen, and there is a p99.
    #[must_use]
    pub fn tell_p99(&self) -> bool {
        (self.dropped as f64) < self.planned.max(1) as f64 * DROPPED_NO_P99
    }
}

/// A request sent later than this after its planned time is late, in nanoseconds.
pub const LATE_NS: u64 = 10_000_000;

impl std::ops::AddAssign for Requests {
    fn add_assign(&mut self, other: Self) {
        self.planned += other.planned;
        self.started += other.started;
        self.dropped += other.dropped;
        self.late = self.late.zip(other.late).map(|(own, other)| own + other);
        self.ok += other.ok;
        self.error += other.error;
        self.unfinished += other.unfinished;
    }
}

/// One second of a round, by the planned time of its requests.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Second {
    /// Seconds since the measured part of the round began.
    pub second: u64,
    /// Requests planned in it.
    pub planned: u64,
    /// Requests that ended in it.
    pub completed: u64,
    /// Arrivals dropped in it.
    pub dropped: u64,
    /// Of the requests planned in it, those that were sent.
    pub started: u64,
    /// Of the requests planned in it, those that were sent more than [`LATE_NS`] after their planned time; `None` as in [`Requests`].
    pub late: Option<u64>,
    /// Of the requests planned in it, those that were answered as the contract says.
    pub ok: u64,
    /// Of the requests planned in it, those that were answered otherwise or not at all.
    pub error: u64,
    /// Sum of the latencies of the requests planned in it that succeeded, in microseconds.
    pub latency_sum_us: f64,
    /// How many latencies that sum holds.
    pub latency_count: u64,
}

impl Second {
    /// Adds what another turn had in the same second.
    fn add(&mut self, other: &Second) {
        self.planned += other.planned;
        self.completed += other.completed;
        self.dropped += other.dropped;
        self.started += other.started;
        self.late = self.late.zip(other.late).map(|(own, other)| own + other);
        self.ok += other.ok;
        self.error += other.error;
        self.latency_sum_us += other.latency_sum_us;
        self.latency_count += other.latency_count;
    }
}

/// What a database counted of its own work on the cell's statement (`pg_stat_statements`).
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize)]
pub struct Statements {
    /// Executions.
    pub calls: u64,
    /// Time inside of them, in microseconds.
    pub exec_us: f64,
}

impl Statements {
    /// What came on top of `before`.
    #[must_use]
    pub fn since(self, before: Statements) -> Statements {
        Statements {
            calls: self.calls.saturating_sub(before.calls),
            exec_us: (self.exec_us - before.exec_us).max(0.0),
        }
    }
}

/// What k6 alone says of a round that it drove.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct K6Measure {
    /// A threshold was not kept (k6's exit code 99). That is a finding, not an error.
    pub thresholds_failed: bool,
    /// Requests of which everything is known.
    pub joined: u64,
    /// Requests of which lines are missing, so that their latency is not known: cut off when k6 stopped, or
    /// their lines were refused. They count as errors, or as unfinished in a round that was halted.
    pub not_joined: u64,
    /// Lines of its stream that could not be read.
    pub lines_refused: u64,
    /// Requests whose times by k6 lie outside of what the script noted around them: before the script made the request, or
    /// after it had the answer. Requests that opened a connection are left out, since k6's times of them overlap.
    pub misplaced: u64,
    /// Requests that opened a connection.
    pub connected: u64,
    /// What opening them took in all, in nanoseconds; that is a part of k6's `blocked`, and so of its latency, which is
    /// blocked + duration.
    pub connecting_ns: u64,
    /// Root spans that did not reach the sidecar.
    pub spans_lost: u64,
    /// Requests of other kinds that a script of the user's own made in the time of these.
    pub beside: u64,
}

/// One repetition of a cell, as the load generator saw it.
#[derive(Debug, Clone)]
pub struct RoundMeasure {
    /// Round number, from 0.
    pub round: u32,
    /// Start of the measured part, on [`ledger::clock`].
    pub start_ns: u64,
    /// End of the measured part: the last request has ended.
    pub end_ns: u64,
    /// Where other cells had their turns meanwhile, from the end of one of its own to the begin of the next. Empty where
    /// it was measured in one go.
    pub rests: Vec<(u64, u64)>,
    /// Accounting.
    pub requests: Requests,
    /// Requests traced.
    pub traced: u64,
    /// How many requests each traced one stands for.
    pub weight: f64,
    /// Latency from the planned start of every successful request, in nanoseconds.
    pub latency: Histogram<u64>,
    /// Planned start to start of the call, of every started request, in nanoseconds.
    pub send_delay: Histogram<u64>,
    /// One entry a second.
    pub seconds: Vec<Second>,
    /// What errors said, and how often.
    pub errors: BTreeMap<String, u64>,
    /// What the database counted meanwhile, warm-up included, where there is one.
    pub statements: Option<Statements>,
    /// What k6 alone says, where it drove.
    pub k6: Option<K6Measure>,
    /// What each process that is ours used in the measured part, by the name that it is sampled under, where it was
    /// looked at: at the edges, which samples miss.
    pub processes: BTreeMap<String, CpuUse>,
    /// CPU used by all services in the measured part, in nanoseconds, where they are ours and were looked at.
    pub services_cpu_ns: Option<u64>,
    /// CPU used by the load generator's process in the measured part, in nanoseconds.
    pub driver_cpu_ns: u64,
    /// CPU used by the whole machine in the measured part, as a share of all its cores (0 … 1).
    pub host_cpu_share: f64,
}

impl RoundMeasure {
    /// Its parts without a rest, each from its begin to its end.
    pub fn spans(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let begins = std::iter::once(self.start_ns).chain(self.rests.iter().map(|&(_, to)| to));
        let ends = self.rests.iter().map(|&(from, _)| from).chain([self.end_ns]);
        std::iter::zip(begins, ends)
    }

    /// Time measured, without its rests, in nanoseconds.
    #[must_use]
    pub fn elapsed_ns(&self) -> u64 {
        self.spans().map(|(from, to)| to.saturating_sub(from)).sum()
    }

    /// When it had been measured for `measured_ns`, its rests left out, on [`ledger::clock`].
    #[must_use]
    pub fn at(&self, mut measured_ns: u64) -> u64 {
        for (from, to) in self.spans() {
            let length = to.saturating_sub(from);
            if measured_ns < length {
                return from + measured_ns;
            }
            measured_ns -= length;
        }
        self.end_ns + measured_ns
    }

    /// Adds the next turn of the same round, after a rest.
    pub fn go_on(&mut self, turn: RoundMeasure) {
        let (before, after) = (self.elapsed_ns() as f64, turn.elapsed_ns() as f64);
        if before + after > 0.0 {
            let busy = self.host_cpu_share * before + turn.host_cpu_share * after;
            self.host_cpu_share = busy / (before + after);
        }
        self.rests.push((self.end_ns, turn.start_ns));
        self.end_ns = turn.end_ns;
        self.requests += turn.requests;
        self.traced += turn.traced;
        // Both are of one load generator, and count within the same bounds.
        self.latency += &turn.latency;
        self.send_delay += &turn.send_delay;
        for second in turn.seconds {
            match self.seconds.iter_mut().find(|own| own.second == second.second) {
                Some(own) => own.add(&second),
                None => self.seconds.push(second),
            }
        }
        for (text, count) in turn.errors {
            *self.errors.entry(text).or_default() += count;
        }
        self.statements = self.statements.zip(turn.statements).map(|(own, turn)| Statements {
            calls: own.calls + turn.calls,
            exec_us: own.exec_us + turn.exec_us,
        });
        for (name, used) in turn.processes {
            let own = self.processes.entry(name).or_default();
            (own.cpu_ns, own.wait_ns) = (own.cpu_ns + used.cpu_ns, own.wait_ns + used.wait_ns);
        }
        self.services_cpu_ns =
            self.services_cpu_ns.zip(turn.services_cpu_ns).map(|(own, turn)| own + turn);
        self.driver_cpu_ns += turn.driver_cpu_ns;
    }
}

/// What the threads of a process used, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CpuUse {
    /// On a CPU.
    pub cpu_ns: u64,
    /// Ready, and waiting for a CPU.
    pub wait_ns: u64,
}

impl CpuUse {
    /// What came on top of `before`.
    #[must_use]
    pub fn since(self, before: CpuUse) -> CpuUse {
        CpuUse {
            cpu_ns: self.cpu_ns.saturating_sub(before.cpu_ns),
            wait_ns: self.wait_ns.saturating_sub(before.wait_ns),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(start_ns: u64, end_ns: u64, busy: f64) -> RoundMeasure {
        let histogram = || Histogram::new(3).unwrap();
        RoundMeasure {
            round: 0,
            start_ns,
            end_ns,
            rests: Vec::new(),
            requests: Requests { planned: 5, started: 5, ok: 5, ..Requests::default() },
            traced: 5,
            weight: 1.0,
            latency: histogram(),
            send_delay: histogram(),
            seconds: vec![Second { planned: 5, latency_sum_us: 50.0, ..Second::default() }],
            errors: BTreeMap::new(),
            statements: Some(Statements { calls: 5, exec_us: 100.0 }),
            k6: None,
            processes: [("echo".to_owned(), CpuUse { cpu_ns: 7, wait_ns: 2 })].into(),
            services_cpu_ns: Some(7),
            driver_cpu_ns: 3,
            host_cpu_share: busy,
        }
    }

    #[test]
    fn turns_add_up_and_their_rests_do_not_count() {
        let mut all = turn(100, 200, 0.1);
        all.go_on(turn(500, 800, 0.5));
        assert_eq!(all.spans().collect::<Vec<_>>(), [(100, 200), (500, 800)]);
        assert_eq!(all.elapsed_ns(), 400);
        assert_eq!((all.requests.planned, all.traced, all.driver_cpu_ns), (10, 10, 6));
        assert_eq!(all.processes["echo"], CpuUse { cpu_ns: 14, wait_ns: 4 });
        assert_eq!(all.services_cpu_ns, Some(14));
        assert_eq!(all.statements, Some(Statements { calls: 10, exec_us: 200.0 }));
        assert_eq!((all.seconds.len(), all.seconds[0].planned), (1, 10));
        // A quarter of the time at 10 %, the rest at 50 %.
        assert!((all.host_cpu_share - 0.4).abs() < 1e-12);
    }

    #[test]
    fn a_time_that_was_measured_lies_in_the_turn_that_it_was_measured_in() {
        let mut all = turn(100, 200, 0.0);
        assert_eq!((all.at(0), all.at(99), all.at(150)), (100, 199, 250));
        all.go_on(turn(500, 800, 0.0));
        assert_eq!((all.at(99), all.at(100), all.at(399), all.at(450)), (199, 500, 799, 850));
    }

    #[test]
    fn what_one_turn_does_not_know_the_round_does_not() {
        let mut all = turn(100, 200, 0.0);
        all.go_on(RoundMeasure { services_cpu_ns: None, statements: None, ..turn(300, 400, 0.0) });
        assert_eq!((all.services_cpu_ns, all.statements), (None, None));
    }
}
