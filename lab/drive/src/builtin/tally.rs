//! The accounting of a round: every planned request is entered once when it arrives and, if it was
//! started, once when it ends, however it ends.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hdrhistogram::Histogram;

use super::target::Arrival;
use lab_model::{LATE_NS, Requests, Second};

/// Histograms count from a microsecond to ten minutes, in nanoseconds; past it they saturate.
const RANGE_NS: (u64, u64) = (1_000, 600_000_000_000);
/// Different error texts kept at most: a text with a number in it must not fill the memory.
const MAX_ERRORS: usize = 32;
/// Where the others are counted.
const OTHER_ERRORS: &str = "other errors";

/// What has been counted.
#[derive(Debug, Clone)]
pub(crate) struct Entries {
    pub(crate) requests: Requests,
    pub(crate) traced: u64,
    pub(crate) latency: Histogram<u64>,
    pub(crate) send_delay: Histogram<u64>,
    pub(crate) seconds: Vec<Second>,
    pub(crate) errors: BTreeMap<String, u64>,
    last_end: u64,
}

/// The tally of a round.
#[derive(Debug)]
pub(super) struct Tally {
    start_ns: u64,
    entries: Mutex<Entries>,
}

impl Tally {
    /// Empty tally of a measured part that begins at `start_ns`.
    pub(super) fn new(start_ns: u64) -> Tally {
        let mut entries = Entries::new();
        entries.requests.late = Some(0);
        Tally { start_ns, entries: Mutex::new(entries) }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        // Entries are whole after every statement: a panic elsewhere does not spoil them.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a planned request: started, or dropped.
    pub(super) fn arrived(&self, planned: u64, started: bool) {
        let planned = planned.saturating_sub(self.start_ns);
        match started {
            true => self.entries().started(planned),
            false => self.entries().dropped(planned, 1),
        }
    }

    /// Enters the end of a started request.
    fn ended(
        &self,
        arrival: Arrival,
        called: u64,
        now: u64,
        outcome: Result<(), Cow<'static, str>>,
    ) {
        let latency = now.saturating_sub(arrival.planned);
        let mut entries = self.entries();
        let planned = arrival.planned.saturating_sub(self.start_ns);
        entries.sent(planned, called.saturating_sub(arrival.planned));
        entries.last_end = entries.last_end.max(now);
        entries.traced += u64::from(arrival.traced);
        entries.ended(planned, now.saturating_sub(self.start_ns), outcome.map(|()| latency));
    }

    /// Enters a started request that was abandoned; `called` if its call had begun.
    fn abandoned(&self, arrival: Arrival, called: Option<u64>) {
        let mut entries = self.entries();
        entries.requests.unfinished += 1;
        if let Some(called) = called {
            let planned = arrival.planned.saturating_sub(self.start_ns);
            entries.sent(planned, called.saturating_sub(arrival.planned));
        }
    }

    /// What became of the requests so far, and how many are in flight.
    pub(super) fn requests(&self) -> (Requests, u64) {
        let requests = self.entries().requests;
        (requests, requests.started - requests.ok - requests.error - requests.unfinished)
    }

    /// When the last request ended, or 0.
    pub(super) fn last_end(&self) -> u64 {
        self.entries().last_end
    }

    /// What was counted in all.
    pub(super) fn close(&self) -> Entries {
        self.entries().clone()
    }
}

impl Entries {
    /// Nothing counted yet; how many are late is not known.
    pub(crate) fn new() -> Entries {
        let histogram = |digits| {
            Histogram::new_with_bounds(RANGE_NS.0, RANGE_NS.1, digits)
                .expect("constant bounds that are valid")
        };
        Entries {
            requests: Requests::default(),
            traced: 0,
            latency: histogram(3),
            send_delay: histogram(2),
            seconds: Vec::new(),
            errors: BTreeMap::new(),
            last_end: 0,
        }
    }

    /// The second so long after the start of the measured part.
    pub(crate) fn second(&mut self, since_start_ns: u64) -> &mut Second {
        let index = (since_start_ns / 1_000_000_000) as usize;
        while self.seconds.len() <= index {
            let (second, late) = (self.seconds.len() as u64, self.requests.late.map(|_| 0));
            self.seconds.push(Second { second, late, ..Second::default() });
        }
        &mut self.seconds[index]
    }

    /// A request that was planned so long after the start was sent `delay` after its planned time.
    fn sent(&mut self, planned: u64, delay: u64) {
        self.send_delay.saturating_record(delay);
        let late = u64::from(delay > LATE_NS);
        *self.requests.late.get_or_insert(0) += late;
        *self.second(planned).late.get_or_insert(0) += late;
    }

    /// Enters a request that was planned so long after the start, and begun.
    pub(crate) fn started(&mut self, since_start_ns: u64) {
        self.requests.planned += 1;
        self.requests.started += 1;
        let second = self.second(since_start_ns);
        second.planned += 1;
        second.started += 1;
    }

    /// Enters so many that were planned so long after the start, and not begun.
    pub(crate) fn dropped(&mut self, since_start_ns: u64, count: u64) {
        self.requests.planned += count;
        self.requests.dropped += count;
        let second = self.second(since_start_ns);
        second.planned += count;
        second.dropped += count;
    }

    /// Enters the end of a request that began and ended so long after the start: its latency, or what the error said.
    pub(crate) fn ended(
        &mut self,
        began_ns: u64,
        ended_ns: u64,
        outcome: Result<u64, Cow<'static, str>>,
    ) {
        self.second(ended_ns).completed += 1;
        let latency = match outcome {
            Ok(latency) => latency,
            Err(text) => return self.failed(began_ns, text),
        };
        self.requests.ok += 1;
        self.latency.saturating_record(latency);
        let second = self.second(began_ns);
        second.ok += 1;
        second.latency_sum_us += latency as f64 / 1_000.0;
        second.latency_count += 1;
    }

    /// Enters an error of a request that began so long after the start.
    pub(crate) fn failed(&mut self, began_ns: u64, text: Cow<'static, str>) {
        self.requests.error += 1;
        self.second(began_ns).error += 1;
        self.note(text);
    }

    /// Counts what an error said, within the bound of different texts.
    fn note(&mut self, text: Cow<'static, str>) {
        if let Some(count) = self.errors.get_mut(text.as_ref()) {
            *count += 1;
        } else {
            let full = self.errors.len() >= MAX_ERRORS;
            let text = if full { OTHER_ERRORS.to_owned() } else { text.into_owned() };
            *self.errors.entry(text).or_default() += 1;
        }
    }
}

/// How many requests may yet be in flight.
#[derive(Debug)]
pub(super) struct Slots(AtomicUsize);

impl Slots {
    pub(super) fn new(count: usize) -> Slots {
        Slots(AtomicUsize::new(count))
    }

    /// A slot, if one is free; it is free again when dropped.
    pub(super) fn take(self: &Arc<Self>) -> Option<Slot> {
        let taken =
            self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, |free| free.checked_sub(1));
        taken.ok().map(|_| Slot(self.clone()))
    }
}

/// A place among the requests in flight.
#[derive(Debug)]
pub(super) struct Slot(Arc<Slots>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::AcqRel);
    }
}

/// A started request: entered as unfinished if it is dropped before it ended.
#[derive(Debug)]
pub(super) struct InFlight {
    arrival: Arrival,
    called: Option<u64>,
    tally: Option<Arc<Tally>>,
    _slot: Slot,
}

impl InFlight {
    pub(super) fn new(slot: Slot, arrival: Arrival, tally: Option<Arc<Tally>>) -> InFlight {
        InFlight { arrival, called: None, tally, _slot: slot }
    }

    /// The arrival it came from.
    pub(super) fn arrival(&self) -> Arrival {
        self.arrival
    }

    /// The call begins.
    pub(super) fn call_starts(&mut self, now: u64) {
        self.called = Some(now);
    }

    /// The call has ended.
    pub(super) fn end(mut self, now: u64, outcome: Result<(), Cow<'static, str>>) {
        if let Some(tally) = self.tally.take() {
            tally.ended(self.arrival, self.called.unwrap_or(now), now, outcome);
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if let Some(tally) = self.tally.take() {
            tally.abandoned(self.arrival, self.called);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 5_000_000_000;

    fn arrival(planned: u64) -> Arrival {
        Arrival { planned: START + planned, traced: true }
    }

    #[test]
    fn seconds_count_plans_where_planned_and_ends_where_ended() {
        let tally = Tally::new(START);
        tally.arrived(START + 900_000_000, true);
        tally.ended(arrival(900_000_000), START + 900_000_000, START + 1_100_000_000, Ok(()));
        tally.arrived(START + 1_500_000_000, false);
        let seconds = tally.close().seconds;
        assert_eq!((seconds[0].planned, seconds[0].completed, seconds[0].latency_count), (1, 0, 1));
        assert!((seconds[0].latency_sum_us - 200_000.0).abs() < 1e-6);
        assert_eq!((seconds[1].planned, seconds[1].completed, seconds[1].dropped), (1, 1, 1));
    }

    #[test]
    fn a_request_is_late_past_the_limit_and_not_at_it() {
        let tally = Tally::new(START);
        for called in [LATE_NS, LATE_NS + 1] {
            tally.arrived(START, true);
            tally.ended(arrival(0), START + called, START + called, Ok(()));
        }
        assert_eq!(tally.requests().0.late, Some(1));
    }

    #[test]
    fn texts_of_errors_are_bounded() {
        let tally = Tally::new(START);
        for index in 0..100 {
            tally.arrived(START, true);
            tally.ended(arrival(0), START, START, Err(format!("error {index}").into()));
        }
        let entries = tally.close();
        assert_eq!(entries.errors.len(), MAX_ERRORS + 1);
        assert_eq!(entries.errors.values().sum::<u64>(), 100);
        assert_eq!(entries.requests.error, 100);
    }

    #[test]
    fn a_dropped_request_is_unfinished_and_frees_its_slot() {
        let tally = Arc::new(Tally::new(START));
        let slots = Arc::new(Slots::new(1));
        let slot = slots.take().unwrap();
        assert!(slots.take().is_none());
        tally.arrived(START, true);
        drop(InFlight::new(slot, arrival(0), Some(tally.clone())));
        assert_eq!(tally.requests().0.unfinished, 1);
        assert!(slots.take().is_some());
    }
}
