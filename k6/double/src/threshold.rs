//! Thresholds: what the script's `options.thresholds` ask of metrics, and of parts of them by a tag.

use std::time::Duration;

use serde_json::Value;

use crate::metric::{Kind, Metric, Metrics};
use crate::refused::{Refused, code};
use crate::sink::{Sink, Sinks, share};
use crate::tags::Part;

/// A metric, or a part of one, that is held to something or only kept apart.
#[derive(Debug)]
pub(crate) struct Watched {
    metric: Metric,
    /// `http_req_duration{phase:measured}`
    pub(crate) name: String,
    part: Option<Part>,
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
pub(crate) struct Thresholds {
    all: Vec<Watched>,
    /// The part of durations that k6 always keeps.
    expected: Part,
}

impl Thresholds {
    /// Reads `{"METRIC{TAG:VALUE}": ["CONDITION", …], …}`.
    pub(crate) fn read(text: &Value, metrics: &Metrics) -> Result<Thresholds, Refused> {
        let refused = |text: String| Refused::new(code::CONFIGURATION, text);
        let mut all = Vec::new();
        for (name, conditions) in text.as_object().into_iter().flatten() {
            let (of, rest) =
                name.split_once('{').map_or((name.as_str(), None), |(of, rest)| (of, Some(rest)));
            let metric = metrics.named(of).ok_or_else(|| {
                refused(format!(
                    "invalid threshold defined on {of}; reason: no metric name \"{of}\" found"
                ))
            })?;
            let part = rest.map(|rest| {
                rest.strip_suffix('}').and_then(Part::read).ok_or_else(|| {
                    refused(
                        "missing ending bracket, sub-metric format needs to be 'metric{key:value}'"
                            .to_owned(),
                    )
                })
            });
            let conditions = conditions.as_array().into_iter().flatten().map(|told| {
                // k6 would end the run in its middle.
                if told["abortOnFail"] == true {
                    return Err(refused(format!("the double ends no run by a threshold: {told}")));
                }
                let source = told["threshold"].as_str().or(told.as_str()).unwrap_or_default();
                let condition = Condition::read(source)
                    .filter(|condition| condition.is_of(&metric))
                    .ok_or_else(|| format!("failed parsing threshold expression \"{source}\""));
                condition.map_err(refused)
            });
            let conditions = conditions.collect::<Result<_, _>>()?;
            let part = part.transpose()?;
            let name = part.as_ref().map_or(of.to_owned(), |part| part.of(&metric));
            all.push(Watched { metric, name, part, conditions });
        }
        let expected = ("expected_response".to_owned(), "true".to_owned());
        Ok(Thresholds { all, expected: Part([expected].into()) })
    }

    /// What is kept apart of a metric.
    pub(crate) fn submetrics<'a>(&'a self, metric: &Metric) -> impl Iterator<Item = &'a Part> {
        let name = metric.name();
        let watched = self.all.iter().filter(move |watched| watched.metric.name() == name);
        let parts = watched.filter_map(|watched| watched.part.as_ref());
        let always = (name == Metric::DURATION.name()).then_some(&self.expected);
        parts.filter(|part| **part != self.expected).chain(always)
    }

    /// The metrics, or parts, that the summary speaks of whether they were seen or not.
    pub(crate) fn watched(&self) -> impl Iterator<Item = &Watched> {
        self.all.iter()
    }

    /// The conditions of what has exactly this name.
    pub(crate) fn sources(&self, name: &str) -> Vec<&str> {
        let watched = self.all.iter().filter(|watched| watched.name == name);
        watched.flat_map(|watched| watched.sources()).collect()
    }

    /// The names of those that were not kept.
    pub(crate) fn missed(&self, sinks: &Sinks, lasted: Duration) -> Vec<String> {
        let missed = self.all.iter().filter(|watched| {
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
        let (statistic, limit) = (statistic.to_owned(), limit.parse().ok()?);
        Some(Condition { source: source.to_owned(), statistic, holds, limit })
    }

    /// Whether a metric has what this asks for.
    fn is_of(&self, metric: &Metric) -> bool {
        match metric.kind() {
            Kind::Counter => ["count", "rate"].contains(&&*self.statistic),
            Kind::Gauge => self.statistic == "value",
            Kind::Rate => self.statistic == "rate",
            Kind::Trend => {
                ["avg", "min", "max"].contains(&&*self.statistic)
                    || share(&self.statistic).is_some()
            }
        }
    }

    /// What was never seen cannot miss anything.
    fn is_kept(&self, sink: Option<&Sink>, lasted: Duration) -> bool {
        let Some(sink) = sink else { return true };
        sink.statistic(&self.statistic, lasted)
            .is_some_and(|value| (self.holds)(&value, &self.limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn conditions_hold_or_do_not() {
        let mut sinks = Sinks::default();
        (1..=100).for_each(|value| sinks.add("x", &Metric::DURATION, f64::from(value)));
        for (source, kept) in [
            ("p(99)<99.5", true),
            ("p(99) < 99", false),
            ("max>=100", true),
            ("med==50.5", true),
            ("avg!=50.5", false),
        ] {
            let condition = Condition::read(source).expect(source);
            assert_eq!(condition.is_kept(sinks.get("x"), Duration::from_secs(1)), kept, "{source}");
        }
    }

    #[test]
    fn parts_of_a_metric_are_watched_by_all_of_their_tags() {
        let told = json!({ "http_req_duration{scenario:small, status:200}": ["p(95)<1"] });
        let thresholds = Thresholds::read(&told, &Metrics::default()).expect("thresholds");
        let parts: Vec<_> = thresholds.submetrics(&Metric::DURATION).map(Part::suffix).collect();
        assert_eq!(parts, ["scenario:small,status:200", "expected_response:true"]);
        let mut sinks = Sinks::default();
        sinks.add("http_req_duration{scenario:small,status:200}", &Metric::DURATION, 2.0);
        let missed = thresholds.missed(&sinks, Duration::from_secs(1));
        assert_eq!(missed, ["http_req_duration{scenario:small,status:200}"]);
    }

    #[test]
    fn what_is_no_threshold_is_refused_as_a_configuration() {
        for text in [
            json!({ "nosuch": ["max<1"] }),
            json!({ "http_req_duration": ["max ~ 1"] }),
            json!({ "http_req_duration": ["most<1"] }),
            json!({ "http_req_duration{phase:measured": [] }),
            json!({ "http_reqs": ["p(95)<1"] }),
            json!({ "http_req_duration": [{ "threshold": "max<1", "abortOnFail": true }] }),
        ] {
            assert_eq!(
                Thresholds::read(&text, &Metrics::default()).expect_err("no threshold").code,
                code::CONFIGURATION
            );
        }
    }
}
