//! The one bound of the sidecar's memory, in bytes: bodies being read, and the spans made of them.
//!
//! Whoever holds something holds a [`Share`] for it, which goes back when it is dropped. Nobody waits for a
//! share: who gets none refuses what it was given, in words that tell the sender to come again. So those who
//! were refused free what the others need, and a slow peer holds no more than what it has sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// So many bytes, shared by all who hold some.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: usize,
    used: AtomicUsize,
}

/// What somebody holds of a [`Budget`].
#[derive(Debug, Default)]
pub(crate) struct Share {
    of: Option<Arc<Budget>>,
    bytes: usize,
}

/// A budget has no more to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spent;

impl Budget {
    pub(crate) fn new(limit: usize) -> Arc<Budget> {
        Arc::new(Budget { limit, used: AtomicUsize::new(0) })
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    pub(crate) fn used(&self) -> usize {
        self.used.load(Relaxed)
    }

    /// Whether so little is left that what is held should be given back before its time.
    pub(crate) fn is_short(&self) -> bool {
        self.used() > self.limit / 4 * 3
    }

    /// A share of nothing, which can grow.
    pub(crate) fn share(self: &Arc<Self>) -> Share {
        Share { of: Some(Arc::clone(self)), bytes: 0 }
    }
}

impl Share {
    /// Takes `more` bytes.
    pub(crate) fn grow(&mut self, more: usize) -> Result<(), Spent> {
        if let Some(budget) = &self.of {
            let fits = |used: usize| used.checked_add(more).filter(|&sum| sum <= budget.limit);
            budget.used.fetch_update(Relaxed, Relaxed, fits).map_err(|_| Spent)?;
        }
        self.bytes += more;
        Ok(())
    }

    /// How many bytes it has.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Gives `bytes` of this share to `other`, which is of the same budget or of none yet; less where it has less.
    pub(crate) fn give(&mut self, other: &mut Share, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        if other.of.is_none() {
            other.of.clone_from(&self.of);
        }
        self.bytes -= bytes;
        other.bytes += bytes;
    }
}

/// A copy is of what is held, not of the right to hold it: it holds nothing.
impl Clone for Share {
    fn clone(&self) -> Self {
        Share::default()
    }
}

/// What a thing is does not depend on what it holds: all shares are alike.
impl PartialEq for Share {
    fn eq(&self, _: &Share) -> bool {
        true
    }
}

impl Eq for Share {}

impl Drop for Share {
    fn drop(&mut self) {
        if let Some(budget) = &self.of {
            budget.used.fetch_sub(self.bytes, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_given_than_there_is_and_what_is_dropped_comes_back() {
        let budget = Budget::new(100);
        let (mut first, mut second) = (budget.share(), budget.share());
        first.grow(60).unwrap();
        assert_eq!(second.grow(41), Err(Spent));
        second.grow(40).unwrap();
        assert!(budget.is_short());
        let mut part = Share::default();
        first.give(&mut part, 50);
        drop(first);
        assert_eq!(budget.used(), 90);
        drop((part, second));
        assert_eq!(budget.used(), 0);
        assert_eq!(budget.share().grow(usize::MAX), Err(Spent));
    }

    #[test]
    fn a_share_of_no_budget_has_no_bound() {
        let mut share = Share::default();
        share.grow(usize::MAX).unwrap();
        let mut part = Share::default();
        share.give(&mut part, 7);
        assert_eq!(part.bytes, 7);
    }
}
