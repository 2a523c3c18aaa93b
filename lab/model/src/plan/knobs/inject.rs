//! Delays to inject: where one can be, and how it is written.

use ledger::Stage;
use toml::{Table, Value};

use super::KnobError;
use crate::services::{Service, passes};
use settings::Span;

/// The longest delay: what a service takes.
const LONGEST: Span = Span::seconds(60);

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
    duration(text, delay)?;
    Ok((place, Value::String(delay.to_owned())))
}

/// An `inject` table with every place in full, and delays in nanoseconds.
pub(super) fn delays(written: &Table) -> Result<Table, KnobError> {
    let mut delays = Table::new();
    for (place, delay) in written {
        let text = delay.as_str().ok_or_else(|| KnobError::Form {
            knob: format!("inject.{place:?}"),
            value: delay.to_string(),
            form: "a duration in quotes, such as \"5ms\"".to_owned(),
        })?;
        let ns = i64::try_from(duration(place, text)?).unwrap_or(i64::MAX);
        let full = injection_place(place)?;
        if delays.insert(full.clone(), Value::Integer(ns)).is_some() {
            let twice = format!("a delay into {full} is asked for twice");
            return Err(KnobError::Inject(place.clone(), twice));
        }
    }
    Ok(delays)
}

fn duration(what: &str, text: &str) -> Result<u64, KnobError> {
    let read = Span::within(Span(0)..=LONGEST)(text);
    read.map(|span| span.0).map_err(|why| KnobError::Inject(what.to_owned(), why.to_string()))
}

/// `PROCESS:STAGE` in full: a stage alone is injected by the service that load generators ask.
fn injection_place(place: &str) -> Result<String, KnobError> {
    let (process, stage) = place.split_once(':').unwrap_or((Service::entry().name, place));
    let process = process.trim();
    let refused = |why: String| KnobError::Inject(place.to_owned(), why);
    let stage = Stage::from_name(stage).map_err(|error| refused(error.to_string()))?;
    if !Stage::INJECTABLE.contains(&stage) {
        let known = Stage::INJECTABLE.map(Stage::name).join(", ");
        return Err(refused(format!(
            "no delay can be injected into {stage}; it can be into {known}"
        )));
    }
    passes(process, stage).map_err(refused)?;
    Ok(format!("{process}:{}", stage.name()))
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::*;

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
            ("handler=61s", "limits of 0s to 60s"),
            ("request_wire=1ms", "request_encode"),
            ("driver:handler=1ms", "only calls"),
            ("echo:wake_up=1ms", "only answers"),
            ("query_round_trip=1ms", "pg-client does"),
            ("pg-client:request_encode=1ms", "driver encodes"),
        ] {
            let error = injection(text).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn a_delay_named_twice_is_refused_however_it_is_spelled() {
        for (one, other) in [
            ("handler", "gateway:handler"),
            ("echo:reply-encode", "echo:reply_encode"),
            ("gateway:reply_send_queue", "reply-send-queue"),
        ] {
            let text = format!("[inject]\n\"{one}\" = \"1ms\"\n\"{other}\" = \"2ms\"");
            let error = read(&toml::from_str(&text).unwrap()).unwrap_err().to_string();
            assert!(error.contains("asked for twice"), "{error}");
        }
    }
}
