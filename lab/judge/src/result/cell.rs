//! The shape of one cell in `result.json`. Plain data: how it is computed is in the neighbouring files.
//!
//! A field may be added within a schema: a result that was written before lacks it, and is read as if
//! it were zero or empty.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::factors::Factors;
use super::latency::{CurvePoint, LatencyResult, SecondResult, SendDelay};
use super::request::RequestResult;
use super::wire::WireResult;
use lab_model::{Evidence, Requests, Verdict};

/// One cell: what was asked, what was measured, whether to believe it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CellResult {
    /// Unique within the run, e.g. `rest-10kB`.
    pub id: String,
    /// What was asked for.
    pub factors: Factors,
    /// What became of the planned requests, over all rounds.
    pub requests: Requests,
    /// Rates, and how busy generator and machine were.
    pub load: LoadResult,
    /// What errors said, and how often.
    pub errors: BTreeMap<String, u64>,
    /// The requests whose every stage is known.
    pub traced: Traced,
    /// What was on the wire, hop by hop.
    pub wire: Vec<WireResult>,
    /// Latency of every successful request, from its planned start.
    pub latency_us: LatencyResult,
    /// The same, as a curve of percentiles.
    pub curve: Vec<CurvePoint>,
    /// The same, second by second and round by round.
    pub timeline: Vec<SecondResult>,
    /// Each round by itself.
    #[serde(default)]
    pub rounds: Vec<RoundResult>,
    /// How late requests were sent; absent where the generator does not tell.
    pub send_delay_us: Option<SendDelay>,
    /// Stages added up by family, in stacking order.
    pub families: Vec<FamilyResult>,
    /// Where the time went, hop by hop in the order in which a request passes the stages.
    pub stages: Vec<StageResult>,
    /// Part of the traced mean that is differences of marks on one clock.
    pub measured_share: f64,
    /// Part of the traced mean that is differences of durations.
    pub inferred_share: f64,
    /// What an independent stopwatch saw and no stage explains.
    pub residual: Residual,
    /// How far the marks can be trusted.
    pub marks: MarksResult,
    /// Delays that were injected, as the injectors measured them.
    pub injected: Vec<Injected>,
    /// CPU and memory of every process while the cell's rounds ran.
    pub resources: Vec<ResourceResult>,
    /// Processes that were there and were no more before the last of its rounds ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ended: Vec<EndedResult>,
    /// What the database says of its own part, where there is one.
    #[serde(default)]
    pub database: Option<DatabaseResult>,
    /// What only k6 says, where it drove.
    #[serde(default)]
    pub k6: Option<K6Result>,
    /// Where the time went, in words.
    pub explanation: String,
    /// Whether to believe the cell.
    pub verdict: Verdict,
    /// What the verdict rests on: an answer to each question, the worst first. Empty in results of earlier versions.
    #[serde(default)]
    pub evidence: Vec<Evidence>,
    /// Its slowest requests, until the run has taken those of all cells.
    #[serde(skip)]
    pub(super) slowest: Vec<RequestResult>,
}

/// One round of a cell. Times are microseconds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RoundResult {
    /// Its number, from 0.
    pub round: u32,
    /// Requests that were answered as the contract says.
    pub answered: u64,
    /// Mean latency of those.
    pub mean_us: f64,
    /// Their median.
    pub p50_us: f64,
    /// Their 90th percentile.
    pub p90_us: f64,
    /// Their 99th percentile; absent where so many arrivals were dropped that it is not theirs.
    pub p99_us: Option<f64>,
    /// Requests among them whose every stage is known.
    pub traced: u64,
    /// Mean latency of those: what the stages add up to, with the residual and what the slowest add.
    pub traced_mean_us: f64,
    /// Mean of each stage, by hop (`gateway→echo`) and stage, of all but the slowest fortieth of those.
    pub stages: BTreeMap<String, BTreeMap<String, f64>>,
    /// What no stage explains, mean of the same.
    pub residual_us: f64,
    /// By how much the slowest fortieth raises the mean.
    #[serde(default)]
    pub tail_us: f64,
    /// Mean latency of the traced requests planned in its first half; absent where there are none.
    #[serde(default)]
    pub first_half_us: Option<f64>,
    /// The same of its second half.
    #[serde(default)]
    pub second_half_us: Option<f64>,
    /// The same of the first and of the second half of its turns; absent where it was measured in one go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub halves_of_turns_us: Option<(f64, f64)>,
    /// CPU time of all services per request, where they are ours.
    pub cpu_us_per_request: Option<f64>,
}

/// A process that ended while there were requests to come.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct EndedResult {
    /// Service name.
    pub process: String,
    /// Its process id.
    pub pid: u32,
    /// How long before the end of the cell's last round it was seen last, in seconds.
    pub seen_before_end_s: f64,
}

/// What the database says of its own part of the query's round trip.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DatabaseResult {
    /// Executions that its server counted, warm-up included.
    pub queries: u64,
    /// Mean time that its server spent in one, in microseconds.
    pub server_mean_us: f64,
    /// Mean round trip of a query as the users service saw it, in microseconds.
    pub round_trip_mean_us: f64,
    /// The first over the second: the rest is protocol, sockets, and waiting for a process.
    pub server_share: f64,
}

/// What only k6 says of a cell that it drove, all rounds together.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct K6Result {
    /// Rounds in which a threshold was not kept.
    pub thresholds_failed: u64,
    /// Requests of which its stream says everything.
    pub joined: u64,
    /// Requests of which it does not.
    pub not_joined: u64,
    /// Lines of its stream that could not be read.
    pub lines_refused: u64,
    /// Requests whose times by k6 lie outside of what its script says around them.
    pub misplaced: u64,
    /// Requests that opened a connection.
    pub connected: u64,
    /// What that took in all of them, in microseconds; it is within k6's `blocked`, and so in its latency.
    pub connecting_us: f64,
    /// Requests of other cells that a script of the user's own made in the time of these.
    pub beside: u64,
}

/// Rates, and how busy generator and machine were.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LoadResult {
    /// Seconds from the start of each round until its last request ended, added up.
    pub measured_s: f64,
    /// Successful requests per second of that time, or of the rounds' planned time where that is longer.
    pub completed_per_s: f64,
    /// Dropped over planned arrivals.
    pub dropped_share: f64,
    /// Seconds by which the latency grew in each second of load (least squares over the seconds of
    /// each round, mean of the rounds); 0 where a round has fewer than three seconds. Of rounds in turns, by how much
    /// those outlived their time.
    pub latency_growth: f64,
    /// CPU of the load generator, in cores.
    pub driver_cores: f64,
    /// CPU of the whole machine as a share of all its cores: the busiest round.
    pub host_cpu_share: f64,
}

/// The requests whose every stage is known, and their mean latency by the stopwatch.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Traced {
    /// Traced requests in the run file.
    pub count: u64,
    /// How many requests each stands for, in the mean.
    pub weight: f64,
    /// Traced requests that the load generator sent.
    pub expected: u64,
    /// Those in the run file that are whole and succeeded: stages and wire are theirs.
    pub succeeded: u64,
    /// Mean of their latencies: the stages' means and the residual's add up to it.
    pub mean_us: f64,
    /// Mean of the latencies in the band from p45 to p55.
    pub p50_us: f64,
    /// Mean of the latencies at or above p99.
    pub p99_band_us: f64,
    /// Requests in the p99 band.
    pub p99_band_count: u64,
}

/// Stages of one family added up, all hops.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FamilyResult {
    /// Name of the family.
    pub family: String,
    /// Mean over all traced requests.
    pub mean_us: f64,
    /// Mean over the p50 band.
    pub p50_us: f64,
    /// Mean over the p99 band.
    pub p99_band_us: f64,
    /// Part of the traced mean.
    pub share: f64,
    /// False where only a tap could tell of it and none looked at any hop: then it is not known, though it is 0.
    #[serde(default = "known")]
    pub known: bool,
}

/// Results were of tapped hops alone before there was this field.
const fn known() -> bool {
    true
}

/// One stage of one hop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageResult {
    /// `client→server`.
    pub hop: String,
    /// Distance from the edge.
    pub depth: u32,
    /// Family of the stage.
    pub family: String,
    /// Name of the stage.
    pub stage: String,
    /// `measured` or `inferred`.
    pub kind: String,
    /// Mean over all traced requests, 0 counted where the stage is absent.
    pub mean_us: f64,
    /// Mean over the p50 band.
    pub p50_us: f64,
    /// Mean over the p99 band.
    pub p99_band_us: f64,
    /// Part of the traced mean.
    pub share: f64,
}

/// Stopwatch less stages.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Residual {
    /// Mean over all traced requests.
    pub mean_us: f64,
    /// Mean over the p50 band.
    pub p50_us: f64,
    /// Mean over the p99 band.
    pub p99_band_us: f64,
    /// Part of the stopwatch's time in the p50 band.
    pub p50_share: f64,
    /// Part of the stopwatch's time in the p99 band.
    pub p99_share: f64,
    /// Share of the traced requests of whose time more than 2 % is in no stage.
    pub unexplained_share: f64,
}

/// How far the marks can be trusted, in successful traced requests unless said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MarksResult {
    /// Stages with a negative time, over all requests.
    pub out_of_order: u64,
    /// Share of requests with such a stage.
    pub out_of_order_share: f64,
    /// Requests whose reply began before their last byte was written.
    pub early: u64,
    /// Requests that are not whole, of those without an error: a call lacks the span of a peer that sends some. They
    /// are in no mean.
    pub unjoined: u64,
    /// Requests that lack the inner hop altogether.
    pub without_inner_hop: u64,
    /// Requests that no independent stopwatch timed.
    pub without_stopwatch: u64,
    /// Requests whose edge call holds the first service's first read to its last write, by one clock.
    pub contained: u64,
    /// Requests whose edge call does not.
    pub not_contained: u64,
}

/// A delay that was injected.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Injected {
    /// `client→server`.
    pub hop: String,
    /// Name of the stage it was injected into.
    pub stage: String,
    /// Mean per traced request, as the injector measured it.
    pub mean_us: f64,
}

/// What one process used while the cell's rounds ran.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ResourceResult {
    /// Service name; `host` for the whole machine.
    pub process: String,
    /// CPU time, user and system, in seconds.
    pub cpu_s: f64,
    /// The same in cores: over the time measured.
    pub cores: f64,
    /// The same per started request, in microseconds.
    pub cpu_us_per_request: f64,
    /// Most resident memory of any one process of this name, in bytes.
    pub rss_max_bytes: u64,
    /// Most threads.
    pub threads_max: u64,
    /// Context switches the process asked for.
    pub voluntary_switches: u64,
    /// Context switches forced on it; `None` of the whole machine, of which the kernel does not say.
    pub involuntary_switches: Option<u64>,
    /// Time its threads were ready and waited for a CPU, in seconds.
    pub run_queue_wait_s: f64,
    /// That time over itself and the CPU time.
    pub run_queue_wait_share: f64,
}
