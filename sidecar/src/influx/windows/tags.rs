//! What points of a cell are tagged with, and the bounds of that.

use serde::Deserialize;

/// Tag of what is past a bound.
pub(super) const OTHER: &str = "other";
/// Longest tag, in bytes.
pub(super) const LONGEST: usize = 256;

/// A cell of the plan, with the tags of its points.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tags {
    /// Name of the cell.
    pub(crate) cell: String,
    /// Protocol of its inner hop.
    pub(crate) protocol: String,
    /// Declared payload, in bytes.
    pub(crate) payload: String,
}
