//! Durations as people write them: `500ms`, `1.5s`, `1m30s`. One grammar for plans, flags and scripts; integer
//! nanoseconds inside.
//!
//! A duration is one or more numbers, each with its unit; a number is digits, with a point and more digits or
//! without. There may be white space around numbers and units. A plain `0` needs no unit. `k6/load.js` reads the same:
//! one table of examples, `tests/grammar.json`, holds both to it.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// The units, with their nanoseconds. Both characters that are written for micro are.
const UNITS: [(&str, f64); 8] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("\u{b5}s", 1e3),
    ("\u{3bc}s", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 6e10),
    ("h", 3.6e12),
];

/// A duration, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Span(pub u64);

/// Why a text is no duration.
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
    /// Outside the limits of the setting that it is for.
    #[error("{0:?} is outside the limits of {1} to {2}")]
    Outside(String, Span, Span),
}

impl Span {
    /// The longest duration that can be asked for: a day.
    pub const MAX: Span = Span::seconds(86_400);

    /// So many seconds.
    #[must_use]
    pub const fn seconds(seconds: u64) -> Span {
        Span(seconds * 1_000_000_000)
    }

    /// So many milliseconds.
    #[must_use]
    pub const fn milliseconds(milliseconds: u64) -> Span {
        Span(milliseconds * 1_000_000)
    }

    /// The same for the standard library.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_nanos(self.0)
    }

    /// Reads a duration within `limits`, as a parser of clap's.
    pub fn within(
        limits: RangeInclusive<Span>,
    ) -> impl Fn(&str) -> Result<Span, SpanError> + Clone + Send + Sync + 'static {
        move |text| {
            let outside = || SpanError::Outside(text.to_owned(), *limits.start(), *limits.end());
            text.parse().and_then(|span| limits.contains(&span).then_some(span).ok_or_else(outside))
        }
    }
}

/// One number with its unit at the head of `text`: its nanoseconds, and what follows.
fn head(text: &str) -> Option<(f64, &str)> {
    let unit_at = text.find(|c: char| c != '.' && !c.is_ascii_digit())?;
    let (number, rest) = text.split_at(unit_at);
    // Digits on both sides of a point: of the library's numbers these alone are ours.
    if number.split('.').any(str::is_empty) {
        return None;
    }
    let rest = rest.trim_ascii_start();
    let end = rest.find(|c: char| c.is_ascii_digit() || c.is_ascii_whitespace());
    let (unit, rest) = rest.split_at(end.unwrap_or(rest.len()));
    let factor = UNITS.iter().find(|(name, _)| *name == unit)?.1;
    Some((number.parse::<f64>().ok()? * factor, rest.trim_ascii_start()))
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let mut rest = text.trim_ascii();
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
        if total > Span::MAX.0 as f64 {
            return Err(SpanError::TooLong(text.to_owned()));
        }
        Ok(Span(total.round() as u64))
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
    fn a_duration_outside_the_limits_of_its_setting_names_value_and_limits() {
        let read = Span::within(Span::milliseconds(10)..=Span::seconds(600));
        assert_eq!(read("10ms"), Ok(Span(10_000_000)));
        let error = read("20m").unwrap_err().to_string();
        assert_eq!(error, "\"20m\" is outside the limits of 10ms to 600s");
        assert!(matches!(read("5"), Err(SpanError::Unreadable(_))));
    }

    #[test]
    fn a_span_is_written_in_whole_units_and_read_again() {
        for text in ["2s", "500ms", "250us", "7ns", "90s", "0s"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
    }
}
