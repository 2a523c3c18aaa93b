//! Service settings as they are written in plans and on the command line, laid over each other.
//!
//! What the settings mean is `model::Knobs`' business; what a service does with them is its own.

use std::time::Duration;

use ledger::Stage;
use probe::{Probe, ProbeConfig};
use toml::{Table, Value};

use super::size::Size;
use super::span::Span;
use crate::Knobs;

/// Processes that can inject a delay.
const PROCESSES: [&str; 4] = ["gateway", "echo", "pg-client", "driver"];
/// Stages with delays that only a caller passes; the others only one that answers. The gateway does both.
const CALLERS: [Stage; 4] =
    [Stage::SendQueue, Stage::RequestEncode, Stage::ReplyDecode, Stage::WakeUp];
/// Settings that are sizes: they may be written with a unit.
const SIZES: [&str; 4] = ["stream_window", "connection_window", "frame_size", "rest_size_bug"];
/// Largest HTTP/2 window (RFC 9113, 6.9.1), in bytes.
const MAX_WINDOW: u32 = (1 << 31) - 1;
/// Smallest HTTP/2 connection window: it begins with so many bytes and only grows (RFC 9113, 6.9.2).
const MIN_CONNECTION_WINDOW: u64 = 65_535;
/// Smallest and largest HTTP/2 frame size that may be asked for (RFC 9113, 6.5.2), in bytes.
const FRAME_SIZES: (u32, u32) = (16_384, 16_777_215);
/// Rows of the users table: one of each common e-mail's worth at least, and what a disk takes in minutes.
const USERS: (u64, u64) = (1_000, 100_000_000);
/// Connections to the database: PostgreSQL takes 100 unless it is told otherwise.
const POOL_SIZES: (u64, u64) = (1, 90);
/// More threads than any machine this runs on has.
const MAX_THREADS: usize = 1_024;

/// Why a setting is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KnobError {
    /// Not `KNOB=VALUE`.
    #[error("{0:?} is not a setting: write KNOB=VALUE, such as stream_window=64KiB")]
    NoAssignment(String),
    /// No such setting, or a value of another type.
    #[error("setting refused: {0}")]
    Refused(String),
    /// Out of range.
    #[error("{knob} = {value} is outside its limits, {low} to {high}")]
    Limit {
        /// The setting.
        knob: &'static str,
        /// What was asked for.
        value: u64,
        /// Smallest value.
        low: u64,
        /// Largest value.
        high: u64,
    },
    /// A delay that cannot be injected.
    #[error("cannot inject {0:?}: {1}")]
    Inject(String, String),
}

/// Reads `KNOB=VALUE`; the value is TOML, or a bare word.
///
/// # Errors
/// If there is no `=`.
pub fn assignment(text: &str) -> Result<(String, Value), KnobError> {
    let (knob, value) =
        text.split_once('=').ok_or_else(|| KnobError::NoAssignment(text.to_owned()))?;
    let parsed = toml::from_str::<Table>(&format!("value = {value}"))
        .ok()
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| Value::String(value.trim().to_owned()));
    Ok((knob.trim().to_owned(), parsed))
}

/// Reads `[PROCESS:]STAGE=DURATION` into the key and value of an `inject` table.
///
/// # Errors
/// If the process, the stage or the duration is unknown.
pub fn injection(text: &str) -> Result<(String, Value), KnobError> {
    let (place, delay) = text.split_once('=').ok_or_else(|| {
        KnobError::Inject(
            text.to_owned(),
            "write STAGE=DURATION, such as gateway:handler=2ms".to_owned(),
        )
    })?;
    let place = injection_place(place)?;
    delay.parse::<Span>().map_err(|error| KnobError::Inject(text.to_owned(), error.to_string()))?;
    Ok((place, Value::String(delay.to_owned())))
}

/// `PROCESS:STAGE` in full: a stage alone is injected by the gateway.
fn injection_place(place: &str) -> Result<String, KnobError> {
    let (process, stage) = place.split_once(':').unwrap_or(("gateway", place));
    let process = process.trim();
    if !PROCESSES.contains(&process) {
        let known = format!("no process is called {process:?}; there are {}", PROCESSES.join(", "));
        return Err(KnobError::Inject(place.to_owned(), known));
    }
    let refused = |why: String| KnobError::Inject(place.to_owned(), why);
    let stage = Stage::from_name(stage).map_err(|error| refused(error.to_string()))?;
    // Which stages a delay can be injected into is the probe's to say: one that exports nothing says it.
    let asked = ProbeConfig { inject: vec![(stage, Duration::ZERO)], ..ProbeConfig::default() };
    Probe::start(asked).map_err(|error| refused(error.to_string()))?;
    let callers = CALLERS.map(Stage::name).join(", ");
    match (process, CALLERS.contains(&stage)) {
        (other, _) if stage == Stage::QueryRoundTrip && other != "pg-client" => {
            return Err(refused(format!("{other} asks no database: pg-client does")));
        }
        ("driver", false) => {
            return Err(refused(format!("the driver only calls, and passes only {callers}")));
        }
        ("echo", true) => {
            return Err(refused(format!("echo only answers: {callers} are its caller's")));
        }
        _ => {}
    }
    Ok(format!("{process}:{}", stage.name()))
}

/// Lays the entries of `over` over those of `under`; `inject` tables are laid over entry by entry.
#[must_use]
pub(super) fn overlay(under: &Table, over: &Table) -> Table {
    let mut result = under.clone();
    for (key, value) in over {
        match (result.get_mut(key), value) {
            (Some(Value::Table(old)), Value::Table(new)) => *old = overlay(old, new),
            _ => {
                result.insert(key.clone(), value.clone());
            }
        }
    }
    result
}

/// The settings that a table spells out; what it leaves out is as the services have it by default.
///
/// # Errors
/// If a setting is unknown, has a value of another type or is outside its limits.
pub fn read(table: &Table) -> Result<Knobs, KnobError> {
    let mut table = table.clone();
    for knob in SIZES {
        if let Some(Value::String(text)) = table.get(knob) {
            let size: Size =
                text.parse().map_err(|error| KnobError::Refused(format!("{knob}: {error}")))?;
            table.insert(knob.to_owned(), integer(size.0)?);
        }
    }
    if let Some(Value::Table(delays)) = table.remove("inject") {
        let mut read = Table::new();
        for (place, delay) in delays {
            let refused = |why: String| KnobError::Inject(place.clone(), why);
            let text = delay
                .as_str()
                .ok_or_else(|| refused("the delay is a duration in quotes".to_owned()))?;
            let delay: Span =
                text.parse().map_err(|error: super::span::SpanError| refused(error.to_string()))?;
            read.insert(injection_place(&place)?, integer(delay.0)?);
        }
        table.insert("inject".to_owned(), Value::Table(read));
    }
    let knobs: Knobs = Value::Table(table)
        .try_into()
        .map_err(|error: toml::de::Error| KnobError::Refused(error.message().to_owned()))?;
    within_limits(&knobs)?;
    Ok(knobs)
}

fn integer(value: u64) -> Result<Value, KnobError> {
    i64::try_from(value)
        .map(Value::Integer)
        .map_err(|_| KnobError::Refused(format!("{value} is above 2^63")))
}

fn within_limits(knobs: &Knobs) -> Result<(), KnobError> {
    let window = (1, u64::from(MAX_WINDOW));
    let frames = (u64::from(FRAME_SIZES.0), u64::from(FRAME_SIZES.1));
    for (knob, value, (low, high)) in [
        ("stream_window", knobs.stream_window.map(u64::from), window),
        (
            "connection_window",
            knobs.connection_window.map(u64::from),
            (MIN_CONNECTION_WINDOW, window.1),
        ),
        ("frame_size", knobs.frame_size.map(u64::from), frames),
        (
            "worker_threads",
            knobs.worker_threads.map(|threads| threads as u64),
            (1, MAX_THREADS as u64),
        ),
        ("rest_size_bug", knobs.rest_size_bug, (0, super::size::MAX_PAYLOAD)),
        ("users", knobs.users, USERS),
        ("pool_size", knobs.pool_size.map(u64::from), POOL_SIZES),
    ] {
        if let Some(value) = value.filter(|value| !(low..=high).contains(value)) {
            return Err(KnobError::Limit { knob, value, low, high });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PayloadSource;

    fn set(settings: &[&str]) -> Result<Knobs, KnobError> {
        read(&settings.iter().map(|text| assignment(text).unwrap()).collect())
    }

    #[test]
    fn settings_are_read_as_toml_or_bare_words() {
        let knobs = set(&[
            "stream_window=64KiB",
            "nagle=true",
            "payload_source=per_request",
            "worker_threads=1",
        ]);
        let expected = Knobs {
            stream_window: Some(65_536),
            nagle: true,
            payload_source: PayloadSource::PerRequest,
            worker_threads: Some(1),
            ..Knobs::default()
        };
        assert_eq!(knobs, Ok(expected));
    }

    #[test]
    fn an_unknown_setting_is_answered_with_the_known_ones() {
        let error = set(&["windows=1"]).unwrap_err().to_string();
        assert!(error.contains("windows") && error.contains("stream_window"), "{error}");
    }

    #[test]
    fn limits_are_named() {
        let error = set(&["frame_size=1"]).unwrap_err().to_string();
        assert_eq!(error, "frame_size = 1 is outside its limits, 16384 to 16777215");
    }

    #[test]
    fn an_injection_is_spelled_out_in_full() {
        let (place, delay) = injection("reply-encode=2ms").unwrap();
        assert_eq!((place.as_str(), delay.as_str()), ("gateway:reply_encode", Some("2ms")));
        let table = Table::from_iter([(
            "inject".to_owned(),
            Value::Table(Table::from_iter([(place, delay)])),
        )]);
        assert_eq!(read(&table).unwrap().inject["gateway:reply_encode"], 2_000_000);
    }

    #[test]
    fn what_cannot_be_injected_is_refused_by_name() {
        for (text, named) in [
            ("handler", "STAGE=DURATION"),
            ("db:handler=1ms", "\"db\""),
            ("encoding=1ms", "handler"),
            ("handler=1", "500ms"),
            ("request_wire=1ms", "request_encode"),
            ("driver:handler=1ms", "only calls"),
            ("echo:wake_up=1ms", "only answers"),
            ("query_round_trip=1ms", "pg-client does"),
        ] {
            let error = injection(text).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn later_settings_are_laid_over_earlier_ones() {
        let under = toml::from_str("nagle = true\n[inject]\nhandler = \"1ms\"").unwrap();
        let over = toml::from_str("nagle = false\n[inject]\ndispatch = \"2ms\"").unwrap();
        let knobs = read(&overlay(&under, &over)).unwrap();
        assert!(!knobs.nagle);
        assert_eq!(knobs.inject.len(), 2);
    }
}
