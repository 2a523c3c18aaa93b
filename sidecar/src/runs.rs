//! Which run is open, and whose word about cells is taken.
//!
//! `POST /plan` opens a run and answers its nonce, which travels with every request of the run in
//! `tracestate`. What a span says of the plan (cell, round, weight, stopwatch) is believed if the nonce is the
//! run's, or if the span came from this machine: who is on loopback may open runs as well.

use std::io::Read as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::RwLock;

use crate::span::Span;

/// The run that is open.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    nonce: RwLock<Option<String>>,
    ignored: AtomicU64,
}

impl Runs {
    /// Opens a run in place of the one before; answers its nonce, which nobody can guess.
    pub(crate) fn open(&self) -> std::io::Result<String> {
        let mut random = [0; 16];
        std::fs::File::open("/dev/urandom")?.read_exact(&mut random)?;
        let nonce = format!("{:032x}", u128::from_ne_bytes(random));
        *self.nonce.write() = Some(nonce.clone());
        Ok(nonce)
    }

    /// Whether what a span says of the plan is believed: `nonce` is that of its `tracestate`, if it has one,
    /// and `local` that it came from this machine.
    pub(crate) fn honours(&self, nonce: Option<&str>, local: bool) -> bool {
        match (nonce, self.nonce.read().as_deref()) {
            (Some(theirs), Some(ours)) => theirs == ours,
            _ => local,
        }
    }

    /// Takes from `span` what it says of the plan, unless that is believed.
    pub(crate) fn judge(&self, span: &mut Span, local: bool) {
        if span.planned.is_some() && !self.honours(None, local) {
            span.planned = None;
            self.ignored.fetch_add(1, Relaxed);
        }
    }

    /// Spans whose word about the plan was not taken.
    pub(crate) fn ignored(&self) -> u64 {
        self.ignored.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::span::Planned;

    #[test]
    fn cells_are_believed_of_this_machine_and_of_who_has_the_nonce() {
        let runs = Runs::default();
        assert!(runs.honours(None, true) && !runs.honours(None, false));
        assert!(!runs.honours(Some("guess"), false));
        let nonce = runs.open().unwrap();
        assert_eq!(nonce.len(), 32);
        assert!(runs.honours(Some(&nonce), false) && runs.honours(Some(&nonce), true));
        assert!(!runs.honours(Some("guess"), true) && !runs.honours(None, false));
        let next = runs.open().unwrap();
        assert_ne!(nonce, next);
        assert!(!runs.honours(Some(&nonce), false), "a run that is over has no say");
    }

    #[test]
    fn a_cell_that_is_not_believed_is_taken_off_and_counted() {
        let runs = Runs::default();
        let planned = || Some(Box::new(Planned { cell: Some("c".into()), ..Planned::default() }));
        let mut span = Span { planned: planned(), ..Span::default() };
        runs.judge(&mut span, true);
        assert_eq!((span.planned.is_some(), runs.ignored()), (true, 0));
        runs.judge(&mut span, false);
        assert_eq!((span.planned.is_some(), runs.ignored()), (false, 1));
    }
}
