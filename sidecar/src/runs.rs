//! Which runs were opened, which of them is open now, and whose statements about cells are believed.
//!
//! `POST /plan` opens a run and answers its nonce, which travels with every traced request of the run in
//! `tracestate`: so it is known which traces are of which run. What a span says of the plan (cell, round, weight,
//! stopwatch) is believed only of the edge of a request that has the nonce of the run that is open. Everything else
//! belongs to no cell: load by hand, other systems' traffic, and a lab that somebody else has taken the sidecar from.

use std::collections::VecDeque;
use std::io::Read as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::RwLock;

/// Runs whose nonces are remembered, at most: the latest.
const MOST: usize = 64;

/// A run by its number, from 1; that of requests of none is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Run(u32);

impl Run {
    /// That of requests which belong to none.
    pub(crate) const NONE: Run = Run(0);

    /// Its number.
    pub(crate) fn number(self) -> u32 {
        self.0
    }
}

/// The runs that were opened.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    /// The latest last: that one is open.
    opened: RwLock<VecDeque<(String, Run)>>,
    ignored: AtomicU64,
}

impl Runs {
    /// Opens a run in place of the one before; answers it with its nonce, which nobody can guess.
    pub(crate) fn open(&self) -> std::io::Result<(Run, String)> {
        let mut random = [0; 16];
        std::fs::File::open("/dev/urandom")?.read_exact(&mut random)?;
        let nonce = format!("{:032x}", u128::from_ne_bytes(random));
        let mut opened = self.opened.write();
        let latest = opened.back().map_or(0, |(_, Run(number))| *number);
        let run = Run(latest + 1);
        opened.push_back((nonce.clone(), run));
        if opened.len() > MOST {
            opened.pop_front();
        }
        Ok((run, nonce))
    }

    /// The number of the latest run: whoever opened an earlier one has had the sidecar taken from it.
    pub(crate) fn latest(&self) -> u32 {
        self.opened.read().back().map_or(0, |(_, run)| run.number())
    }

    /// The run with this nonce, and whether it is the one that is open.
    pub(crate) fn find(&self, nonce: &str) -> Option<(Run, bool)> {
        let opened = self.opened.read();
        let at = opened.iter().rposition(|(known, _)| known == nonce)?;
        Some((opened[at].1, at + 1 == opened.len()))
    }

    /// Counts spans whose statements about the plan were not believed.
    pub(crate) fn ignore(&self, spans: u64) {
        self.ignored.fetch_add(spans, Relaxed);
    }

    /// How many there were.
    pub(crate) fn ignored(&self) -> u64 {
        self.ignored.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_run_is_open_and_those_before_are_known() {
        let runs = Runs::default();
        assert_eq!(runs.find(""), None);
        let nonces: Vec<_> = (0..=MOST).map(|_| runs.open().unwrap().1).collect();
        assert!(nonces.iter().all(|nonce| nonce.len() == 32));
        assert_eq!(runs.find(&nonces[0]), None, "too many came after it");
        assert_eq!(runs.find(&nonces[1]), Some((Run(2), false)));
        assert_eq!(runs.find(&nonces[MOST]), Some((Run(65), true)));
        assert_eq!(runs.find("guess"), None);
        assert_eq!(runs.latest(), 65);
    }
}
