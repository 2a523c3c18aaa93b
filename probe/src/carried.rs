//! What travels with a trace beside its `traceparent`: `tracestate` and `baggage`, from the request that came in to
//! those that it makes.
//!
//! Sources: <https://www.w3.org/TR/trace-context/#tracestate-header> and
//! <https://www.w3.org/TR/baggage/#baggage-http-header-format>.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::context::{SpanContext, TRACEPARENT};

const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const BAGGAGE: HeaderName = HeaderName::from_static("baggage");

/// Members of a `tracestate` at most; one with more is malformed.
const MOST_MEMBERS: usize = 32;
/// What is passed on of a `tracestate`, in characters: the standard asks for no more.
const LONGEST: usize = 512;
/// Members longer than this are the first to go from a `tracestate` that is too long.
const LONG_MEMBER: usize = 128;

/// What a request carries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Carried {
    /// Its `tracestate`, in one line.
    state: Option<HeaderValue>,
    /// The lines of its `baggage`, as they came.
    baggage: Vec<HeaderValue>,
}

impl Carried {
    /// What begins with a request of our own, whose `tracestate` has this one member.
    pub(crate) fn with_member(member: &str) -> Option<Arc<Carried>> {
        let state = Some(one_line([member.as_bytes()].into_iter())?);
        Some(Arc::new(Carried { state, baggage: Vec::new() }))
    }

    /// What a request carries whose caller is `traced`: without that a `tracestate` says nothing.
    pub(crate) fn read(headers: &HeaderMap, traced: bool) -> Option<Arc<Carried>> {
        let lines = headers.get_all(TRACESTATE).into_iter().map(HeaderValue::as_bytes);
        let state = if traced { one_line(lines) } else { None };
        let baggage: Vec<_> = headers.get_all(BAGGAGE).into_iter().cloned().collect();
        // Nearly no request carries anything: then nothing is allocated for it.
        let empty = state.is_none() && baggage.is_empty();
        (!empty).then(|| Arc::new(Carried { state, baggage }))
    }

    /// Puts it on a request.
    pub(crate) fn put(&self, headers: &mut HeaderMap) {
        if let Some(state) = &self.state {
            headers.insert(TRACESTATE, state.clone());
        }
        for line in &self.baggage {
            headers.append(BAGGAGE, line.clone());
        }
    }

    /// Its `tracestate`, as spans say it; empty where it has none.
    pub(crate) fn state(&self) -> &[u8] {
        self.state.as_ref().map_or(&[], HeaderValue::as_bytes)
    }
}

/// The caller that a request names. Of two `traceparent` lines none is believed: that is a new trace.
pub(crate) fn caller(headers: &HeaderMap) -> Option<SpanContext> {
    let mut lines = headers.get_all(TRACEPARENT).into_iter();
    match (lines.next(), lines.next()) {
        (Some(line), None) => SpanContext::parse(line.as_bytes()),
        _ => None,
    }
}

/// The lines of a `tracestate` as one, cut to what is passed on; nothing if one of its members is malformed.
fn one_line<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Option<HeaderValue> {
    let mut members: Vec<&[u8]> = Vec::new();
    for line in lines {
        for member in line.split(|&byte| byte == b',') {
            let member = trimmed(member);
            // A list may have empty places.
            if member.is_empty() {
                continue;
            }
            if !is_member(member) || members.len() == MOST_MEMBERS {
                return None;
            }
            members.push(member);
        }
    }
    shorten(&mut members);
    if members.is_empty() {
        return None;
    }
    let mut value = HeaderValue::from_bytes(&members.join(&b','))
        .expect("members consist of visible characters and spaces");
    // New in each request that has ours: HPACK would keep it for nothing.
    value.set_sensitive(true);
    Some(value)
}

/// Leaves out members until the line is short enough: long ones first, then from the end, as the standard asks.
fn shorten(members: &mut Vec<&[u8]>) {
    let mut length = members.iter().map(|member| member.len() + 1).sum::<usize>();
    while length > LONGEST + 1 {
        let long = members.iter().rposition(|member| member.len() > LONG_MEMBER);
        match long.or(members.len().checked_sub(1)) {
            Some(at) => length -= members.remove(at).len() + 1,
            None => return,
        }
    }
}

/// Without the optional white space round it.
fn trimmed(mut member: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = member {
        member = rest;
    }
    member
}

/// Whether it is `key=value` in the characters and lengths of the standard.
fn is_member(member: &[u8]) -> bool {
    let Some(at) = member.iter().position(|&byte| byte == b'=') else { return false };
    let (key, value) = (&member[..at], &member[at + 1..]);
    let is_key = match key.iter().position(|&byte| byte == b'@') {
        None => is_name(key, 256) && key[0].is_ascii_lowercase(),
        Some(at) => {
            let (tenant, system) = (&key[..at], &key[at + 1..]);
            is_name(tenant, 241) && is_name(system, 14) && system[0].is_ascii_lowercase()
        }
    };
    is_key
        && (1..=256).contains(&value.len())
        && value.iter().all(|byte| matches!(byte, b' '..=b'~') && !b",=".contains(byte))
}

/// Whether it is one of the two parts of a key, of at most `longest` characters.
fn is_name(name: &[u8], longest: usize) -> bool {
    let begins = name.first().is_some_and(|&b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let may = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-*/".contains(b);
    begins && name.len() <= longest && name.iter().all(may)
}

#[cfg(test)]
mod tests;
