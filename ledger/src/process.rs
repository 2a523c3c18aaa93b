//! Which numbers name processes where a process runs.
//!
//! Process ids are counted anew in every container. Two processes may speak of each other's ids if and
//! only if they are in one namespace of processes.

/// Names the namespace of processes that this process is in, as `pid:[4026531836]`.
///
/// Unique on one machine. Empty where `/proc` cannot be read.
#[must_use]
pub fn namespace() -> String {
    let link = std::fs::read_link("/proc/self/ns/pid");
    link.map(|link| link.to_string_lossy().into_owned()).unwrap_or_default()
}
