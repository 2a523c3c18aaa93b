//! Where traces are: those that are open, and which were closed not long ago.
//!
//! An open trace is in a slot, and whoever has noted the slot finds it without a look at its id. A slot is used again when
//! its trace is gone, so notes that outlive traces tell by a number which of its traces they are of. What is known of an id is such a note: to
//! close a trace it need not be looked for, which would be in memory that has grown cold.

use std::collections::{HashMap, VecDeque};

use foldhash::quality::RandomState;

use super::trace::{Slot, Trace};

/// What is known of an id.
pub(super) enum Found<'p> {
    Nothing,
    Open(&'p mut Trace),
    /// Its trace was closed not long ago.
    Closed,
}

/// A slot, with the number of the trace that is in it, or was.
#[derive(Debug, Default)]
struct Held {
    serial: u32,
    trace: Option<Box<Trace>>,
}

/// The places of traces.
#[derive(Debug)]
pub(super) struct Places {
    /// Peers choose ids, and those of tests and of load generators are often counted: the hash is seeded, and even in
    /// every bit whatever the ids. It does not hold out against who measures how long his own take.
    by_id: HashMap<Id, Slot, RandomState>,
    held: Vec<Held>,
    /// Slots without a trace.
    free: Vec<u32>,
    /// The number of the latest trace.
    serial: u32,
    /// The traces that are remembered as closed, oldest first, at most so many.
    closed: VecDeque<u128>,
    most_closed: usize,
}

impl Places {
    /// No traces; so many are to be remembered as closed.
    pub(super) fn new(most_closed: usize) -> Places {
        Places {
            by_id: HashMap::default(),
            held: Vec::new(),
            free: Vec::new(),
            serial: 0,
            closed: VecDeque::new(),
            most_closed,
        }
    }

    /// Makes room for traces that are about to come. Most are new, and where one would be is memory that is cold: looked
    /// up one right after the other these are waited for together, which [`Self::find`] alone does not.
    pub(super) fn expect(&mut self, ids: impl Iterator<Item = u128>) {
        let known = &self.by_id;
        let new = ids.filter(|&id| !known.contains_key(&Id::of(id))).count();
        self.by_id.reserve(new);
    }

    /// What is known of the trace `id`.
    pub(super) fn find(&mut self, id: u128) -> Found<'_> {
        let Some(&slot) = self.by_id.get(&Id::of(id)) else { return Found::Nothing };
        self.get_mut(slot).map_or(Found::Closed, Found::Open)
    }

    /// The trace in `slot`, if it is still open.
    pub(super) fn get(&self, slot: Slot) -> Option<&Trace> {
        let held = self.held.get(slot.at as usize).filter(|held| held.serial == slot.serial)?;
        held.trace.as_deref()
    }

    /// The trace that is open there, if one is.
    pub(super) fn at(&self, at: u32) -> Option<&Trace> {
        self.held.get(at as usize)?.trace.as_deref()
    }

    fn get_mut(&mut self, slot: Slot) -> Option<&mut Trace> {
        let held = self.held.get_mut(slot.at as usize).filter(|held| held.serial == slot.serial)?;
        held.trace.as_deref_mut()
    }

    /// Gives `trace` a slot, for the first time or again.
    pub(super) fn open(&mut self, mut trace: Box<Trace>) -> Slot {
        self.serial = self.serial.wrapping_add(1);
        let at = self.free.pop().unwrap_or_else(|| {
            self.held.push(Held::default());
            (self.held.len() - 1) as u32
        });
        let slot = Slot { at, serial: self.serial };
        trace.slot = slot;
        self.by_id.insert(Id::of(trace.id), slot);
        self.held[at as usize] = Held { serial: self.serial, trace: Some(trace) };
        slot
    }

    /// Takes the trace out of `slot`, if it is still open, and remembers it as closed.
    pub(super) fn close(&mut self, slot: Slot) -> Option<Box<Trace>> {
        let held = self.held.get_mut(slot.at as usize).filter(|held| held.serial == slot.serial)?;
        let trace = held.trace.take()?;
        self.free.push(slot.at);
        if !trace.remembered {
            self.closed.push_back(trace.id);
        }
        if self.closed.len() > self.most_closed
            && let Some(oldest) = self.closed.pop_front()
        {
            match self.find(oldest) {
                Found::Open(again) => again.remembered = false,
                Found::Closed => _ = self.by_id.remove(&Id::of(oldest)),
                Found::Nothing => {}
            }
        }
        Some(trace)
    }

    /// How many traces are open.
    pub(super) fn open_traces(&self) -> usize {
        self.held.len() - self.free.len()
    }
}

/// The id of a trace in two halves: with a slot they take less than one number of so many bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Id {
    high: u64,
    low: u64,
}

impl Id {
    fn of(id: u128) -> Id {
        Id { high: (id >> 64) as u64, low: id as u64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_holds_for_no_other_trace_in_its_slot() {
        let mut places = Places::new(9);
        let first = places.open(Trace::new(7, 1));
        assert!(matches!(places.find(7), Found::Open(_)));
        assert!(places.close(first).is_some() && places.close(first).is_none());
        assert!(matches!(places.find(7), Found::Closed));
        let second = places.open(Trace::new(8, 1));
        assert_eq!((second.at, places.open_traces()), (first.at, 1));
        assert!(places.get(first).is_none() && matches!(places.find(7), Found::Closed));
        assert_eq!(places.get(second).map(|trace| trace.id), Some(8));
    }
}
