//! Thresholds: what the script's `options.thresholds` ask of metrics, and of parts of them by a tag.

use std::time::Duration;

use serde_json::Value;

use crate::metric::Metric;
use crate::refused::{Refused, code};
use crate::sink::{Sink, Sinks};

/// Parts of a metric that k6 always keeps.
const ALWAYS: (Metric, (&str, &str)) = (Metric::Duration, ("expected_response", "true"));

/// A metric, or a part of one, that is held to something or only kept apart.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) metric: Metric,
    /// `http_req_duration{phase:measured}`
    pub(crate) name: String,
    /// The tag that its samples have.
    pub(crate) part: Option<(String, String)>,
    conditions: Vec<Condition>,
}

/// `p(99)<100`
#[derive(Debug)]
struct Condition {
    source: String,
    statistic: String,
    holds: fn(&f64, &f64) -> bool,
    limit: f64,
}

/// Everything that is watched.
#[derive(Debug)]
pub(crate) struct Thresholds(Vec<Watched>);

impl Thresholds {
    /// Reads `{"METRIC{TAG:VALUE}": ["CONDITION", …], …}`.
    pub(crate) fn read(text: &Value) -> Result<Thresholds, Refused> {
        let refused = |text: String| Refused::new(code::CONFIGURATION, text);
        let mut all = Vec::new();
        for (name, conditions) in text.as_object().into_iter().flatten() {
            let (of, rest) =
                name.split_once('{').map_or((name.as_str(), None), |(of, rest)| (of, Some(rest)));
            let metric = Metric::from_name(of).ok_or_else(|| {
                refused(format!(
                    "invalid threshold defined on {of}; reason: no metric name \"{of}\" found"
                ))
            })?;
            let part = rest.map(|rest| {
                let pair = rest.strip_suffix('}').and_then(|pair| pair.split_once(':'));
                pair.map(|(tag, value)| (tag.to_owned(), value.to_owned())).ok_or_else(|| {
                    refused(
                        "missing ending bracket, sub-metric format needs to be 'metric{key:value}'"
                            .to_owned(),
                    )
                })
            });
            let conditions = conditions.as_array().into_iter().flatten().map(|source| {
                let source = source.as_str().unwrap_or_default();
                Condition::read(source).ok_or_else(|| {
                    refused(format!("failed parsing threshold expression \"{source}\""))
                })
            });
            let conditions = conditions.collect::<Result<_, _>>()?;
            all.push(Watched { metric, name: name.clone(), part: part.transpose()?, conditions });
        }
        Ok(Thresholds(all))
    }

    /// What is kept apart of a metric: tag and value.
    pub(crate) fn submetrics(&self, metric: Metric) -> impl Iterator<Item = (&str, &str)> {
        let watched = self.0.iter().filter(move |watched| watched.metric == metric);
        let parts = watched.filter_map(|watched| watched.part.as_ref());
        let parts = parts.map(|(tag, value)| (tag.as_str(), value.as_str()));
        parts.filter(|part| *part != ALWAYS.1).chain((metric == ALWAYS.0).then_some(ALWAYS.1))
    }

    /// The metrics, or parts, that the summary speaks of whether they were seen or not.
    pub(crate) fn watched(&self) -> impl Iterator<Item = &Watched> {
        self.0.iter()
    }

    /// The conditions of what has exactly this name.
    pub(crate) fn sources(&self, name: &str) -> Vec<&str> {
        let watched = self.0.iter().filter(|watched| watched.name == name);
        watched.flat_map(|watched| watched.sources()).collect()
    }

    /// The names of those that were not kept.
    pub(crate) fn missed(&self, sinks: &Sinks, lasted: Duration) -> Vec<String> {
        let missed = self.0.iter().filter(|watched| {
            let sink = sinks.get(&watched.name);
            watched.conditions.iter().any(|condition| !condition.is_kept(sink, lasted))
        });
        missed.map(|watched| watched.name.clone()).collect()
    }
}

impl Watched {
    fn sources(&self) -> impl Iterator<Item = &str> {
        self.conditions.iter().map(|condition| condition.source.as_str())
    }

    /// Each condition, and whether it was kept.
    pub(crate) fn verdicts(&self, sink: Option<&Sink>, lasted: Duration) -> Vec<(&str, bool)> {
        let kept = |condition: &Condition| condition.is_kept(sink, lasted);
        self.conditions
            .iter()
            .map(|condition| (condition.source.as_str(), kept(condition)))
            .collect()
    }
}

impl Condition {
    fn read(source: &str) -> Option<Condition> {
        let plain: String = source.split_whitespace().collect();
        let at = plain.find(['<', '>', '=', '!'])?;
        let (statistic, rest) = plain.split_at(at);
        let digits = rest.find(|c: char| !"<>=!".contains(c))?;
        let (operator, limit) = rest.split_at(digits);
        let holds: fn(&f64, &f64) -> bool = match operator {
            "<" => |value, limit| value < limit,
            "<=" => |value, limit| value <= limit,
            ">" => |value, limit| value > limit,
            ">=" => |value, limit| value >= limit,
            "==" | "===" => |value, limit| value == limit,
            "!=" => |value, limit| value != limit,
            _ => return None,
        };
        let known = ["count", "rate", "value", "avg", "min", "max", "med"].contains(&statistic);
        let (statistic, limit) = (statistic.to_owned(), limit.parse().ok()?);
        let condition = Condition { source: source.to_owned(), statistic, holds, limit };
        (known || condition.share().is_some()).then_some(condition)
    }

    /// Of `p(99)`: 0.99.
    fn share(&self) -> Option<f64> {
        let percent: f64 = self.statistic.strip_prefix("p(")?.strip_suffix(')')?.parse().ok()?;
        Some(percent / 100.0)
    }

    /// What was never seen cannot miss anything.
    fn is_kept(&self, sink: Option<&Sink>, lasted: Duration) -> bool {
        let Some(sink) = sink else { return true };
        let value = match self.share() {
            Some(share) => Some(sink.percentile(share)),
            None => sink.values(lasted).get(&self.statistic).and_then(Value::as_f64),
        };
        value.is_some_and(|value| (self.holds)(&value, &self.limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn conditions_hold_or_do_not() {
        let mut sinks = Sinks::default();
        (1..=100).for_each(|value| sinks.add("x", Metric::Duration, f64::from(value)));
        for (source, kept) in [
            ("p(99)<99.5", true),
            ("p(99) < 99", false),
            ("max>=100", true),
            ("count==100", true),
            ("avg!=50.5", false),
        ] {
            let condition = Condition::read(source).expect(source);
            assert_eq!(condition.is_kept(sinks.get("x"), Duration::from_secs(1)), kept, "{source}");
        }
    }

    #[test]
    fn what_is_no_threshold_is_refused_as_a_configuration() {
        for text in [
            json!({ "nosuch": ["max<1"] }),
            json!({ "http_req_duration": ["max ~ 1"] }),
            json!({ "http_req_duration": ["most<1"] }),
            json!({ "http_req_duration{phase:measured": [] }),
        ] {
            assert_eq!(
                Thresholds::read(&text).expect_err("no threshold").code,
                code::CONFIGURATION
            );
        }
    }
}
