//! One line of `k6/hoplab.js`, and the CLIENT span of k6 that it becomes.
//!
//! The line has the lengths that k6 tells, and the log the time at which it was written: so the span ends a known time
//! (`since`) before that, and begins its length earlier. k6's clock is no clock of the lab's: no mark of it is compared
//! with anybody else's, so what lies between k6 and the first service stays one inferred stage.

use std::borrow::Cow;

use ledger::{Half, Marks, Point, Side, names};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::{Span, Status, span::SpanKind, status::StatusCode};
use serde::Deserialize;

/// What every line begins with.
pub(super) const PREFIX: &str = "hoplab ";
/// The form of lines that is read.
const VERSION: u32 = 1;
/// The longest line, in bytes; one has some 400.
const LONGEST: usize = 8 << 10;
/// The longest length that is believed, in milliseconds: a day.
const DAY_MS: f64 = 86_400_000.0;

/// Why a line is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Wrong {
    #[error("a line of hoplab.js has {0} bytes, more than {LONGEST}")]
    Long(usize),
    #[error("a line of hoplab.js is not the JSON that it writes: {0}")]
    Json(String),
    #[error(
        "a line of hoplab.js is of version {0}, and {VERSION} is read: sidecar and script are of different releases"
    )]
    Version(u32),
    #[error("a line has no time in nanoseconds since 1970")]
    Time,
    #[error("a line of hoplab.js has {0}={1}, which is no length in milliseconds within a day")]
    Length(&'static str, String),
    #[error("a line of hoplab.js has the id {0:?}, which is not {1} hexadecimal digits")]
    Id(String, usize),
}

impl Wrong {
    /// The name used in counters.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Wrong::Long(_) => "long",
            Wrong::Json(_) => "json",
            Wrong::Version(_) => "version",
            Wrong::Time => "time",
            Wrong::Length(..) => "length",
            Wrong::Id(..) => "id",
        }
    }
}

/// A line, as the script writes it. What else may be in it is of later releases.
#[derive(Deserialize)]
struct Line<'a> {
    v: u32,
    trace: &'a str,
    span: &'a str,
    /// What the request's `tracestate` says after its span.
    #[serde(borrow)]
    edge: Cow<'a, str>,
    /// How many requests this one stands for.
    weight: f64,
    #[serde(borrow)]
    name: Cow<'a, str>,
    /// The name was chosen by the script's author for all requests of its kind.
    named: bool,
    /// `HOST:PORT`
    #[serde(borrow)]
    peer: Cow<'a, str>,
    /// Why it does not count as answered.
    #[serde(borrow, default)]
    error: Option<Cow<'a, str>>,
    /// Bytes of the reply's body, by its header.
    #[serde(default)]
    reply: Option<u64>,
    /// Until there was a connection, in milliseconds as those below; k6 does not tell of gRPC.
    #[serde(default)]
    blocked: Option<f64>,
    duration: f64,
    /// From the end of the request until the line was written.
    since: f64,
}

/// The span of a line that was written at `at`, in nanoseconds since 1970. It is held to what every span is held to
/// later on.
pub(super) fn read(line: &str, at: u64) -> Result<Span, Wrong> {
    if line.len() > LONGEST {
        return Err(Wrong::Long(line.len()));
    }
    let line: Line<'_> =
        serde_json::from_str(line).map_err(|error| Wrong::Json(error.to_string()))?;
    if line.v != VERSION {
        return Err(Wrong::Version(line.v));
    }
    let blocked = line.blocked.map(|ms| length("blocked", ms)).transpose()?;
    let (duration, since) = (length("duration", line.duration)?, length("since", line.since)?);
    let end = at.checked_sub(since).ok_or(Wrong::Time)?;
    let connected = end.checked_sub(duration).ok_or(Wrong::Time)?;
    let start = connected.checked_sub(blocked.unwrap_or(0)).ok_or(Wrong::Time)?;
    let mut marks = Marks::default().with(Point::CallStart, start).with(Point::CallEnd, end);
    if blocked.is_some() {
        marks = marks.with(Point::SendBegin, connected);
    }
    let mut packed = Vec::new();
    Half { marks, ..Half::new(Side::Client, (start, end)) }.pack(None, &mut packed);
    let mut attributes = vec![
        attribute(names::PACKED, Value::BytesValue(packed)),
        attribute(names::PEER_SERVICE, Value::StringValue(line.peer.into_owned())),
    ];
    if line.named {
        attributes.push(attribute(names::HTTP_ROUTE, Value::StringValue(line.name.clone().into())));
    }
    if let Some(bytes) = line.reply.and_then(|bytes| i64::try_from(bytes).ok()) {
        attributes.push(attribute(names::HTTP_RESPONSE_BODY_SIZE, Value::IntValue(bytes)));
    }
    // Of load by hand nobody asks what was planned.
    if line.edge.rsplit_once(':').is_some_and(|(_, nonce)| !nonce.is_empty()) {
        let latency = i64::try_from(end - start).unwrap_or(i64::MAX);
        attributes.push(attribute(names::WEIGHT, Value::DoubleValue(line.weight)));
        attributes.push(attribute(names::STOPWATCH, Value::IntValue(latency)));
    }
    let (trace, span) = (id(line.trace, 32)?, id(line.span, 16)?);
    let failed = |error: Cow<'_, str>| Status {
        code: StatusCode::Error.into(),
        message: error.into_owned(),
    };
    Ok(Span {
        trace_id: trace.to_be_bytes().into(),
        span_id: span.to_be_bytes()[8..].into(),
        trace_state: format!("{}={}:{}", ledger::edge::KEY, line.span, line.edge),
        name: line.name.into_owned(),
        kind: SpanKind::Client.into(),
        start_time_unix_nano: start,
        end_time_unix_nano: end,
        attributes,
        status: line.error.map(failed),
        ..Span::default()
    })
}

/// Nanoseconds.
fn length(what: &'static str, ms: f64) -> Result<u64, Wrong> {
    let sound = (0.0..=DAY_MS).contains(&ms);
    if sound { Ok((ms * 1e6).round() as u64) } else { Err(Wrong::Length(what, ms.to_string())) }
}

/// An id of so many digits; that it is not 0 is asked of every span.
fn id(text: &str, digits: usize) -> Result<u128, Wrong> {
    let plain = text.len() == digits && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    let number = u128::from_str_radix(text, 16).ok().filter(|_| plain);
    number.ok_or_else(|| Wrong::Id(text.chars().take(40).collect(), digits))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}
