//! How much slower a change may make a system: `mean>5%`, `p99>2ms`, `cpu>3%`, `framing>20us`. A change above its limit
//! fails a build.

use std::fmt;
use std::str::FromStr;

use ledger::Family;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use settings::Span;

/// Which number of two arms is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compared {
    /// Mean latency.
    Mean,
    /// Median latency.
    P50,
    /// 90th percentile of the latency.
    P90,
    /// 99th percentile of the latency.
    P99,
    /// CPU time of the services per request.
    Cpu,
    /// What the stages of a family add to the mean latency of the traced requests.
    Family(Family),
}

const ALL: [(Compared, &str); 5] = [
    (Compared::Mean, "mean"),
    (Compared::P50, "p50"),
    (Compared::P90, "p90"),
    (Compared::P99, "p99"),
    (Compared::Cpu, "cpu"),
];

impl Compared {
    /// The word in a limit.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Compared::Family(family) => family.name(),
            _ => ALL.iter().find(|(compared, _)| *compared == self).map_or("", |(_, name)| name),
        }
    }

    fn from_name(name: &str) -> Option<Compared> {
        let plain = ALL.iter().find(|(_, known)| *known == name).map(|(compared, _)| *compared);
        plain.or_else(|| Family::from_name(name).map(Compared::Family))
    }
}

/// How much more something may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum More {
    /// By this share of what it was.
    Share(f64),
    /// By so many microseconds.
    Us(f64),
}

/// A limit of a change.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limit {
    /// What may change.
    pub of: Compared,
    /// By how much at most.
    pub more: More,
}

/// Why something is no limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no limit of a change: {reason}")]
pub struct LimitError {
    text: String,
    reason: String,
}

impl FromStr for Limit {
    type Err = LimitError;

    fn from_str(text: &str) -> Result<Limit, LimitError> {
        let refused = |reason: String| LimitError { text: text.to_owned(), reason };
        let example = "write one such as mean>5%, p99>2ms or cpu>3%";
        let (name, more) = text.split_once('>').ok_or_else(|| refused(example.to_owned()))?;
        let (name, more) = (name.trim(), more.trim());
        let of = Compared::from_name(name).ok_or_else(|| {
            let known = ALL.map(|(_, name)| name).into_iter().chain(Family::ALL.map(Family::name));
            refused(format!("{name:?} is none of {}", known.collect::<Vec<_>>().join(", ")))
        })?;
        let more = match more.strip_suffix('%') {
            Some(number) if !matches!(of, Compared::Family(_)) => {
                match number.trim().parse::<f64>() {
                    Ok(percent) if (0.0..=1_000.0).contains(&percent) => {
                        More::Share(percent / 100.0)
                    }
                    _ => {
                        return Err(refused(format!(
                            "{more} is not a percentage from 0% to 1000%"
                        )));
                    }
                }
            }
            // A family may take next to nothing, and twice that is nothing either.
            Some(_) => return Err(refused(format!("the limit of {name} is a time, such as 20us"))),
            None => {
                let span: Span = more.parse().map_err(|_| refused(example.to_owned()))?;
                More::Us(span.0 as f64 / 1e3)
            }
        };
        Ok(Limit { of, more })
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.of.name();
        match self.more {
            // As it was written: 0.05 × 100 is not quite 5.
            More::Share(share) => write!(f, "{name}>{}%", (share * 1e8).round() / 1e6),
            More::Us(us) => write!(f, "{name}>{}", Span((us * 1e3).round() as u64)),
        }
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_read_and_written_alike() {
        for (text, of, more) in [
            ("mean>5%", Compared::Mean, More::Share(0.05)),
            ("p50>0%", Compared::P50, More::Share(0.0)),
            ("cpu>2.5%", Compared::Cpu, More::Share(0.025)),
            ("p99>2ms", Compared::P99, More::Us(2_000.0)),
            ("framing>20us", Compared::Family(Family::Framing), More::Us(20.0)),
        ] {
            let limit: Limit = text.parse().unwrap();
            assert_eq!(limit, Limit { of, more });
            assert_eq!(limit.to_string(), text);
        }
        assert_eq!("mean > 5 %".parse::<Limit>().unwrap().to_string(), "mean>5%");
    }

    #[test]
    fn what_is_none_is_refused_with_the_way_to_write_one() {
        for (text, named) in [
            ("mean", "mean>5%"),
            ("mean<5%", "mean>5%"),
            ("mean>5", "cpu>3%"),
            ("mean>-5%", "0%"),
            ("median>5%", "p50"),
            ("p99>nan%", "percentage"),
            ("framing>5%", "20us"),
        ] {
            let error = text.parse::<Limit>().unwrap_err().to_string();
            assert!(error.contains(named) && error.contains(text), "{error}");
        }
    }
}
