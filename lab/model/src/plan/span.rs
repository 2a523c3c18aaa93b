//! Spans of time as people write them: `500ms`, `2s`, `1m30s`. Integer nanoseconds inside.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

/// The units, with their nanoseconds.
const UNITS: [(&str, u64); 7] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// The longest span that can be asked for: a day, in nanoseconds.
const MAX_NS: u64 = 86_400_000_000_000;

/// A span of time, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Span(pub u64);

/// Why a text is no span of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpanError {
    /// Not a number with a unit.
    #[error(
        "{0:?} is not a duration: write a number with a unit (ns, us, ms, s, m, h), such as 500ms, 2s or 1m30s"
    )]
    Unreadable(String),
    /// More than a day.
    #[error("{0:?} is above the limit of 24h")]
    TooLong(String),
}

impl Span {
    /// The same span for the standard library.
    #[must_use]
    pub fn duration(self) -> Duration {
        Duration::from_nanos(self.0)
    }
}

/// One `number unit` at the head of `text`: its nanoseconds and what follows.
fn head(text: &str) -> Option<(f64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let number: f64 = text[..digits].parse().ok()?;
    let rest = text[digits..].trim_start();
    let letters =
        rest.find(|c: char| c.is_ascii_digit() || c.is_whitespace()).unwrap_or(rest.len());
    let factor = UNITS.iter().find(|(name, _)| *name == &rest[..letters])?.1;
    Some((number * factor as f64, rest[letters..].trim_start()))
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let mut rest = text.trim();
        if rest == "0" {
            return Ok(Span(0));
        }
        let mut total = 0.0;
        loop {
            let (ns, tail) = head(rest).ok_or_else(|| SpanError::Unreadable(text.to_owned()))?;
            total += ns;
            rest = tail;
            if rest.is_empty() {
                break;
            }
        }
        if total > MAX_NS as f64 {
            Err(SpanError::TooLong(text.to_owned()))
        } else {
            Ok(Span(total.round() as u64))
        }
    }
}

/// In the largest unit that keeps it a whole number: `90s`, `500ms`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, factor) in [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000)] {
            if self.0.is_multiple_of(factor) {
                return write!(f, "{}{unit}", self.0 / factor);
            }
        }
        write!(f, "{}ns", self.0)
    }
}

struct SpanVisitor;

impl Visitor<'_> for SpanVisitor {
    type Value = Span;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration in quotes, such as \"500ms\" or \"2s\"")
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Span, E> {
        value.parse().map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(SpanVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_in_their_units() {
        for (text, ns) in [
            ("500ms", 500_000_000),
            ("2s", 2_000_000_000),
            ("1.5s", 1_500_000_000),
            ("1m30s", 90_000_000_000),
            ("250us", 250_000),
            ("250µs", 250_000),
            ("7 ns", 7),
            ("0", 0),
            ("24h", MAX_NS),
        ] {
            assert_eq!(text.parse(), Ok(Span(ns)), "{text}");
        }
    }

    #[test]
    fn what_is_no_span_is_refused_with_the_ways_to_write_one() {
        for text in ["", "5", "s", "-2s", "2 seconds", "1..5s"] {
            let error = text.parse::<Span>().unwrap_err().to_string();
            assert!(error.contains(&format!("{text:?}")) && error.contains("500ms"), "{error}");
        }
        assert!(matches!("25h".parse::<Span>(), Err(SpanError::TooLong(_))));
    }

    #[test]
    fn a_span_is_written_in_whole_units() {
        for text in ["2s", "500ms", "250us", "7ns", "90s", "0s"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
    }
}
