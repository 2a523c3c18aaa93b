//! The shape of what the load generator timed, in `result.json`: latency, its curve, its course, and how late it sent.

use serde::{Deserialize, Serialize};

/// Latency from the planned start, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LatencyResult {
    /// Requests measured.
    pub count: u64,
    /// Mean.
    pub mean: f64,
    /// Median.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 99th percentile; absent where one arrival in a thousand or more was dropped: those would be the slowest.
    pub p99: Option<f64>,
    /// Largest.
    pub max: f64,
}

/// A point of the percentile curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Share of requests that were at least as fast.
    pub quantile: f64,
    /// Their largest latency, in microseconds.
    pub latency_us: f64,
}

/// One second of one round, by the planned time of its requests.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SecondResult {
    /// Round, from 0.
    pub round: u32,
    /// Seconds since the round began.
    pub second: u64,
    /// Requests planned in it.
    pub planned: u64,
    /// Requests that ended in it.
    pub completed: u64,
    /// Arrivals dropped in it.
    pub dropped: u64,
    /// Mean latency of the requests planned in it that succeeded; absent where none did.
    pub mean_us: Option<f64>,
}

/// Planned start to start of the call, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SendDelay {
    /// Median.
    pub p50: f64,
    /// 99th percentile.
    pub p99: f64,
    /// Largest.
    pub max: f64,
}
