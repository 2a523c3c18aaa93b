//! One line of k6's JSON stream.
//!
//! Of some seventeen lines that k6 writes for a request, six are read; the others are known by their first
//! bytes and cost no parsing.

use std::borrow::Cow;

use serde::Deserialize;

use ledger::date;

/// The longest duration that is believed, in milliseconds: a day.
const LONGEST_MS: f64 = 86_400_000.0;
/// The largest count that is believed in one line.
const LARGEST: f64 = 1e9;

macro_rules! metrics {
    ($($name:ident = $text:literal, $doc:literal;)*) => {
        /// What a line that is read is about.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Metric { $(#[doc = $doc] $name,)* }

        impl Metric {
            fn from_name(name: &[u8]) -> Option<Metric> {
                $(if name == $text.as_bytes() { return Some(Metric::$name); })*
                None
            }
        }
    };
}

metrics! {
    Origin = "scenario_origin_ms", "When the scenario began; of the scripts in `k6/`.";
    Started = "requests_started", "A request begins; of the scripts in `k6/`.";
    Answered = "requests_answered", "Whether the answer is what was asked for; of the scripts in `k6/`.";
    Dropped = "dropped_iterations", "Arrivals for which no user was free.";
    Duration = "http_req_duration", "Sending, waiting and receiving, with which a request ends.";
    Blocked = "http_req_blocked", "From wanting a connection to having one.";
    Connecting = "http_req_connecting", "Making the connection, if it had to be made.";
}

/// Which request a line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Request {
    /// Trace id of its traceparent; never zero.
    pub(super) trace: u128,
    /// Span id of its traceparent; never zero.
    pub(super) span: u64,
    /// Its trace is to be recorded.
    pub(super) sampled: bool,
    /// Which of the cell's requests it is, by the order of their templates.
    pub(super) template: usize,
}

/// A line that is read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sample<'a> {
    pub(super) metric: Metric,
    /// When, in nanoseconds since 1970.
    pub(super) at: u64,
    /// Nanoseconds where the metric is a time or a duration, else a count.
    pub(super) value: u64,
    /// Whether it belongs to the measured part, where the line says so.
    pub(super) measured: Option<bool>,
    /// The request, where the line names one.
    pub(super) request: Option<Request>,
    /// HTTP status, `0` for none; empty where the line has none.
    pub(super) status: &'a str,
    /// k6's number for what went wrong; empty if nothing did.
    pub(super) error_code: &'a str,
    /// k6's words for it.
    pub(super) error: Cow<'a, str>,
}

/// A line that cannot be what k6 writes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum LineError {
    #[error("is no JSON of a sample")]
    Json,
    #[error("has no time")]
    Time,
    #[error("has no value, or one that cannot be")]
    Value,
    #[error("names no request")]
    Request,
}

#[derive(Deserialize)]
struct Line<'a> {
    metric: &'a str,
    r#type: &'a str,
    #[serde(borrow)]
    data: Data<'a>,
}

#[derive(Deserialize)]
struct Data<'a> {
    time: Option<&'a str>,
    value: Option<f64>,
    #[serde(borrow)]
    tags: Option<Tags<'a>>,
    #[serde(borrow)]
    metadata: Option<Metadata<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Tags<'a> {
    phase: &'a str,
    status: &'a str,
    error_code: &'a str,
    #[serde(borrow)]
    error: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Metadata<'a> {
    trace_id: &'a str,
    span_id: &'a str,
    sampled: Option<&'a str>,
    template: Option<&'a str>,
}

/// Reads a line; `None` if it is of no interest.
pub(super) fn read(line: &[u8]) -> Result<Option<Sample<'_>>, LineError> {
    if line.is_empty() || !interesting(line) {
        return Ok(None);
    }
    let line: Line<'_> = serde_json::from_slice(line).map_err(|_| LineError::Json)?;
    let Some(metric) = Metric::from_name(line.metric.as_bytes()) else { return Ok(None) };
    if line.r#type != "Point" {
        return Ok(None);
    }
    let data = line.data;
    let tags = data.tags.unwrap_or_default();
    let request = match (&data.metadata, metric) {
        (Some(metadata), _) => Some(request(metadata).ok_or(LineError::Request)?),
        (None, Metric::Origin | Metric::Dropped) => None,
        (None, _) => return Err(LineError::Request),
    };
    Ok(Some(Sample {
        metric,
        at: data.time.and_then(date::parse).ok_or(LineError::Time)?,
        value: data.value.and_then(|value| integer(metric, value)).ok_or(LineError::Value)?,
        measured: match tags.phase {
            "measured" => Some(true),
            "warmup" => Some(false),
            _ => None,
        },
        request,
        status: tags.status,
        error_code: tags.error_code,
        error: tags.error,
    }))
}

/// Whether a line may be one that is read. k6 begins its samples with the name of the metric; what begins
/// otherwise is looked at.
fn interesting(line: &[u8]) -> bool {
    if line.starts_with(br#"{"type":"Metric""#) {
        return false;
    }
    metric_of(line).is_none_or(|name| Metric::from_name(name).is_some())
}

/// The metric that a line begins with the name of, as k6 writes it.
pub(super) fn metric_of(line: &[u8]) -> Option<&[u8]> {
    let name = line.strip_prefix(br#"{"metric":""#)?;
    name.split(|&byte| byte == b'"').next()
}

/// A duration that k6 gives in milliseconds; `None` if it cannot be one.
pub(super) fn nanoseconds(ms: f64) -> Option<u64> {
    (0.0..=LONGEST_MS).contains(&ms).then(|| (ms * 1e6).round() as u64)
}

fn request(metadata: &Metadata<'_>) -> Option<Request> {
    let digits = |text: &str, count| {
        text.len() == count && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let (trace, span) = (metadata.trace_id, metadata.span_id);
    if !digits(trace, 32) || !digits(span, 16) {
        return None;
    }
    let trace = u128::from_str_radix(trace, 16).ok().filter(|&id| id != 0)?;
    let span = u64::from_str_radix(span, 16).ok().filter(|&id| id != 0)?;
    // A script of one request does not number it.
    let template = metadata.template.map_or(Some(0), |number| number.parse().ok())?;
    Some(Request { trace, span, sampled: metadata.sampled == Some("1"), template })
}

/// A value as nanoseconds or as a count; `None` if it cannot be either.
fn integer(metric: Metric, value: f64) -> Option<u64> {
    let within = |largest: f64| (0.0..=largest).contains(&value);
    match metric {
        Metric::Duration | Metric::Blocked | Metric::Connecting => nanoseconds(value),
        // Milliseconds since 1970: whole ones, so the product is exact.
        Metric::Origin => within(1.7e13).then(|| value as u64 * 1_000_000),
        Metric::Started | Metric::Answered | Metric::Dropped => {
            within(LARGEST).then(|| value.round() as u64)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Lines of k6 1.8.1, as recorded.
    const DURATION: &str = r#"{"metric":"http_req_duration","type":"Point","data":{"time":"2026-11-25T00:21:39.116352607Z","value":1.20527,"tags":{"cell":"rest-10B","expected_response":"true","group":"","method":"POST","name":"http://127.0.0.1:18080/rest/ping","phase":"warmup","proto":"HTTP/1.1","round":"0","run":"r","scenario":"load","status":"200","url":"http://127.0.0.1:18080/rest/ping"},"metadata":{"span_id":"ae5c2494410fdca2","sampled":"0","trace_id":"f4a46baf0d79d1100ce97dcaabc1c44d"}}}"#;
    const DESCRIPTION: &str = r#"{"type":"Metric","data":{"name":"requests_started","type":"counter","contains":"default","thresholds":[],"submetrics":null},"metric":"requests_started"}"#;
    const ORIGIN: &str = r#"{"metric":"scenario_origin_ms","type":"Point","data":{"time":"2026-11-25T00:21:39.129194875Z","value":1.795566099107e+12,"tags":{"cell":"rest-10B","group":"","phase":"warmup","round":"0","run":"r","scenario":"load"},"metadata":{"sampled":"0","trace_id":"0cd22187275dc0aa3da2593e87e0be97","span_id":"36cbf35fed8007a3"}}}"#;
    const DROPPED: &str = r#"{"metric":"dropped_iterations","type":"Point","data":{"time":"2026-11-25T00:21:39.5Z","value":1,"tags":{"scenario":"load"}}}"#;

    fn sample(line: &str) -> Sample<'_> {
        read(line.as_bytes()).expect("a line").expect("a sample")
    }

    #[test]
    fn recorded_lines_are_read() {
        let duration = sample(DURATION);
        assert_eq!(
            (duration.metric, duration.value, duration.status),
            (Metric::Duration, 1_205_270, "200")
        );
        assert_eq!((duration.at, duration.measured), (1_795_566_099_116_352_607, Some(false)));
        let request = duration.request.expect("a request");
        assert_eq!((request.span, request.sampled), (0xae5c_2494_410f_dca2, false));
        assert_eq!(sample(ORIGIN).value, 1_795_566_099_107_000_000);
        let dropped = sample(DROPPED);
        assert_eq!((dropped.value, dropped.measured, dropped.request), (1, None, None));
    }

    #[test]
    fn what_is_of_no_interest_is_passed_over() {
        let other = DURATION.replace("http_req_duration", "http_req_waiting");
        let cut = r#"{"metric":"iterations","#;
        for line in ["", DESCRIPTION, &other, cut] {
            assert_eq!(read(line.as_bytes()), Ok(None), "{line}");
        }
    }

    #[test]
    fn a_reordered_line_is_read_as_well() {
        let (head, data) = DROPPED.split_once(r#","data""#).expect("data");
        let head = head.trim_start_matches('{');
        let line = format!(r#"{{"data"{},{head}}}"#, &data[..data.len() - 1]);
        assert_eq!(sample(&line), sample(DROPPED));
    }

    #[test]
    fn wrong_values_are_refused_by_what_is_wrong() {
        for (from, to, error) in [
            ("1.20527", "-1", LineError::Value),
            ("1.20527", "1e300", LineError::Value),
            ("1.20527", "1e999", LineError::Json),
            ("1.20527", "null", LineError::Value),
            ("1.20527", "\"x\"", LineError::Json),
            ("2026-", "x", LineError::Time),
            ("ae5c2494410fdca2", "0000000000000000", LineError::Request),
            ("f4a46baf", "+4a46baf", LineError::Request),
            ("\"metadata\"", "\"other\"", LineError::Request),
            ("}}}", "", LineError::Json),
        ] {
            let line = DURATION.replacen(from, to, 1);
            assert_eq!(read(line.as_bytes()), Err(error), "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_line_makes_reading_panic(at in 0_usize..500, bytes in prop::collection::vec(any::<u8>(), 0..20)) {
            let _ = read(&bytes);
            for line in [DURATION, ORIGIN, DROPPED] {
                let mut line = line.as_bytes().to_vec();
                let at = at.min(line.len());
                let end = (at + bytes.len()).min(line.len());
                line.splice(at..end, bytes.iter().copied());
                let _ = read(&line);
            }
        }
    }
}
