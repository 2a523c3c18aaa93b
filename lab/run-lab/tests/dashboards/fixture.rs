//! The points of a run that never happened, named by `ledger`'s constants and shaped as the sidecar and the
//! lab write them: for the test of the queries only. What a real run's panels show is tested with a real run.

use std::fmt::Write as _;

use lab_model::Question;
use ledger::names::*;
use ledger::{Family, Stage};

/// The run's name: with characters that mean something in a regular expression.
pub(crate) const RUN: &str = "smoke-20261124T120000Z.v1(2)";
/// Name of the run that [`points_of_the_sidecar`] are of.
pub(crate) const RUN_UP: &str = "up-20261124T120000Z";
/// When both began and ended, in milliseconds since 1970.
pub(crate) const FROM: u64 = 1_795_521_600_000;
pub(crate) const TO: u64 = FROM + 1_000 * SECONDS * CELLS.len() as u64;
/// Arrivals planned and dropped, over all cells.
pub(crate) const PLANNED: u64 = 100 * SECONDS * CELLS.len() as u64;
pub(crate) const DROPPED: u64 = DROPPED_OF_LAST * SECONDS;

const SECONDS: u64 = 6;
const DROPPED_OF_LAST: u64 = 37;
/// Cell, protocol, payload.
const CELLS: [(&str, &str, &str); 5] = [
    ("rest-10B", "rest", "10"),
    ("grpc-10B", "grpc", "10"),
    ("grpc-users", "grpc", NO_CELL),
    ("rest-1MB", "rest", "1000000"),
    ("grpc-1MB", "grpc", "1000000"),
];
/// What belongs to no cell.
const NONE: (&str, &str, &str) = (NO_CELL, NO_CELL, NO_CELL);
const HOPS: [&str; 2] = ["driver→gateway", "gateway→echo"];
const HOPS_BY_K6: [&str; 2] = ["k6→gateway", "gateway→echo"];
/// Cells that are compared, with their payload.
const PAIRS: [[&str; 3]; 2] = [["rest-10B", "grpc-10B", "10"], ["rest-1MB", "grpc-1MB", "1000000"]];
/// Of a load generator that sends no spans only the other side is known.
const HOPS_UP: [&str; 2] = ["?→gateway", "gateway→echo"];

/// Names of its cells, and of what belongs to none.
pub(crate) fn cells() -> Vec<&'static str> {
    CELLS.iter().chain([&NONE]).map(|(name, ..)| *name).collect()
}

/// Every point of the run, and one of an older run, as line protocol.
pub(crate) fn points() -> String {
    let mut lines = Lines(String::new());
    for (at, cell) in CELLS.iter().enumerate() {
        let dropped = if at + 1 == CELLS.len() { DROPPED_OF_LAST } else { 0 };
        let begins = FROM + at as u64 * SECONDS * 1_000;
        let tags = tags(RUN, cell);
        began(&mut lines, &tags, cell, begins);
        for second in 0..SECONDS {
            let time = begins + second * 1_000;
            lines.point(M_LOAD, &format!("{tags},{T_GENERATOR}=driver"), &load(dropped), time);
            traced(&mut lines, (&tags, "driver"), HOPS, time);
            processes(&mut lines, RUN, time);
        }
        lines.point(M_CELL, &tags, &format!("{F_EVENT}=\"ended\",{F_ROUND}=0i"), begins + 5_999);
        lines.point(M_VERDICT, &tags, &verdict(dropped), TO - 1);
        judged(&mut lines, &tags, at);
    }
    for [first, second, payload] in PAIRS {
        claims(&mut lines, first, second, payload);
    }
    traced(&mut lines, (&tags(RUN, &NONE), "driver"), HOPS, FROM);
    traced(&mut lines, (&tags("zz-older", &CELLS[0]), "driver"), HOPS, FROM - 60_000);
    // A run without requests is none that anybody would look at.
    processes(&mut lines, "zzz-without-requests", FROM + 1_000);
    lines.0
}

/// The same of a run that k6 drove, which does not tell what it sent late.
pub(crate) fn points_by_k6() -> String {
    points().replace(&format!("{F_LATE}=1i,"), "")
}

/// What the sidecar writes by itself of load by hand whose load generator tells of its own latency: cells are what
/// requests have in common.
pub(crate) fn points_of_the_sidecar() -> String {
    let mut lines = Lines(String::new());
    for cell in &CELLS[..2] {
        let tags = tags(RUN_UP, cell);
        began(&mut lines, &tags, cell, FROM);
        for time in (FROM..TO).step_by(1_000) {
            traced(&mut lines, (&tags, "k6"), HOPS_BY_K6, time);
        }
    }
    for time in (FROM..TO).step_by(1_000) {
        processes(&mut lines, RUN_UP, time);
    }
    lines.0
}

/// The same of a system that nobody planned: a cell is what its requests do, and nobody counts bytes.
pub(crate) fn points_of_a_foreign_system() -> String {
    let mut lines = Lines(String::new());
    for cell in [("GET /checkout", NO_CELL, NO_CELL), ("GET /search", NO_CELL, NO_CELL)] {
        let tags = tags(RUN_UP, &cell);
        began(&mut lines, &tags, &cell, FROM);
        for time in (FROM..TO).step_by(1_000) {
            traced(&mut lines, (&tags, NO_CELL), HOPS_UP, time);
        }
    }
    for time in (FROM..TO).step_by(1_000) {
        processes(&mut lines, RUN_UP, time);
    }
    let bytes = format!(",{F_WIRE_BYTES}=10150i,{F_PAYLOAD_BYTES}=500i");
    lines.0.replace(&bytes, "")
}

/// A cell begins, listed under its payload.
fn began(lines: &mut Lines, tags: &str, (_, _, payload): &(&str, &str, &str), time: u64) {
    let group = sidecar::group(payload.parse().ok());
    let tags = format!("{tags},{T_GROUP}={}", escaped(&group));
    lines.point(M_CELL, &tags, &format!("{F_EVENT}=\"{BEGAN}\",{F_ROUND}=0i"), time);
}

/// What a judged cell has beside its verdict. Every second one had but one round.
fn judged(lines: &mut Lines, tags: &str, at: usize) {
    for question in Question::ALL {
        let tags = format!("{tags},{T_QUESTION}={}", question.name());
        let fields = format!(
            "{F_SEVERITY}=1i,{F_ANSWER}=\"cannot be checked here\",{F_TEXT}=\"it was looked at\",{F_VALUE}=1,\
             {F_LIMIT}=2"
        );
        lines.point(M_EVIDENCE, &tags, &fields, TO - 1);
    }
    let (rounds, ends) = match at % 2 {
        0 => (2, format!(",{F_LOW_US}=480,{F_HIGH_US}=520")),
        _ => (1, String::new()),
    };
    let fields = format!(
        "{F_ROUNDS}={rounds}i,{F_MEAN_US}=500{ends},{F_P50_US}=490,{F_P99_US}=900,{F_ANSWERED_PER_S}=98,\
         {F_DROPPED_SHARE}=0"
    );
    lines.point(M_RESULT, tags, &fields, TO - 1);
}

/// What may be claimed of two cells.
fn claims(lines: &mut Lines, first: &str, second: &str, payload: &str) {
    let tags = format!("{T_RUN}={RUN},{T_PAYLOAD}={payload},{T_FIRST}={first},{T_SECOND}={second}");
    for family in [WHOLE, "queue"] {
        let words = if family == WHOLE {
            format!(
                ",{F_ANSWER}=\"REST is faster\",{F_BY}=\"by 154 µs [120, 190 µs]\",\
                 {F_FIRST_MOSTLY}=\"REST: 65 % queue\",{F_SECOND_MOSTLY}=\"gRPC: 51 % queue\""
            )
        } else {
            String::new()
        };
        let fields = format!("{F_US}=154,{F_LOW_US}=120,{F_HIGH_US}=190,{F_FOUND}=1i{words}");
        lines.point(M_CONTRAST, &format!("{tags},{T_FAMILY}={family}"), &fields, TO - 1);
    }
}

/// A tag as line protocol has it.
fn escaped(tag: &str) -> String {
    tag.replace(' ', "\\ ").replace('=', "\\=").replace(',', "\\,")
}

fn tags(run: &str, (cell, protocol, payload): &(&str, &str, &str)) -> String {
    let cell = escaped(cell);
    format!("{T_RUN}={run},{T_CELL}={cell},{T_PROTOCOL}={protocol},{T_PAYLOAD}={payload}")
}

fn load(dropped: u64) -> String {
    let started = 100 - dropped;
    format!(
        "{F_PLANNED}=100i,{F_STARTED}={started}i,{F_DROPPED}={dropped}i,{F_LATE}=1i,{F_OK}={}i,{F_ERROR}=2i,\
         {F_LATENCY_SUM_US}=50000,{F_LATENCY_COUNT}={}i,{F_SECONDS}=1,{F_PLANNED_SECONDS}=1",
        started - 2,
        started - 2
    )
}

/// Every stage of every hop takes 10 µs, and 1 µs is left over.
fn traced(lines: &mut Lines, (tags, by): (&str, &str), hops: [&str; 2], time: u64) {
    let stages = (hops.len() * Stage::ALL.len()) as u64;
    for (hop, stage) in hops.iter().flat_map(|hop| Stage::ALL.iter().map(move |stage| (hop, stage)))
    {
        let family: Family = stage.family_at(u32::from(hop != &hops[0]));
        let tags =
            format!("{tags},{T_HOP}={hop},{T_FAMILY}={},{T_STAGE}={}", family.name(), stage.name());
        let fields = format!(
            "{F_COUNT}=50i,{F_SUM_US}=500,{F_MEAN_US}=10,{F_P50_US}=10,{F_P99_US}=12,{F_MAX_US}=13,\
             {F_P50_BAND_US}=10,{F_P99_BAND_US}=11"
        );
        lines.point(M_HOP, &tags, &fields, time);
    }
    let latency = stages * 10 + 1;
    let fields = format!(
        "{F_COUNT}=50i,{F_SUM_US}={},{F_MEAN_US}={latency},{F_P50_US}={latency},{F_P99_US}={},{F_MAX_US}={},\
         {F_RESIDUAL_SUM_US}=50,{F_RESIDUAL_ABS_SUM_US}=60,{F_INFERRED_SUM_US}=500,{F_WIRE_BYTES}=10150i,\
         {F_PAYLOAD_BYTES}=500i,{F_UNJOINED}=0i,{F_ERROR}=1i,{F_CUT}=0i,{F_LATE}=0i,{F_FRAGMENTS}=0i,\
         {F_EDGE_ASSUMED}=0i",
        latency * 50,
        latency * 2,
        latency * 3
    );
    // Of a run the load has that, of every request.
    let told = if by == "k6" {
        format!(",{F_END_TO_END_SUM_US}={},{F_END_TO_END_COUNT}=50i", latency * 50)
    } else {
        String::new()
    };
    let tags = format!("{tags},{T_GENERATOR}={by}");
    lines.point(M_REQUEST, &tags, &format!("{fields}{told}"), time);
}

fn processes(lines: &mut Lines, run: &str, time: u64) {
    for process in ["gateway", "echo", "driver", "host"] {
        let fields = format!(
            "{F_CPU_CORES}=0.25,{F_RSS_BYTES}=8000000i,{F_THREADS}=4i,{F_VOLUNTARY_SWITCHES}=900,\
             {F_INVOLUNTARY_SWITCHES}=20,{F_RUN_QUEUE_WAIT}=0.01"
        );
        lines.point(M_PROCESS, &format!("{T_RUN}={run},{T_PROCESS}={process}"), &fields, time);
    }
}

/// A verdict without the cost of the probe: a run need not be certified.
fn verdict(dropped: u64) -> String {
    let (status, severity, name, reasons) =
        if dropped > 0 { (1, 2, "SUSPECT", "rate_not_kept,dropped") } else { (0, 0, "VALID", "") };
    format!(
        "{F_STATUS}={status}i,{F_SEVERITY}={severity}i,{F_STATUS_NAME}=\"{name}\",{F_REASONS}=\"{reasons}\",{F_RESIDUAL_P50_SHARE}=0.002,\
         {F_RESIDUAL_P99_SHARE}=0.004,{F_INFERRED_SHARE}=0,{F_SPANS_LOST}=0i,{F_BYTES_DISAGREE}=0i"
    )
}

struct Lines(String);

impl Lines {
    fn point(&mut self, measurement: &str, tags: &str, fields: &str, time_ms: u64) {
        writeln!(self.0, "{measurement},{tags} {fields} {time_ms}000000").expect("memory");
    }
}
