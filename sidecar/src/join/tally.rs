//! Where the spans of a trace went: each is counted once.

use smallvec::SmallVec;

/// Where the spans of a trace went.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Tally {
    /// Spans that are a half of some hop of a row, or begin one.
    pub(crate) joined: u64,
    /// Spans of other kinds below the beginning of a request: links between the halves.
    pub(crate) links: u64,
    /// CLIENT and SERVER spans of no hop: inside another call, answers not used, in a cycle, too
    /// deep.
    pub(crate) unplaced: u64,
    /// Spans below one whose parent is not here and that begins no request.
    pub(crate) fragments: u64,
    /// The requests, by what tells them apart in their trace.
    pub(super) requests: SmallVec<[u64; 1]>,
}

impl Tally {
    /// How many requests there are.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.len() as u64
    }
}
