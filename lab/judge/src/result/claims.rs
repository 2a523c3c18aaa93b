//! What the spans of a hop claim that it carried: their own size attributes, for where no tap looked.
//!
//! A claim is of a body: the payload in its envelope, and nothing here knows how long that envelope is.

use serde::{Deserialize, Serialize};
use sidecar::runfile::Claimed;

use super::ratio;
use super::rounding::round;

/// The most bytes of a body that are taken for the envelope of its payload.
pub const ENVELOPE_BYTES: u64 = 1_024;

/// What spans claim of the bodies of one hop. Nobody here counted it.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ClaimedResult {
    /// Body of the request, mean of the requests of which it is claimed.
    pub request_body_bytes: Option<f64>,
    /// Body of the reply, likewise.
    pub response_body_bytes: Option<f64>,
    /// Smallest and largest request body, of the requests that no tap saw.
    pub request_body_range: Option<(u64, u64)>,
    /// Smallest and largest reply body, likewise.
    pub response_body_range: Option<(u64, u64)>,
    /// Requests that no tap saw and of whose declared payloads every one is claimed.
    pub checked: u64,
    /// Requests that no tap saw and that claim a body, in either direction, that is not one of the declared payload.
    pub mismatches: u64,
}

/// Whether a body of `bytes` may be that of a payload of so many.
#[must_use]
pub fn holds_payload(bytes: u64, payload: u64) -> bool {
    bytes.checked_sub(payload).is_some_and(|envelope| envelope <= ENVELOPE_BYTES)
}

/// What is added up of one hop.
#[derive(Debug, Default)]
pub(super) struct Claims {
    request: Bodies,
    reply: Bodies,
    checked: u64,
    mismatches: u64,
}

/// The bodies of one direction.
#[derive(Debug, Default)]
struct Bodies {
    count: u64,
    bytes: u64,
    unseen: Option<(u64, u64)>,
}

impl Claims {
    /// Adds what is claimed of a request, which a tap has `seen` or not.
    pub(super) fn take(
        &mut self,
        declared: (Option<u64>, Option<u64>),
        Claimed { request, reply }: Claimed,
        seen: bool,
    ) {
        self.request.take(request, seen);
        self.reply.take(reply, seen);
        if seen {
            return;
        }
        let both = [(declared.0, request), (declared.1, reply)];
        let told = both.iter().filter_map(|&(declared, body)| declared.zip(body));
        // Of a message without a body SDKs say nothing, so an empty payload need not be claimed.
        let lacks = |&(declared, body): &(Option<u64>, Option<u64>)| {
            declared.is_some_and(|bytes| bytes > 0) && body.is_none()
        };
        let all_told = told.clone().count() > 0 && !both.iter().any(lacks);
        self.checked += u64::from(all_told);
        let wrong = told.clone().any(|(declared, body)| !holds_payload(body, declared));
        self.mismatches += u64::from(wrong);
    }

    /// What was claimed; nothing where nobody said anything.
    pub(super) fn close(self) -> Option<ClaimedResult> {
        (self.request.count + self.reply.count > 0).then(|| ClaimedResult {
            request_body_bytes: self.request.mean(),
            response_body_bytes: self.reply.mean(),
            request_body_range: self.request.unseen,
            response_body_range: self.reply.unseen,
            checked: self.checked,
            mismatches: self.mismatches,
        })
    }
}

impl Bodies {
    fn take(&mut self, body: Option<u64>, seen: bool) {
        let Some(bytes) = body else { return };
        self.count += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        if !seen {
            widen(&mut self.unseen, bytes);
        }
    }

    fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| round(ratio(self.bytes as f64, self.count as f64), 1e3))
    }
}

/// Makes room for `value` in a range.
pub(super) fn widen(range: &mut Option<(u64, u64)>, value: u64) {
    let (least, most) = range.unwrap_or((value, value));
    *range = Some((least.min(value), most.max(value)));
}
