//! What writing to InfluxDB promises.

mod backlog;
mod by_hand;
mod fake;
mod lines;
mod names;
mod operations;
mod windows;
mod writer;

use ledger::wall::WallClock;
use ledger::{Kind, Stage, StageSet, Traffic};

use super::SECOND;
use super::windows::{Tags, Windows};
use crate::runfile::{HopRow, RequestRow};

/// Wall time less monotonic time in these tests, in nanoseconds.
const OFFSET: u64 = 1_790_000_000 * SECOND + 123;
/// A monotonic time at which a wall second begins, in nanoseconds.
const START: u64 = 5_000 * SECOND - 123;
/// That second.
const START_S: u64 = 1_790_005_000;

/// Windows of the run `r`, held for 10 s, of a sidecar that started at [`START`].
fn windows() -> Windows {
    let hold = std::time::Duration::from_secs(10);
    let mut windows = Windows::new("r".into(), hold, WallClock::ahead_by(OFFSET as i64), START);
    windows.announce(vec![tags("rest-10B")]).unwrap();
    windows
}

fn tags(cell: &str) -> Tags {
    Tags { cell: cell.into(), protocol: "rest".into(), payload: "10".into() }
}

/// One hop of which some stages are measured.
fn hop(name: &str, stages: &[(Stage, i64)]) -> HopRow {
    let mut set = StageSet::default();
    for &(stage, ns) in stages {
        set.add(stage, ns, Kind::Measured);
    }
    HopRow {
        hop: name.into(),
        depth: 0,
        unjoined: false,
        stages: set,
        request: Some(Traffic { wire: 100, ..Traffic::default() }),
        reply: Some(Traffic { wire: 200, payload: 10, ..Traffic::default() }),
        connection: 1,
        http: 11,
        attempts: 1,
        ..HopRow::default()
    }
}

/// A request of cell `rest-10B` that started at `start_ns`: 1 µs of encoding, the rest is handler.
fn request(start_ns: u64, latency_ns: i64) -> RequestRow {
    let stages = [(Stage::RequestEncode, 1_000), (Stage::Handler, latency_ns - 1_000)];
    RequestRow {
        cell: "rest-10B".into(),
        operation: "GET /x".into(),
        start_ns,
        wall_ns: start_ns + OFFSET,
        latency_ns,
        weight: 7.0,
        hops: vec![hop("driver→gateway", &stages)],
        ..RequestRow::default()
    }
}
