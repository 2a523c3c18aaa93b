//! Which of several SERVER spans below one CLIENT span is the answer that the client got.
//!
//! A library that tries again inside one span makes such. The choice looks at the spans alone, not at the order in
//! which they came.

use crate::span::Span;

/// The place, among `servers` (places in `spans`), of the answer to the call at `client`; `None` if none of several
/// can be it: then the whole call is unseen.
///
/// On one clock it is the last one inside the call. Else the only one without an error; else the longest that is
/// not longer than the call.
pub(super) fn answer(spans: &[Span], client: Option<usize>, servers: &[usize]) -> Option<usize> {
    if let [] | [_] = servers {
        return servers.first().copied();
    }
    let call = client.map(|at| &spans[at]);
    let place = |at: usize| {
        let (start, end) = spans[at].half().residence();
        (end, start, spans[at].id)
    };
    if let Some(call) = call {
        let inside = servers.iter().copied().filter(|&at| contains(call, &spans[at]));
        if let Some(last) = inside.max_by_key(|&at| place(at)) {
            return Some(last);
        }
    }
    let without_error: Vec<usize> =
        servers.iter().copied().filter(|&at| !spans[at].error).collect();
    match without_error[..] {
        [only] => return Some(only),
        [] => {}
        _ => return longest(spans, call, &without_error),
    }
    longest(spans, call, servers)
}

/// Whether the server's residence lies in the call, by one clock of marks.
fn contains(call: &Span, server: &Span) -> bool {
    let clock = &call.source.clock;
    let (client, answer) = (call.half(), server.half());
    let marked = client.marks.first().is_some() && answer.marks.first().is_some();
    let ((start, end), (from, to)) = (client.call(), answer.residence());
    marked && !clock.is_empty() && *clock == server.source.clock && start <= from && to <= end
}

fn longest(spans: &[Span], call: Option<&Span>, servers: &[usize]) -> Option<usize> {
    let fits = |at: &usize| call.is_none_or(|call| spans[*at].length() <= call.length());
    servers.iter().copied().filter(fits).max_by_key(|&at| (spans[at].length(), spans[at].id))
}
