//! Which run is open, and whose word about cells is taken.
//!
//! `POST /plan` opens a run and answers its nonce, which travels with every traced request of the run in
//! `tracestate`. What a span says of the plan (cell, round, weight, stopwatch) is believed only of the edge of a
//! request that has the nonce of the run. Everything else belongs to no cell: load by hand, other systems' traffic, and
//! a lab that somebody else has taken the sidecar from.

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

    /// Takes from `span` what it says of the plan, unless that is believed.
    pub(crate) fn judge(&self, span: &mut Span) {
        let edge = span.edge.as_deref();
        if span.planned.is_none() && edge.is_none_or(|edge| edge.cell.is_empty()) {
            return;
        }
        if edge.is_some_and(|edge| self.nonce.read().as_deref() == Some(&*edge.nonce)) {
            return;
        }
        span.planned = None;
        if let Some(edge) = &mut span.edge {
            // Where the request begins is true all the same.
            (edge.cell, edge.round) = (Box::default(), 0);
        }
        self.ignored.fetch_add(1, Relaxed);
    }

    /// Spans whose word about the plan was not taken.
    pub(crate) fn ignored(&self) -> u64 {
        self.ignored.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use ledger::Edge;

    use super::*;
    use crate::span::Planned;

    /// An edge of cell `c` that has this nonce, with what a generator writes on its span.
    fn edge(nonce: &str) -> Span {
        let planned = Planned { cell: Some("c".into()), ..Planned::default() };
        let edge = Edge { span: 7, cell: "c".into(), round: 2, nonce: nonce.into() };
        Span { edge: Some(edge.into()), planned: Some(planned.into()), ..Span::default() }
    }

    /// The cells that a span names once it is judged.
    fn believed(runs: &Runs, mut span: Span) -> (Option<String>, Option<(String, u32)>) {
        runs.judge(&mut span);
        let edge = span.edge.map(|edge| (edge.cell.into(), edge.round));
        (span.planned.and_then(|planned| planned.cell), edge)
    }

    #[test]
    fn cells_are_believed_of_who_has_the_nonce_of_the_open_run_alone() {
        let runs = Runs::default();
        let not_believed = (None, Some((String::new(), 0)));
        for nonce in ["", "guess"] {
            assert_eq!(believed(&runs, edge(nonce)), not_believed, "no run is open");
        }
        let nonce = runs.open().unwrap();
        assert_eq!(nonce.len(), 32);
        let cell = || "c".to_owned();
        assert_eq!(believed(&runs, edge(&nonce)), (Some(cell()), Some((cell(), 2))));
        for nonce in ["", "guess"] {
            assert_eq!(believed(&runs, edge(nonce)), not_believed);
        }
        let next = runs.open().unwrap();
        assert_ne!(nonce, next);
        assert_eq!(believed(&runs, edge(&nonce)), not_believed, "a run that is over has no say");
        assert_eq!(runs.ignored(), 5);
    }

    #[test]
    fn a_span_that_is_no_edge_names_no_cell() {
        let runs = Runs::default();
        let nonce = runs.open().unwrap();
        let inner = Span { edge: None, inner: true, ..edge(&nonce) };
        assert_eq!(believed(&runs, inner), (None, None));
        assert_eq!(runs.ignored(), 1);
    }

    #[test]
    fn a_span_that_says_nothing_of_a_plan_is_not_counted() {
        let runs = Runs::default();
        let mut span = edge("guess");
        (span.planned, span.edge.as_mut().unwrap().cell) = (None, "".into());
        assert_eq!(believed(&runs, span), (None, Some((String::new(), 2))));
        assert_eq!(believed(&runs, Span::default()), (None, None));
        assert_eq!(runs.ignored(), 0);
    }
}
