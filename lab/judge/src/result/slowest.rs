//! The slowest requests of a run: a few, however many there are.

use sidecar::runfile::{RequestKind, RequestRow};

use super::in_time::in_time;
use super::request::RequestResult;

/// How many a run keeps in its result.
pub const SLOWEST: usize = 10;

/// The slowest requests of those that came, the slowest first.
#[derive(Debug, Clone, Default)]
pub(super) struct Slowest(Vec<RequestRow>);

impl Slowest {
    /// Takes a request, if it is one of them. Those that failed are among them: somebody waited.
    pub(super) fn take(&mut self, row: &RequestRow) {
        if row.kind != RequestKind::Request {
            return;
        }
        let at = self.0.partition_point(|known| known.latency_ns >= row.latency_ns);
        if at < SLOWEST {
            self.0.truncate(SLOWEST - 1);
            self.0.insert(at, row.clone());
        }
    }

    /// Each drawn in time.
    pub(super) fn close(self) -> Vec<RequestResult> {
        self.0.iter().map(in_time).collect()
    }
}

/// The slowest of all that cells have, which are left without.
pub(super) fn of_all<'a>(
    cells: impl Iterator<Item = &'a mut Vec<RequestResult>>,
) -> Vec<RequestResult> {
    let mut all: Vec<_> = cells.flat_map(std::mem::take).collect();
    all.sort_by(|a, b| b.latency_us.total_cmp(&a.latency_us));
    all.truncate(SLOWEST);
    all
}
