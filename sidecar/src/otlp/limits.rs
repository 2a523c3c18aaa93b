//! The bounds that a span must keep, so that no sum of times in a trace can overflow.
//!
//! A trace has at most 1,024 spans (`MAX_SPANS` of joining), each mark is below 2^61 and each span at most
//! a day (2^47 ns) long: every partial sum of stages stays below 2^63.

use ledger::{Half, Traffic};

use super::reject::Reason;

/// The longest span, wait or injected delay, in nanoseconds.
pub(super) const DAY_NS: u64 = 86_400_000_000_000;
/// The longest service name, cell or peer name, in bytes.
pub(super) const NAME_BYTES: usize = 256;
/// The longest `lab.marks`, `lab.wire` or `lab.injected` text, in bytes; ours have some 300.
pub(super) const RECORD_BYTES: usize = 4_096;
/// The latest mark and wall time, in nanoseconds: 73 years after boot, or the year 2043.
const LATEST_NS: u64 = 1 << 61;
/// The most bytes or frames that one message can have.
const MOST_BYTES: u64 = 1 << 53;

/// Checks the wall times of a span without marks, and answers them.
pub(super) fn interval((start, end): (u64, u64)) -> Result<(u64, u64), Reason> {
    if start == 0 || end < start || end >= LATEST_NS {
        return Err(Reason::Times);
    }
    if end - start > DAY_NS {
        return Err(Reason::TooLong);
    }
    Ok((start, end))
}

/// Whether a weight is one that sums can bear.
pub(super) fn weight(weight: f64) -> bool {
    weight.is_finite() && weight > 0.0 && weight <= 1e12
}

/// Checks the earliest and the latest mark of a record. Answers the interval of its span: where it has marks they are
/// that, for the wall times of a marked span, `told`, are decoration.
pub(super) fn marks(ends: Option<(u64, u64)>, told: (u64, u64)) -> Result<(u64, u64), Reason> {
    match ends {
        None => interval(told),
        Some((_, last)) if last >= LATEST_NS => Err(Reason::Attribute),
        Some((first, last)) if last - first > DAY_NS => Err(Reason::TooLong),
        Some(ends) => Ok(ends),
    }
}

/// Checks every number of a record. Answers the interval of its span.
pub(super) fn record(half: &Half, told: (u64, u64)) -> Result<(u64, u64), Reason> {
    let (from, until) = marks(half.marks.ends(), told)?;
    let far = half.far.as_deref();
    if let Some((first, last)) = far.and_then(|far| far.marks.ends())
        && (last >= LATEST_NS || until.max(last) - from.min(first) > DAY_NS)
    {
        return Err(Reason::Attribute);
    }
    // The waits of a far face are in no sum, so they have no bound.
    let waits = half.sending.numbers().into_iter().fold(0, u64::max);
    if half.injected.iter().fold(waits, |longest, &(_, ns)| longest.max(ns)) > DAY_NS {
        return Err(Reason::TooLong);
    }
    let near = fits(&half.outbound) && fits(&half.inbound);
    let far = far.is_none_or(|far| fits(&far.outbound) && fits(&far.inbound));
    let others = half.connection.max(half.http).max(half.attempts);
    if !near || !far || others > MOST_BYTES {
        return Err(Reason::Attribute);
    }
    Ok((from, until))
}

// The numbers of a record that was put at rest as it was read keep all bounds but that of its marks.
const _: () = assert!(u32::MAX as u64 <= DAY_NS && DAY_NS <= MOST_BYTES);

/// Whether a message can have had so much traffic.
fn fits(traffic: &Traffic) -> bool {
    traffic.numbers().into_iter().all(|number| number <= MOST_BYTES)
}
