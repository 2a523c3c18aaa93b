//! How durations and sizes are written, as JSON schemas. What reads them is `settings`.

use schemars::{Schema, json_schema};

/// A duration.
pub(super) fn duration() -> Schema {
    json_schema!({
        "type": "string",
        "title": "a duration such as `\"500ms\"`",
        "pattern": r"^\s*0\s*$|^(\s*[0-9]+(\.[0-9]+)?\s*(ns|us|\u00b5s|\u03bcs|ms|s|m|h)\s*)+$",
    })
}

/// A size of `low` to `high` bytes.
pub(super) fn size(low: u64, high: u64) -> Schema {
    json_schema!({
        "title": format!("{low} to {high} bytes, or a size such as `\"64KiB\"`"),
        "anyOf": [
            { "type": "integer", "minimum": low, "maximum": high },
            { "type": "string", "pattern": r"^\s*[0-9]+\s*(B|[kK]B|MB|KiB|MiB)?\s*$" },
        ],
    })
}
