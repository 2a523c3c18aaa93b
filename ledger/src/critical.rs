//! Which of the calls of a server its request waited for, and when: the critical path through one residence.
//!
//! Walking back from the end of the residence, an instant belongs to the call under way that returned last; where none
//! was under way it belongs to the server's own stage. Calls are timed by the process that made them, so they lie on
//! the clock of the residence. Calls that another process timed (`elsewhere`) have a length but no place on that clock.
//! After Eaton et al., "Distributed Latency Profiling through Critical Path Tracing", ACM Queue 20(1), 2022.

use std::borrow::Borrow;

use smallvec::{SmallVec, smallvec};

use crate::half::Half;
use crate::hop::HopNode;
use crate::passage::Passage;
use crate::stage::{Kind, Stage, StageSet};
use crate::walk::{EVER, Window, Windows, between};

/// How much of a call belongs to the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it.
    All,
    /// What of it lies in a window of its caller's clock.
    Within(Window),
    /// Nothing.
    Nothing,
}

impl Part {
    /// The window of a walk that counts this part; `None` where nothing counts.
    pub(crate) fn window(self) -> Option<Window> {
        match self {
            Part::All => Some(EVER),
            Part::Within(window) => Some(window),
            Part::Nothing => None,
        }
    }
}

/// What became of one call, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) part: Part,
    pub(crate) concurrent_ns: i64,
    pub(crate) detached_ns: i64,
    pub(crate) clipped_ns: i64,
    /// It returned before it began.
    pub(crate) backwards: bool,
    /// When what counts of it began, after its caller had the request; unknown where the call has no place.
    pub(crate) at_ns: Option<i64>,
}

const NOTHING: Share = Share {
    part: Part::Nothing,
    concurrent_ns: 0,
    detached_ns: 0,
    clipped_ns: 0,
    backwards: false,
    at_ns: None,
};

/// What became of all calls of a server.
pub(crate) struct Shares {
    /// In the order of the calls.
    pub(crate) of: SmallVec<[Share; 1]>,
    /// When calls were waited for, latest first.
    pub(crate) carved: Windows,
}

impl Shares {
    /// No part of any call.
    pub(crate) fn none<H>(calls: &[HopNode<H>]) -> Shares {
        Shares { of: smallvec![NOTHING; calls.len()], carved: Windows::new() }
    }

    /// Gives the calls that have no place their time out of the stage `own`, as far as there is any.
    pub(crate) fn take_unplaced<H: Borrow<Half>>(
        &mut self,
        calls: &[HopNode<H>],
        (own, kind): (Stage, Kind),
        stages: &mut StageSet,
    ) {
        for (call, share) in calls.iter().zip(&mut self.of) {
            let Some((start, end)) = unplaced(call).filter(|(start, end)| start < end) else {
                continue;
            };
            let length = between(start, end);
            let taken = length.min(stages.get(own).ns).max(0);
            share.clipped_ns = length - taken;
            if taken > 0 {
                stages.add(own, -taken, kind);
                let head = (start, start.saturating_add_signed(taken));
                share.part = if taken == length { Part::All } else { Part::Within(head) };
            }
        }
    }
}

/// Where a call lies on the clock of its caller.
fn placed<H: Borrow<Half>>(call: &HopNode<H>) -> Option<(&Half, Window)> {
    let client = call.client().filter(|client| !client.elsewhere)?;
    Some((client, client.call()))
}

/// When a call without a place was, on some clock.
fn unplaced<H: Borrow<Half>>(call: &HopNode<H>) -> Option<Window> {
    match call.client() {
        Some(client) => client.elsewhere.then(|| client.call()),
        None => {
            let relay = call.relays().find_map(Passage::of);
            relay.map(|relay| relay.residence()).or_else(|| call.server().map(Half::residence))
        }
    }
}

/// Whether a server that replied at `replied` had this call's answer by then. Marks are exact. A foreign span may
/// be ended a little after the one around it that did wait for it: a twentieth of its length is taken for that.
fn returned(client: &Half, (start, end): Window, replied: u64) -> bool {
    let late = end.saturating_sub(replied);
    late == 0 || (client.marks.first().is_none() && late.saturating_mul(20) <= end - start)
}

/// Gives each call that has a place its share of the residence `span`, of which `counted` counts.
pub(crate) fn share<H: Borrow<Half>>(
    calls: &[HopNode<H>],
    span: Window,
    counted: Window,
) -> Shares {
    let mut shares = Shares::none(calls);
    let mut waited = SmallVec::<[_; 4]>::new();
    for (at, call) in calls.iter().enumerate() {
        let Some((client, (start, end))) = placed(call) else {
            continue;
        };
        shares.of[at].at_ns = Some(between(span.0, start));
        if start > end {
            shares.of[at].backwards = true;
            continue;
        }
        shares.of[at].concurrent_ns = common((start, end), counted);
        shares.of[at].detached_ns = between(start, end).wrapping_sub(common((start, end), span));
        if start < end && returned(client, (start, end), span.1) {
            waited.push((end, start, at));
        }
    }
    // Latest return first; of two that returned together the one that had been out longer.
    waited.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
    let mut until = counted.1;
    for (end, start, at) in waited {
        let window = (start.max(counted.0), end.min(until));
        if window.0 >= window.1 {
            continue;
        }
        until = window.0;
        let share = &mut shares.of[at];
        share.concurrent_ns = share.concurrent_ns.wrapping_sub(between(window.0, window.1));
        share.part = if window == (start, end) { Part::All } else { Part::Within(window) };
        share.at_ns = Some(between(span.0, window.0));
        shares.carved.push(window);
    }
    shares
}

/// For how long two windows overlap.
fn common(a: Window, b: Window) -> i64 {
    a.1.min(b.1).saturating_sub(a.0.max(b.0)) as i64
}
