//! Samples, and the lines of the JSON stream that tell them.

use std::sync::Arc;
use std::time::SystemTime;

use serde_json::json;

use crate::fault::Release;
use crate::metric::Metric;
use crate::tags::Pairs;
use crate::threshold::Thresholds;
use crate::time;

/// What samples of one request have in common.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Labels {
    /// Tags of the command line, of k6 and of the script.
    pub(crate) tags: Pairs,
    /// What is told of a sample and makes no series.
    pub(crate) metadata: Pairs,
}

/// A value of a metric.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub(crate) metric: Metric,
    pub(crate) at: SystemTime,
    pub(crate) value: f64,
    pub(crate) labels: Arc<Labels>,
}

impl Sample {
    /// Its line, without the line's end.
    pub(crate) fn line(&self, release: Release) -> String {
        let Labels { tags, metadata } = &*self.labels;
        let metadata = if metadata.is_empty() {
            String::new()
        } else {
            format!(r#","metadata":{}"#, json!(metadata))
        };
        format!(
            r#"{{"metric":"{}","type":"Point","data":{{"time":"{}","value":{},"tags":{}{metadata}}}}}"#,
            self.metric.name(),
            time::precise(self.at),
            number(self.value, release),
            json!(tags),
        )
    }
}

/// The line that goes before the first sample of a metric.
pub(crate) fn declaration(metric: &Metric, thresholds: &Thresholds) -> String {
    let name = metric.name();
    let submetrics: Vec<String> = thresholds
        .submetrics(metric)
        .map(|part| {
            let suffix = part.suffix();
            format!(
                r#"{{"name":"{}","suffix":"{suffix}","tags":{}}}"#,
                part.of(metric),
                json!(part.0)
            )
        })
        .collect();
    let submetrics = match submetrics.as_slice() {
        [] => "null".to_owned(),
        some => format!("[{}]", some.join(",")),
    };
    format!(
        r#"{{"type":"Metric","data":{{"name":"{name}","type":"{}","contains":"{}","thresholds":{},"submetrics":{submetrics}}},"metric":"{name}"}}"#,
        metric.kind().name(),
        metric.contains(),
        json!(thresholds.sources(name)),
    )
}

/// A number as each release writes it: 2.x without exponents where it can, 1.x with them from a million on.
fn number(value: f64, release: Release) -> String {
    if release != Release::One || value.abs() < 1e6 {
        return value.to_string();
    }
    let text = format!("{value:e}");
    match text.split_once('e') {
        Some((digits, exponent)) => format!("{digits}e+{exponent:0>2}"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_each_release_does() {
        for (value, one, two) in [
            (1_795_566_099_107.0, "1.795566099107e+12", "1795566099107"),
            (0.000_001, "0.000001", "0.000001"),
            (214.0, "214", "214"),
            (14.691_709, "14.691709", "14.691709"),
        ] {
            assert_eq!(number(value, Release::One), one);
            assert_eq!(number(value, Release::Two), two);
        }
    }
}
