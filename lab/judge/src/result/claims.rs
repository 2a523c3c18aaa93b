//! Bodies of a hop whose payload nobody told apart: as a relay counted them where no end was tapped, or as spans claim
//! them by their own size attributes where nobody counted.
//!
//! A body is the payload in its envelope. How long that may be is declared with the payload, or taken from here.

use serde::{Deserialize, Serialize};
use sidecar::runfile::Claimed;

use super::ratio;
use super::rounding::round;

/// The most bytes of a body that are taken for the envelope of its payload, where a plan does not say.
pub const ENVELOPE_BYTES: u64 = 1_024;

/// What is known of the bodies of one hop.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BodiesResult {
    /// Body of the request, mean of the requests of which it is known.
    pub request_body_bytes: Option<f64>,
    /// Body of the reply, likewise.
    pub response_body_bytes: Option<f64>,
    /// Smallest and largest request body, of the requests that are judged by it: nobody counted their payload.
    pub request_body_range: Option<(u64, u64)>,
    /// Smallest and largest reply body, likewise.
    pub response_body_range: Option<(u64, u64)>,
    /// Those requests, as far as a body is known for every payload that is declared of them.
    pub checked: u64,
    /// Those of them with a body, in either direction, that is not one of the declared payload.
    pub mismatches: u64,
}

/// Whether a body of `bytes` may be that of a payload of so many, in an envelope of no more than `envelope`.
#[must_use]
pub fn holds_payload(bytes: u64, payload: u64, envelope: u64) -> bool {
    bytes.checked_sub(payload).is_some_and(|rest| rest <= envelope)
}

/// What is declared of the messages of a hop.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Declared {
    pub(super) request: Option<u64>,
    pub(super) reply: Option<u64>,
    /// Of a body, beside the payload, at most.
    pub(super) envelope: Option<u64>,
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
    judged: Option<(u64, u64)>,
}

impl Claims {
    /// Adds what is known of the bodies of a request, which is judged by it or not.
    pub(super) fn take(
        &mut self,
        declared: Declared,
        Claimed { request, reply }: Claimed,
        judged: bool,
    ) {
        self.request.take(request, judged);
        self.reply.take(reply, judged);
        if !judged {
            return;
        }
        let envelope = declared.envelope.unwrap_or(ENVELOPE_BYTES);
        let both = [(declared.request, request), (declared.reply, reply)];
        let told = both.iter().filter_map(|&(declared, body)| declared.zip(body));
        // Of a message without a body SDKs say nothing, so an empty payload need not be claimed.
        let lacks = |&(declared, body): &(Option<u64>, Option<u64>)| {
            declared.is_some_and(|bytes| bytes > 0) && body.is_none()
        };
        let all_told = told.clone().count() > 0 && !both.iter().any(lacks);
        self.checked += u64::from(all_told);
        let wrong = told.clone().any(|(declared, body)| !holds_payload(body, declared, envelope));
        self.mismatches += u64::from(wrong);
    }

    /// What was known; nothing where nobody said anything.
    pub(super) fn close(self) -> Option<BodiesResult> {
        (self.request.count + self.reply.count > 0).then(|| BodiesResult {
            request_body_bytes: self.request.mean(),
            response_body_bytes: self.reply.mean(),
            request_body_range: self.request.judged,
            response_body_range: self.reply.judged,
            checked: self.checked,
            mismatches: self.mismatches,
        })
    }
}

impl Bodies {
    fn take(&mut self, body: Option<u64>, judged: bool) {
        let Some(bytes) = body else { return };
        self.count += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        if judged {
            widen(&mut self.judged, bytes);
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
