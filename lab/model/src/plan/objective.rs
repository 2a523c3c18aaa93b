//! What is asked of the system: `p99<200ms`, `errors<1%`. Missing one says nothing about whether a number can be believed.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use settings::Span;

/// What of a cell is held to a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measured {
    /// Mean latency.
    Mean,
    /// Median latency.
    P50,
    /// 90th percentile of the latency.
    P90,
    /// 99th percentile of the latency.
    P99,
    /// Largest latency.
    Max,
    /// Requests that were answered otherwise than they should be, of those that were sent.
    Errors,
    /// Arrivals for which no slot was free, of those that were planned.
    Dropped,
    /// Answers a second.
    Completed,
}

const ALL: [(Measured, &str); 8] = [
    (Measured::Mean, "mean"),
    (Measured::P50, "p50"),
    (Measured::P90, "p90"),
    (Measured::P99, "p99"),
    (Measured::Max, "max"),
    (Measured::Errors, "errors"),
    (Measured::Dropped, "dropped"),
    (Measured::Completed, "completed"),
];

impl Measured {
    /// The word in an objective.
    #[must_use]
    pub fn name(self) -> &'static str {
        ALL.iter().find(|(measured, _)| *measured == self).map_or("", |(_, name)| name)
    }

    const fn unit(self) -> Unit {
        match self {
            Measured::Errors | Measured::Dropped => Unit::Share,
            Measured::Completed => Unit::PerSecond,
            _ => Unit::Time,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Time,
    Share,
    PerSecond,
}

/// Something that is to stay on one side of a limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Objective {
    /// What.
    pub measured: Measured,
    /// It is to be below the limit; otherwise above.
    pub below: bool,
    /// The limit: microseconds, a share (0 … 1), or answers a second.
    pub limit: f64,
}

/// Why something is no objective.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no objective: {reason}")]
pub struct ObjectiveError {
    text: String,
    reason: String,
}

impl Objective {
    /// Whether `value`, in the unit of the limit, keeps it. What could not be measured does not.
    #[must_use]
    pub fn met(&self, value: f64) -> bool {
        if self.below { value < self.limit } else { value > self.limit }
    }
}

impl FromStr for Objective {
    type Err = ObjectiveError;

    fn from_str(text: &str) -> Result<Objective, ObjectiveError> {
        let refused = |reason: String| ObjectiveError { text: text.to_owned(), reason };
        let example = "write one such as p99<200ms, errors<1% or completed>95";
        let at = text.find(['<', '>']).ok_or_else(|| refused(example.to_owned()))?;
        let (name, limit) = (text[..at].trim(), text[at + 1..].trim());
        let known = || ALL.map(|(_, name)| name).join(", ");
        let (measured, _) = *ALL
            .iter()
            .find(|(_, known)| *known == name)
            .ok_or_else(|| refused(format!("{name:?} is none of {}", known())))?;
        let number = |text: &str| text.trim().parse::<f64>().ok().filter(|value| *value >= 0.0);
        let limit = match measured.unit() {
            Unit::Time => limit
                .parse::<Span>()
                .map(|span| span.0 as f64 / 1e3)
                .map_err(|error| error.to_string()),
            Unit::Share => limit
                .strip_suffix('%')
                .and_then(number)
                .map(|percent| percent / 100.0)
                .ok_or_else(|| format!("the limit of {name} is a percentage, such as 1%")),
            Unit::PerSecond => number(limit)
                .ok_or_else(|| format!("the limit of {name} is answers a second, such as 95")),
        };
        Ok(Objective {
            measured,
            below: text.as_bytes()[at] == b'<',
            limit: limit.map_err(refused)?,
        })
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = if self.below { '<' } else { '>' };
        write!(f, "{}{side}", self.measured.name())?;
        match self.measured.unit() {
            Unit::Time => write!(f, "{}", Span((self.limit * 1e3).round() as u64)),
            Unit::Share => write!(f, "{}%", self.limit * 100.0),
            Unit::PerSecond => write!(f, "{}", self.limit),
        }
    }
}

impl<'de> Deserialize<'de> for Objective {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Objective {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Objective {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "objective".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let known = ALL.map(|(_, name)| name).join("|");
        json_schema!({
            "type": "string",
            "title": "an objective such as `\"p99<200ms\"`",
            "pattern": format!(r"^\s*({known})\s*[<>]\s*[0-9].*$"),
        })
    }
}

/// An objective, and which cells it is of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Aim {
    /// What is asked.
    pub holds: Objective,
    /// Of cells whose names hold this; of all if it is empty.
    pub cells: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_objective_is_read_and_written_alike() {
        for (text, measured, below, limit) in [
            ("p99<200ms", Measured::P99, true, 200_000.0),
            ("mean<1500us", Measured::Mean, true, 1_500.0),
            ("errors<1%", Measured::Errors, true, 0.01),
            ("completed>95", Measured::Completed, false, 95.0),
        ] {
            let objective: Objective = text.parse().unwrap();
            assert_eq!(objective, Objective { measured, below, limit });
            assert_eq!(objective.to_string(), text);
        }
        assert!("p99 < 200ms".parse::<Objective>().unwrap().met(199_999.0));
    }

    #[test]
    fn what_is_none_is_refused_with_the_way_to_write_one() {
        for (text, named) in [
            ("p99", "p99<200ms"),
            ("p42<1ms", "p90"),
            ("p99<200", "500ms"),
            ("errors<1", "1%"),
            ("completed>many", "95"),
        ] {
            let error = text.parse::<Objective>().unwrap_err().to_string();
            assert!(error.contains(named) && error.contains(text), "{error}");
        }
    }

    #[test]
    fn what_could_not_be_measured_is_not_met() {
        assert!(!"p99<1s".parse::<Objective>().unwrap().met(f64::NAN));
        assert!(!"completed>1".parse::<Objective>().unwrap().met(f64::NAN));
    }
}
