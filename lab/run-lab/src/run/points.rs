//! What the lab itself tells InfluxDB: the load, second by second, where cells begin and end, and the
//! verdicts. It goes through the sidecar, which has the one writer.

use std::sync::Arc;

use ledger::wall::WallClock;
use ledger::{clock, names};
use sidecar::Lines;

use lab_judge::result::{CellResult, RunResult};
use lab_launch::{Announced, Control, ControlError};
use lab_model::{Cell, RoundMeasure, Second, Status, Verdict, Workload};

/// A day of seconds is sent in pieces of so many: the sidecar takes a megabyte at once.
const LINES_AT_ONCE: usize = 2_000;

/// Tells InfluxDB, through the sidecar; nothing where there is none.
#[derive(Debug, Clone)]
pub(super) struct Points {
    control: Option<Control>,
    run: String,
    wall: WallClock,
}

impl Points {
    /// For the run called `run`; with `control` if there is an InfluxDB.
    pub(super) fn new(control: Option<Control>, run: &str) -> Points {
        Points { control, run: run.to_owned(), wall: WallClock::read() }
    }

    /// Opens a run of `cells` with the sidecar, and says with which tags the points of each go. Answers the nonce
    /// without which no request belongs to one.
    pub(super) async fn announce<'a>(
        sidecar: &Control,
        cells: impl Iterator<Item = &'a Cell>,
    ) -> Result<Arc<str>, ControlError> {
        let cells: Vec<Announced<'_>> = cells
            .map(|cell| Announced {
                cell: &cell.id,
                protocol: cell.protocol.name(),
                payload: payload(&cell.workload, cell.payload_bytes),
            })
            .collect();
        Ok(sidecar.open(&cells).await?.into())
    }

    /// A round of `cell` begins, or has ended.
    pub(super) async fn event(
        &self,
        cell: &Cell,
        round: u32,
        event: &str,
    ) -> Result<(), ControlError> {
        let Some(control) = &self.control else { return Ok(()) };
        let mut lines = Lines::default();
        self.of_cell(&mut lines, names::M_CELL, cell)
            .text(names::F_EVENT, event)
            .int(names::F_ROUND, i64::from(round))
            .at(self.wall.to_wall(clock::now()));
        control.points(lines.as_str().to_owned()).await
    }

    /// The load of a round that has ended.
    pub(super) async fn load(
        &self,
        cell: &Cell,
        measured: &RoundMeasure,
    ) -> Result<(), ControlError> {
        let Some(control) = &self.control else { return Ok(()) };
        for seconds in measured.seconds.chunks(LINES_AT_ONCE) {
            let mut lines = Lines::default();
            for second in seconds {
                let at = measured.start_ns + second.second * 1_000_000_000;
                let mut fields = load_fields(self.of_cell(&mut lines, names::M_LOAD, cell), second);
                if let Some(late) = second.late {
                    fields = fields.count(names::F_LATE, late);
                }
                fields.at(self.wall.to_wall(at));
            }
            control.points(lines.as_str().to_owned()).await?;
        }
        Ok(())
    }

    /// The verdicts of the run and of each of its cells.
    pub(super) async fn verdicts(&self, result: &RunResult) -> Result<(), ControlError> {
        let Some(control) = &self.control else { return Ok(()) };
        let now = self.wall.to_wall(clock::now());
        let mut lines = Lines::default();
        let lost: u64 = result.spans_lost.values().sum();
        let none = names::NO_CELL;
        let of_run = tags(&self.run, none, none, none);
        verdict_fields(lines.point(names::M_VERDICT, &of_run), &result.verdict)
            .count(names::F_SPANS_LOST, lost)
            .at(now);
        for cell in &result.cells {
            let asked = &cell.factors;
            let payload = payload(&asked.workload(), asked.payload_bytes);
            let tags = tags(&self.run, &cell.id, asked.protocol.name(), &payload);
            let fields = verdict_fields(lines.point(names::M_VERDICT, &tags), &cell.verdict)
                .float(names::F_RESIDUAL_P50_SHARE, cell.residual.p50_share)
                .float(names::F_RESIDUAL_P99_SHARE, cell.residual.p99_share)
                .float(names::F_INFERRED_SHARE, cell.inferred_share)
                .count(names::F_SPANS_LOST, lost)
                .count(names::F_BYTES_DISAGREE, bytes_disagree(cell));
            // A cost that was not certified is no number.
            let cost = result.probe_cost.as_ref().map_or(f64::NAN, |cost| cost.ratio);
            fields.float(names::F_PROBE_COST, cost).at(now);
        }
        control.points(lines.as_str().to_owned()).await
    }

    fn of_cell<'a>(
        &self,
        lines: &'a mut Lines,
        measurement: &str,
        cell: &Cell,
    ) -> sidecar::Fields<'a> {
        let payload = payload(&cell.workload, cell.payload_bytes);
        lines.point(measurement, &tags(&self.run, &cell.id, cell.protocol.name(), &payload))
    }
}

fn tags<'a>(
    run: &'a str,
    cell: &'a str,
    protocol: &'a str,
    payload: &'a str,
) -> [(&'static str, &'a str); 4] {
    [
        (names::T_RUN, run),
        (names::T_CELL, cell),
        (names::T_PROTOCOL, protocol),
        (names::T_PAYLOAD, payload),
    ]
}

fn payload(workload: &Workload, bytes: u64) -> String {
    if workload.payload { bytes.to_string() } else { names::NO_CELL.to_owned() }
}

fn load_fields<'a>(point: sidecar::Fields<'a>, second: &Second) -> sidecar::Fields<'a> {
    point
        .count(names::F_PLANNED, second.planned)
        .count(names::F_STARTED, second.started)
        .count(names::F_DROPPED, second.dropped)
        .count(names::F_OK, second.ok)
        .count(names::F_ERROR, second.error)
        .float(names::F_LATENCY_SUM_US, second.latency_sum_us)
        .count(names::F_LATENCY_COUNT, second.latency_count)
}

fn verdict_fields<'a>(point: sidecar::Fields<'a>, verdict: &Verdict) -> sidecar::Fields<'a> {
    let status = match verdict.status {
        Status::Valid => 0,
        Status::Suspect => 1,
        Status::Invalid => 2,
    };
    point
        .int(names::F_STATUS, status)
        .text(names::F_STATUS_NAME, verdict.status.name())
        .text(names::F_REASONS, &verdict.codes().collect::<Vec<_>>().join(","))
}

/// Requests of a cell whose two ends counted different bytes, or whose payload is not the declared one.
fn bytes_disagree(cell: &CellResult) -> u64 {
    cell.wire.iter().map(|hop| hop.disagreements + hop.payload_mismatches).sum()
}
