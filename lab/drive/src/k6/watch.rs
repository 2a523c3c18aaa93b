//! A round under way: k6's stream is read until k6 has ended, then the joiner are closed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use ledger::clock;
use ledger::wall::WallClock;
use tokio_util::sync::CancellationToken;

use super::command::THRESHOLDS;
use super::joiner::Joiner;
use super::sample;
use super::spans::RootSpans;
use super::stream::Stream;
use super::usage::Readings;
use super::{Driven, K6Error, Order, Progress};
use crate::builtin::Sampling;
use lab_model::{Cell, RoundMeasure};
use lab_supervise::{Part, PartError};

/// How often progress is told and the use of CPU read.
const TICK: Duration = Duration::from_millis(100);

/// How k6 came to its end.
enum End {
    ByItself(Result<(), PartError>),
    Halted,
    Stuck { pid: u32, waited: Duration },
    Unreadable(std::io::Error),
}

/// Everything that is learnt of a round while k6 drives it.
pub(super) struct Watch<'a> {
    cell: &'a Cell,
    number: u32,
    timeout_ns: u64,
    sampling: Option<Sampling>,
    joiner: Joiner,
    readings: Readings,
    root_spans: Option<RootSpans>,
    traced: u64,
    refused: u64,
    summary: PathBuf,
}

impl<'a> Watch<'a> {
    pub(super) fn new(
        order: Order<'a>,
        wall: WallClock,
        sampling: Option<Sampling>,
        pid: u32,
        root_spans: Option<RootSpans>,
        summary: PathBuf,
    ) -> Watch<'a> {
        let Order { cell, number, limits, .. } = order;
        // k6 lets requests end for as long as they may take, and then takes its time to stop.
        let longest_ns = cell.duration_ns.saturating_add(limits.timeout_ns.saturating_mul(2));
        Watch {
            cell,
            number,
            timeout_ns: limits.timeout_ns,
            sampling,
            joiner: Joiner::new(wall, cell.warmup_ns, longest_ns, cell.max_in_flight),
            readings: Readings::of(pid),
            root_spans,
            traced: 0,
            refused: 0,
            summary,
        }
    }

    /// Sees the round to its end.
    pub(super) async fn over(
        mut self,
        mut part: Part,
        mut stream: Stream,
        patience: Duration,
        halt: &CancellationToken,
        progress: Progress<'_>,
    ) -> Result<Option<Driven>, K6Error> {
        let round = self.cell.warmup_ns.saturating_add(self.cell.duration_ns);
        let waited = patience + Duration::from_nanos(round.saturating_add(self.timeout_ns));
        let stuck = tokio::time::sleep(waited);
        tokio::pin!(stuck);
        let mut tick = tokio::time::interval(TICK);
        let mut end = loop {
            tokio::select! {
                read = stream.read(|line| self.line(line)) => if let Err(error) = read {
                    break End::Unreadable(error);
                },
                ended = part.end() => break End::ByItself(ended),
                () = halt.cancelled() => break End::Halted,
                () = &mut stuck => break End::Stuck { pid: part.pid, waited },
                _ = tick.tick() => self.tick(&mut *progress),
            }
        };
        // What cannot be read is not tried again: stopping k6 goes on without.
        let mut readable = !matches!(end, End::Unreadable(_));
        if !matches!(end, End::ByItself(_)) {
            // k6 tells what is left while it stops, and would wait for ever if nobody read.
            let stop = part.stop();
            tokio::pin!(stop);
            loop {
                tokio::select! {
                    () = &mut stop => break,
                    read = stream.read(|line| self.line(line)), if readable => if let Err(error) = read {
                        readable = false;
                        end = End::Unreadable(error);
                    },
                }
            }
        }
        if readable && let Err(error) = stream.rest(|line| self.line(line)) {
            end = End::Unreadable(error);
        }
        self.refused += stream.too_long();
        self.tick(progress);
        self.close(end).await
    }

    /// Takes a line of the stream. What cannot be read is counted, never told one by one.
    fn line(&mut self, line: &[u8]) {
        let sample = match sample::read(line) {
            Ok(Some(sample)) => sample,
            Ok(None) => return,
            Err(_) => {
                self.refused += 1;
                return;
            }
        };
        let joined = self.joiner.take(sample);
        if let (Some(joined), Some(root_spans)) = (joined, &self.root_spans)
            && joined.request.sampled
        {
            self.traced += 1;
            root_spans.tell(joined);
        }
    }

    fn tick(&mut self, progress: Progress<'_>) {
        let start_ns = self.joiner.start_ns();
        let (requests, in_flight) = self.joiner.requests();
        let now = clock::now();
        let over = start_ns.is_some_and(|start| {
            now >= start.saturating_add(self.cell.duration_ns) && in_flight == 0
        });
        self.readings.take(start_ns, over);
        let began = start_ns.map(|start| start.saturating_sub(self.cell.warmup_ns));
        let elapsed = began.map_or(0, |began| now.saturating_sub(began));
        let whole = self.cell.warmup_ns.saturating_add(self.cell.duration_ns);
        progress(requests, in_flight, elapsed.min(whole));
    }

    /// k6 has ended: what was measured, or why not.
    async fn close(mut self, end: End) -> Result<Option<Driven>, K6Error> {
        let thresholds_failed = matches!(
            &end,
            End::ByItself(Err(PartError::Died { status, .. })) if status.code() == Some(THRESHOLDS)
        );
        // Killed or stopped, it cut its requests off: nobody knows how they would have ended.
        let to_its_end = thresholds_failed || matches!(end, End::ByItself(Ok(())));
        self.joiner.close(!to_its_end);
        self.joiner.facts.thresholds_failed = thresholds_failed;
        self.joiner.facts.lines_refused = self.refused;
        if let Some(root_spans) = self.root_spans.take() {
            self.joiner.facts.spans_lost = root_spans.stop().await;
        }
        let (cell, round, lines_refused) = (self.cell.id.clone(), self.number, self.refused);
        let driven = self.driven();
        let kept = |driven: Option<Driven>| driven.map(Box::new);
        match end {
            End::Halted => Ok(driven),
            End::ByItself(Err(source)) if !thresholds_failed => {
                let source = Box::new(source);
                Err(K6Error::Ended { cell, round, source, kept: kept(driven) })
            }
            End::Stuck { pid, waited } => {
                Err(K6Error::Stuck { cell, round, pid, waited, kept: kept(driven) })
            }
            End::Unreadable(source) => {
                Err(K6Error::Unreadable { cell, round, source, kept: kept(driven) })
            }
            End::ByItself(_) if driven.is_none() => {
                Err(K6Error::Nothing { cell, round, lines_refused })
            }
            End::ByItself(_) => Ok(driven),
        }
    }

    /// What was measured, if the measured part had begun.
    fn driven(self) -> Option<Driven> {
        let start_ns = self.joiner.start_ns()?;
        let last_end = self.joiner.last_end_ns();
        let (requests, facts) = (self.joiner.requests().0, self.joiner.facts);
        if requests.planned == 0 {
            return None;
        }
        // In a round that was cut short the measured part ends now.
        let end = start_ns.saturating_add(self.cell.duration_ns).min(clock::now());
        let (driver_cpu_ns, host_cpu_share) = self.readings.used();
        let entries = self.joiner.entries;
        let measure = RoundMeasure {
            round: self.number,
            start_ns,
            end_ns: end.max(last_end).max(start_ns),
            rests: Vec::new(),
            requests,
            traced: self.traced,
            weight: self.sampling.map_or(1.0, Sampling::weight),
            latency: entries.latency,
            send_delay: entries.send_delay,
            seconds: entries.seconds,
            errors: entries.errors,
            statements: None,
            k6: None,
            processes: BTreeMap::new(),
            services_cpu_ns: None,
            driver_cpu_ns,
            host_cpu_share,
        };
        Some(Driven { measure, summary: self.summary, facts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::k6::Limits;
    use lab_model::{Knobs, Protocol, workload};

    #[tokio::test]
    async fn a_stream_that_breaks_loses_nothing_that_was_read() {
        let cell = Cell {
            id: "rest-1kB".to_owned(),
            protocol: Protocol::Rest,
            workload: workload::first(),
            payload_bytes: 1_000,
            rate: 100.0,
            duration_ns: 1_000_000_000,
            warmup_ns: 0,
            turn_ns: None,
            max_in_flight: 20,
            knobs: Knobs::default(),
            arm: None,
            arrivals: Default::default(),
            traces_per_second: lab_model::MAX_TRACES_PER_SECOND,
        };
        let limits = Limits { timeout_ns: 1, preallocated: 1 };
        let entry = std::net::SocketAddr::from(([127, 0, 0, 1], 1)).into();
        let order = Order { entry: &entry, cell: &cell, number: 0, limits };
        // Booted 40 days before.
        let wall = WallClock::ahead_by((1_795_566_099 - 40 * 86_400) * 1_000_000_000);
        let mut watch = Watch::new(order, wall, None, std::process::id(), None, PathBuf::new());
        let point = |metric: &str, value: &str| {
            format!(
                r#"{{"metric":"{metric}","type":"Point","data":{{"time":"2026-11-25T00:21:39.5Z","value":{value},"tags":{{"phase":"measured"}},"metadata":{{"trace_id":"{:032x}","span_id":"{:016x}","sampled":"0"}}}}}}"#,
                1, 1
            )
        };
        watch.line(point("scenario_origin_ms", "1795566099000").as_bytes());
        watch.line(point("requests_started", "1").as_bytes());
        let broken = End::Unreadable(std::io::Error::other("broken"));
        let mut error = watch.close(broken).await.expect_err("the stream broke");
        assert!(error.to_string().contains("cannot read k6's stream: broken"), "{error}");
        let kept = error.take_kept().expect("what was read");
        assert_eq!((kept.measure.requests.started, kept.measure.requests.unfinished), (1, 1));
    }
}
