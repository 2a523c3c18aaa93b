//! Which relays an exchange passed, and in which order: from the client's on.
//!
//! Each is inside the one before it, so the longer comes first. A call that was made again passed a relay again: what
//! does not lie in the one before it, by their one clock, is of another attempt.

use ledger::Point;

use crate::span::Span;

/// The relays among `all` (places in `spans`) that one exchange passed whole.
pub(super) fn nested(spans: &[Span], all: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut passed: Vec<(u64, u64, usize)> = all
        .filter(|&at| !spans[at].error)
        .filter_map(|at| residence(&spans[at]).map(|(from, until)| (from, until, at)))
        .collect();
    // Of two that took as long the one that began earlier, else any order that is the same whichever came first.
    passed.sort_unstable_by_key(|&(from, until, at)| {
        (std::cmp::Reverse(until.saturating_sub(from)), from, spans[at].id)
    });
    let mut chain: Vec<(u64, u64, usize)> = Vec::new();
    for (from, until, at) in passed {
        let inside = chain.last().is_none_or(|&(start, end, outer)| {
            let one_clock = spans[outer].source.clock == spans[at].source.clock;
            !one_clock || (start <= from && until <= end)
        });
        if inside {
            chain.push((from, until, at));
        }
    }
    chain.into_iter().map(|(_, _, at)| at).collect()
}

/// From the last byte of the request to that of the reply, where both passed.
fn residence(relay: &Span) -> Option<(u64, u64)> {
    let half = relay.half();
    let far = half.far.as_ref()?;
    far.marks.get(Point::LastWrite).and(far.marks.get(Point::LastRead))?;
    Some((half.marks.get(Point::LastRead)?, half.marks.get(Point::LastWrite)?))
}
