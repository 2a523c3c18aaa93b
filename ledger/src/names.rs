//! Every name that crosses a process boundary: span attributes, measurements, tags and fields.
//!
//! Writers and readers use these constants, so a rename is one line and a typo does not compile.

/// Resource attribute: which clock the marks were read from ([`crate::clock::identity`]).
pub const CLOCK: &str = "lab.clock";
/// Resource attribute (semantic conventions): name of the process that made the span.
pub const SERVICE_NAME: &str = "service.name";
/// Resource attribute (semantic conventions): process id.
pub const PROCESS_PID: &str = "process.pid";
/// Resource attribute: where that process id counts ([`crate::process::namespace`]).
pub const PID_NAMESPACE: &str = "lab.pid_namespace";
/// Span attribute: the record of one side of a hop, as bytes ([`crate::Half::pack`]).
pub const PACKED: &str = "lab.packed";
/// Span attribute: the marks and sending times of one side of a hop, as text: what [`PACKED`] was before.
pub const MARKS: &str = "lab.marks";
/// Span attribute: bytes, frames and connection of one side of a hop, as text.
pub const WIRE: &str = "lab.wire";
/// Span attribute: what the injector really took, as text (`stage=nanoseconds`).
pub const INJECTED: &str = "lab.injected";
/// Root span attribute: the cell of the plan that the request belongs to.
pub const CELL: &str = "lab.cell";
/// Root span attribute: the round of the cell, from 0.
pub const ROUND: &str = "lab.round";
/// Root span attribute: latency by a stopwatch outside the probe, in nanoseconds.
pub const STOPWATCH: &str = "lab.stopwatch_ns";
/// Root span attribute: how many requests this traced one stands for.
pub const WEIGHT: &str = "lab.weight";
/// Span attribute: spans that the process lost so far (its export queue was full or failed).
pub const LOST: &str = "lab.lost";
/// Resource attribute: drawn at random by each process when it starts; its spans are numbered from 1.
pub const INSTANCE: &str = "lab.instance";
/// Resource attribute: the number of the last span that the process has made so far.
pub const HIGHEST: &str = "lab.highest";
/// Span attribute (semantic conventions): logical name of the called service.
pub const PEER_SERVICE: &str = "peer.service";
/// Span attribute (semantic conventions): address of the called service.
pub const SERVER_ADDRESS: &str = "server.address";
/// Span attribute (semantic conventions): port of the called service.
pub const SERVER_PORT: &str = "server.port";
/// Span attribute (semantic conventions): method of a HTTP request.
pub const HTTP_REQUEST_METHOD: &str = "http.request.method";
/// Span attribute (semantic conventions): status of a HTTP reply.
pub const HTTP_RESPONSE_STATUS_CODE: &str = "http.response.status_code";
/// Span attribute (semantic conventions): bytes of the body of a HTTP reply.
pub const HTTP_RESPONSE_BODY_SIZE: &str = "http.response.body.size";
/// Span attribute (semantic conventions): the route of a server that took the request.
pub const HTTP_ROUTE: &str = "http.route";
/// Span attribute (semantic conventions): the path of a client's request as a template.
pub const URL_TEMPLATE: &str = "url.template";
/// Span attribute (semantic conventions): `grpc`.
pub const RPC_SYSTEM: &str = "rpc.system";
/// Span attribute (semantic conventions): the service that is called.
pub const RPC_SERVICE: &str = "rpc.service";
/// Span attribute (semantic conventions): its method.
pub const RPC_METHOD: &str = "rpc.method";
/// Span attribute (semantic conventions): the status that a gRPC call ended with, as a number.
pub const RPC_GRPC_STATUS_CODE: &str = "rpc.grpc.status_code";
/// Span attribute (semantic conventions): what kind of error a span ended with.
pub const ERROR_TYPE: &str = "error.type";

/// Span attribute (semantic conventions): which kind of database a client span calls. Such a call has no
/// other side: databases send no spans.
pub const DB_SYSTEM_NAME: &str = "db.system.name";
/// Span attribute: what [`DB_SYSTEM_NAME`] was called before version 1.28 of the semantic conventions,
/// and still is by most instrumentations.
pub const DB_SYSTEM: &str = "db.system";

/// Measurement of stage times in windows of a second: traced requests, one series per stage of a hop.
pub const M_HOP: &str = "hop";
/// Measurement of whole traced requests in windows of a second: latency, residual, inferred part.
pub const M_REQUEST: &str = "request";
/// Measurement of the load, every request, by the second of its planned start: its fields add up over any time.
pub const M_LOAD: &str = "load";
/// Measurement of process resources in windows of a second.
pub const M_PROCESS: &str = "process";
/// Measurement of verdicts: one point for each cell when the run has been judged.
pub const M_VERDICT: &str = "verdict";
/// Measurement of claims: one point for each family of each two cells that are compared, and one for their means, when
/// the run has been judged.
pub const M_CONTRAST: &str = "contrast";
/// Measurement of what is known of each cell's evidence: one point for each question, when the run has been judged.
pub const M_EVIDENCE: &str = "evidence";
/// Measurement of what a run found of each cell: one point for each, when the run has been judged.
pub const M_RESULT: &str = "result";
/// Measurement of the course of a run: one point where a round of a cell begins, one where it ends.
pub const M_CELL: &str = "cell";

/// Tag: unique name of the run.
pub const T_RUN: &str = "run";
/// Tag: cell of the plan; [`NO_CELL`] outside of any.
pub const T_CELL: &str = "cell";
/// Tag: protocol of the cell's inner hop.
pub const T_PROTOCOL: &str = "protocol";
/// Tag: declared payload of the cell, in bytes.
pub const T_PAYLOAD: &str = "payload";
/// Tag: `client→server`.
pub const T_HOP: &str = "hop";
/// Tag: what requests do (`http.route`, `rpc.method` or name of their first span); [`NO_CELL`] where nothing tells.
pub const T_OPERATION: &str = "operation";
/// Tag: who made the load, by its own service name; [`NO_CELL`] where requests begin at the first service.
pub const T_GENERATOR: &str = "generator";
/// Tag of [`M_CELL`]: what cells of this payload are listed under, with the payload, in the order of payloads.
pub const T_GROUP: &str = "group";
/// Tag of [`M_EVIDENCE`]: what is asked of the cell.
pub const T_QUESTION: &str = "question";
/// Tag: cell that is compared with.
pub const T_FIRST: &str = "first";
/// Tag: cell that is compared.
pub const T_SECOND: &str = "second";
/// Value of [`T_FAMILY`] for the difference of the means, of which families are the parts.
pub const WHOLE: &str = "mean";
/// Tag: family of a stage ([`crate::stage::Family`]).
pub const T_FAMILY: &str = "family";
/// Tag: name of a stage ([`crate::stage::Stage`]).
pub const T_STAGE: &str = "stage";
/// Tag: service name of a process; `host` for the whole machine.
pub const T_PROCESS: &str = "process";
/// Value of [`T_CELL`], [`T_PROTOCOL`] and [`T_PAYLOAD`] for what belongs to no cell.
pub const NO_CELL: &str = "none";
/// The protocols of inner hops, as routes and cells name them.
pub const PROTOCOLS: [&str; 2] = ["rest", "grpc"];

/// Field of [`M_HOP`] and [`M_REQUEST`]: traced requests in the window that are whole and succeeded. All times and
/// bytes are about these.
pub const F_COUNT: &str = "count";
/// Field: sum over the window's traced requests, in microseconds.
pub const F_SUM_US: &str = "sum_us";
/// Field: mean, in microseconds.
pub const F_MEAN_US: &str = "mean_us";
/// Field: median, in microseconds.
pub const F_P50_US: &str = "p50_us";
/// Field: 99th percentile, in microseconds.
pub const F_P99_US: &str = "p99_us";
/// Field: largest, in microseconds.
pub const F_MAX_US: &str = "max_us";
/// Field of [`M_HOP`]: mean over the requests in the window's p50 band (p45 to p55 of latency). Unlike
/// percentiles of stages, these add up to the band's latency.
pub const F_P50_BAND_US: &str = "p50_band_us";
/// Field of [`M_HOP`]: mean over the requests at or above the window's p99 of latency.
pub const F_P99_BAND_US: &str = "p99_band_us";
/// Field of [`M_REQUEST`]: sum of stopwatch less stages, in microseconds.
pub const F_RESIDUAL_SUM_US: &str = "residual_sum_us";
/// Field of [`M_REQUEST`]: sum of the residuals' magnitudes, in microseconds: errors that cancel show here.
pub const F_RESIDUAL_ABS_SUM_US: &str = "residual_abs_sum_us";
/// Field of [`M_REQUEST`]: sum of the stages that were inferred and not measured, in microseconds.
pub const F_INFERRED_SUM_US: &str = "inferred_sum_us";
/// Field of [`M_REQUEST`]: bytes on the wire of every hop that a tap looked at, both directions, summed; absent where
/// none did.
pub const F_WIRE_BYTES: &str = "wire_bytes";
/// Field of [`M_REQUEST`]: payload bytes of the edge hop's replies, summed; absent where no tap counted them.
pub const F_PAYLOAD_BYTES: &str = "payload_bytes";
/// Field of [`M_REQUEST`]: requests that are not whole: a call lacks the span of a peer that sends some, or spans
/// were cut. They are in no other field but [`F_ERROR`] and [`F_CUT`].
pub const F_UNJOINED: &str = "unjoined";
/// Field of [`M_REQUEST`]: requests whose trace had too many spans to hold all.
pub const F_CUT: &str = "cut";
/// Field of [`M_REQUEST`]: requests with marks out of order.
pub const F_OUT_OF_ORDER: &str = "out_of_order";
/// Field of [`M_REQUEST`]: requests that are taken to begin where they do, for their callers send no spans.
pub const F_EDGE_ASSUMED: &str = "edge_assumed";
/// Field of [`M_REQUEST`]: sum of the time of calls beside others, in microseconds; in no stage.
pub const F_CONCURRENT_SUM_US: &str = "concurrent_sum_us";
/// Field of [`M_REQUEST`]: sum of the time of calls outside of their callers, in microseconds; in no stage.
pub const F_DETACHED_SUM_US: &str = "detached_sum_us";
/// Field of [`M_REQUEST`]: sum of what foreign spans were longer than those around them, in microseconds; in no stage.
pub const F_CLIPPED_SUM_US: &str = "clipped_sum_us";
/// Field of [`M_REQUEST`]: spans whose root never came, by the second in which that was known; in no request.
pub const F_FRAGMENTS: &str = "fragments";
/// Field of [`M_REQUEST`]: sum of the latencies as the load generator's own span has them, in microseconds. Of requests that
/// no run asked for and whose load generator tells; those of a run are in [`M_LOAD`].
pub const F_END_TO_END_SUM_US: &str = "end_to_end_sum_us";
/// Field of [`M_REQUEST`]: how many latencies that sum holds.
pub const F_END_TO_END_COUNT: &str = "end_to_end_count";
/// Field of [`M_REQUEST`]: pieces of work that messages asked for; in no other field.
pub const F_MESSAGES: &str = "messages";

/// Field of [`M_LOAD`]: arrivals that the plan asked for.
pub const F_PLANNED: &str = "planned";
/// Field of [`M_LOAD`]: requests that were sent.
pub const F_STARTED: &str = "started";
/// Field of [`M_LOAD`]: arrivals for which no slot was free.
pub const F_DROPPED: &str = "dropped";
/// Field of [`M_LOAD`]: requests sent too late after their planned time. Of [`M_REQUEST`]: spans that came after
/// their trace was closed, by the second in which they came.
pub const F_LATE: &str = "late";
/// Field of [`M_LOAD`]: requests answered as the contract says.
pub const F_OK: &str = "ok";
/// Field of [`M_LOAD`]: requests answered otherwise or not at all. Of [`M_REQUEST`]: traced requests that ended
/// with an error.
pub const F_ERROR: &str = "error";
/// Field of [`M_LOAD`]: sum of the latencies of the successful requests, in microseconds.
pub const F_LATENCY_SUM_US: &str = "latency_sum_us";
/// Field of [`M_LOAD`]: how many latencies that sum holds.
pub const F_LATENCY_COUNT: &str = "latency_count";

/// Field of [`M_LOAD`]: the part of the round's time that the point stands for, in seconds. `ok` over it is the rate.
pub const F_SECONDS: &str = "seconds";

/// Field of [`M_LOAD`]: the part of the round's time in which arrivals were planned that the point stands for, in seconds.
/// `planned` over it is the rate that was asked for.
pub const F_PLANNED_SECONDS: &str = "planned_seconds";

/// Field of [`M_PROCESS`]: CPU used, in cores.
pub const F_CPU_CORES: &str = "cpu_cores";
/// Field of [`M_PROCESS`]: resident memory, in bytes.
pub const F_RSS_BYTES: &str = "rss_bytes";
/// Field of [`M_PROCESS`]: threads.
pub const F_THREADS: &str = "threads";
/// Field of [`M_PROCESS`]: context switches asked for, per second.
pub const F_VOLUNTARY_SWITCHES: &str = "voluntary_switches_per_s";
/// Field of [`M_PROCESS`]: context switches suffered, per second.
pub const F_INVOLUNTARY_SWITCHES: &str = "involuntary_switches_per_s";
/// Field of [`M_PROCESS`]: time that threads were ready and waited for a CPU, in seconds per second.
pub const F_RUN_QUEUE_WAIT: &str = "run_queue_wait_cores";

/// Field of [`M_VERDICT`]: 0 VALID, 1 SUSPECT, 2 INVALID, 3 UNCHECKED.
pub const F_STATUS: &str = "status";
/// Field of [`M_VERDICT`]: how bad that is: 0 VALID, 1 UNCHECKED, 2 SUSPECT, 3 INVALID.
pub const F_SEVERITY: &str = "severity";
/// Field of [`M_VERDICT`]: the same as a word.
pub const F_STATUS_NAME: &str = "status_name";
/// Field of [`M_VERDICT`]: the codes of the reasons, with commas.
pub const F_REASONS: &str = "reasons";
/// Field of [`M_VERDICT`]: residual as a part of the latency in the p50 band.
pub const F_RESIDUAL_P50_SHARE: &str = "residual_p50_share";
/// Field of [`M_VERDICT`]: residual as a part of the latency in the p99 band.
pub const F_RESIDUAL_P99_SHARE: &str = "residual_p99_share";
/// Field of [`M_VERDICT`]: part of the latency that is inferred and not measured.
pub const F_INFERRED_SHARE: &str = "inferred_share";
/// Field of [`M_VERDICT`]: certified cost of the probe, on over off; absent where it was not certified.
pub const F_PROBE_COST: &str = "probe_cost_ratio";
/// Field of [`M_VERDICT`]: spans that processes lost or the sidecar dropped, whole run.
pub const F_SPANS_LOST: &str = "spans_lost";
/// Field of [`M_VERDICT`]: requests whose two ends counted different bytes, or whose payload is not the declared one.
pub const F_BYTES_DISAGREE: &str = "bytes_disagree";

/// Field of [`M_CONTRAST`]: the second less the first, in microseconds.
pub const F_US: &str = "us";
/// Field of [`M_CONTRAST`]: lower end of its interval, all of the run together.
pub const F_LOW_US: &str = "low_us";
/// Field of [`M_CONTRAST`]: upper end of it.
pub const F_HIGH_US: &str = "high_us";
/// Field of [`M_CONTRAST`]: the least true difference that four of five such runs would have told from none.
pub const F_VISIBLE_US: &str = "visible_us";
/// Field of [`M_CONTRAST`]: 1 if the interval excludes 0.
pub const F_FOUND: &str = "found";
/// Field of [`M_CONTRAST`]: pairs of rounds.
pub const F_PAIRS: &str = "pairs";
/// Field of [`M_CONTRAST`] of the means: how much halves of one cell's own rounds differ.
pub const F_NOISE_FLOOR_US: &str = "noise_floor_us";
/// Field of [`M_CONTRAST`] of the means: latency of the second over that of the first.
pub const F_RATIO: &str = "ratio";
/// Field of [`M_CONTRAST`] of the means: lower end of its interval, by itself.
pub const F_RATIO_LOW: &str = "ratio_low";
/// Field of [`M_CONTRAST`] of the means: upper end of it.
pub const F_RATIO_HIGH: &str = "ratio_high";

/// Field of [`M_CONTRAST`] of the means: which of the two is faster, in words; or that nothing is claimed.
pub const F_ANSWER: &str = "answer";
/// Field of [`M_CONTRAST`] of the means: by how much, with its interval, in words; or why nothing is claimed.
pub const F_BY: &str = "by";
/// Field of [`M_CONTRAST`] of the means: what the first spends most of its time on, in words.
pub const F_FIRST_MOSTLY: &str = "first_mostly";
/// Field of [`M_CONTRAST`] of the means: what the second spends most of its time on, in words.
pub const F_SECOND_MOSTLY: &str = "second_mostly";

/// Field of [`M_EVIDENCE`]: what was looked at, with number and limit, in words.
pub const F_TEXT: &str = "text";
/// Field of [`M_EVIDENCE`]: the number that the answer rests on; absent where there is none.
pub const F_VALUE: &str = "value";
/// Field of [`M_EVIDENCE`]: the limit that it was held to.
pub const F_LIMIT: &str = "limit";

/// Field of [`M_RESULT`]: how many rounds it comes from.
pub const F_ROUNDS: &str = "rounds";
/// Field of [`M_RESULT`]: requests answered as the contract says, per second.
pub const F_ANSWERED_PER_S: &str = "answered_per_s";
/// Field of [`M_RESULT`]: dropped over planned arrivals.
pub const F_DROPPED_SHARE: &str = "dropped_share";

/// Field of [`M_CELL`]: [`BEGAN`] or [`ENDED`].
pub const F_EVENT: &str = "event";
/// A round of a cell begins; of a cell that no run asked for, its first request.
pub const BEGAN: &str = "began";
/// A round of a cell has ended.
pub const ENDED: &str = "ended";
/// Field of [`M_CELL`]: round of the cell, from 0.
pub const F_ROUND: &str = "round";
