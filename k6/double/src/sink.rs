//! What becomes of the values of a metric until the end.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::metric::{Kind, Metric};

/// Every metric that was seen, and every part of one, by its name.
#[derive(Debug, Default)]
pub(crate) struct Sinks(BTreeMap<String, (Metric, Sink)>);

impl Sinks {
    pub(crate) fn get(&self, name: &str) -> Option<&Sink> {
        self.0.get(name).map(|(_, sink)| sink)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Metric, &Sink)> {
        self.0.iter().map(|(name, (metric, sink))| (name.as_str(), metric, sink))
    }

    pub(crate) fn add(&mut self, name: &str, metric: &Metric, value: f64) {
        if !self.0.contains_key(name) {
            self.0.insert(name.to_owned(), (metric.clone(), Sink::new(metric.kind())));
        }
        if let Some((_, sink)) = self.0.get_mut(name) {
            sink.values.push(value);
        }
    }
}

/// All values of one metric.
#[derive(Debug, Clone)]
pub(crate) struct Sink {
    kind: Kind,
    values: Vec<f64>,
}

impl Sink {
    fn new(kind: Kind) -> Sink {
        Sink { kind, values: Vec::new() }
    }

    /// What the summary says of it: of a trend these statistics.
    pub(crate) fn values(&self, lasted: Duration, trend: &[String]) -> Map<String, Value> {
        let names: Vec<&str> = match self.kind {
            Kind::Counter => vec!["count", "rate"],
            Kind::Gauge => vec!["value", "min", "max"],
            Kind::Rate => vec!["rate", "passes", "fails"],
            Kind::Trend => trend.iter().map(String::as_str).collect(),
        };
        let told = |name: &str| Some((name.to_owned(), number(self.statistic(name, lasted)?)));
        names.into_iter().filter_map(told).collect()
    }

    /// A statistic by its name, of those that its kind has.
    pub(crate) fn statistic(&self, name: &str, lasted: Duration) -> Option<f64> {
        let (sum, count) = (self.values.iter().sum::<f64>(), self.values.len() as f64);
        let passes = self.values.iter().filter(|value| **value != 0.0).count() as f64;
        let of_all = |sum: f64| if count > 0.0 { sum / count } else { 0.0 };
        match (self.kind, name) {
            (Kind::Counter, "count") => Some(sum),
            (Kind::Counter, "rate") => Some(sum / lasted.as_secs_f64()),
            (Kind::Gauge, "value") => Some(self.values.last().copied().unwrap_or_default()),
            (Kind::Gauge | Kind::Trend, "min") => Some(self.least()),
            (Kind::Gauge | Kind::Trend, "max") => Some(self.most()),
            (Kind::Rate, "rate") => Some(of_all(passes)),
            (Kind::Rate, "passes") => Some(passes),
            (Kind::Rate, "fails") => Some(count - passes),
            (Kind::Trend, "avg") => Some(of_all(sum)),
            (Kind::Trend, "count") => Some(count),
            (Kind::Trend, name) => Some(self.percentile(share(name)?)),
            _ => None,
        }
    }

    fn least(&self) -> f64 {
        self.values.iter().copied().reduce(f64::min).unwrap_or_default()
    }

    fn most(&self) -> f64 {
        self.values.iter().copied().reduce(f64::max).unwrap_or_default()
    }

    /// Between the two values nearest to `share`, in proportion.
    fn percentile(&self, share: f64) -> f64 {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
        let at = share * last as f64;
        let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
        below + (above - below) * at.fract()
    }
}

/// Of `p(99)`: 0.99; of `med` half.
pub(crate) fn share(statistic: &str) -> Option<f64> {
    if statistic == "med" {
        return Some(0.5);
    }
    let percent: f64 = statistic.strip_prefix("p(")?.strip_suffix(')')?.parse().ok()?;
    (0.0..=100.0).contains(&percent).then_some(percent / 100.0)
}

/// A number without a fraction where it has none, as JavaScript writes it.
fn number(value: f64) -> Value {
    let whole = value.fract() == 0.0 && value.abs() < 9e15;
    if whole { Value::from(value as i64) } else { Value::from(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_those_that_k6_computes() {
        let trend = Sink { kind: Kind::Trend, values: vec![4.0, 1.0, 3.0, 2.0] };
        let names = ["avg", "med", "max", "count"].map(str::to_owned);
        let values = trend.values(Duration::from_secs(2), &names);
        assert_eq!((&values["avg"], &values["med"]), (&Value::from(2.5), &Value::from(2.5)));
        assert_eq!((&values["count"], &values["max"]), (&Value::from(4), &Value::from(4)));
        assert!((trend.percentile(0.9) - 3.7).abs() < 1e-9);
        let rate = Sink { kind: Kind::Rate, values: vec![1.0, 0.0, 1.0, 1.0] };
        let values = rate.values(Duration::from_secs(2), &[]);
        assert_eq!((&values["rate"], &values["fails"]), (&Value::from(0.75), &Value::from(1)));
    }
}
