//! A sum of times, with the greatest of them.

/// A sum, and the largest that went into it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sum {
    pub(super) sum: i64,
    pub(super) max: i64,
}

impl Sum {
    pub(super) fn add(&mut self, value: i64, first: bool) {
        self.sum = self.sum.saturating_add(value);
        self.max = if first { value } else { self.max.max(value) };
    }
}
