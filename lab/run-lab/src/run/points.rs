//! What the lab itself tells InfluxDB: the load, second by second, where cells begin and end, and the
//! verdicts and claims. It goes through the sidecar, which has the one writer.

use ledger::wall::WallClock;
use ledger::{clock, names};
use sidecar::Lines;

use lab_judge::result::{CellResult, ContrastResult, Difference, RunResult, WireResult};
use lab_launch::{Announced, Control, ControlError, Opened};
use lab_model::{Cell, RoundMeasure, Second, Verdict, Workload};

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

    /// Opens a run of `cells` with the sidecar, and says with which tags the points of each go. Without the nonce that
    /// this answers no request belongs to one.
    pub(super) async fn announce<'a>(
        sidecar: &Control,
        cells: impl Iterator<Item = &'a Cell>,
    ) -> Result<Opened, ControlError> {
        let cells: Vec<Announced<'_>> = cells
            .map(|cell| Announced {
                cell: &cell.id,
                protocol: cell.protocol.name(),
                payload: payload(&cell.workload, cell.payload_bytes),
            })
            .collect();
        sidecar.open(&cells).await
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

    /// The verdicts of the run and of each of its cells, and what may be claimed of them.
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
        for claim in &result.contrasts {
            self.contrast(&mut lines, result, claim, now);
        }
        control.points(lines.as_str().to_owned()).await
    }

    /// The claims of two cells: one point for the means, one for each family.
    fn contrast(&self, lines: &mut Lines, result: &RunResult, claim: &ContrastResult, now: u64) {
        let first = result.cells.iter().find(|cell| cell.id == claim.first);
        let payload = first.map_or_else(
            || names::NO_CELL.to_owned(),
            |cell| payload(&cell.factors.workload(), cell.factors.payload_bytes),
        );
        let mut point = |family: &str, difference: &Difference, whole: bool| {
            let tags = [
                (names::T_RUN, &*self.run),
                (names::T_PAYLOAD, &payload),
                (names::T_FIRST, &claim.first),
                (names::T_SECOND, &claim.second),
                (names::T_FAMILY, family),
            ];
            let mut fields = lines
                .point(names::M_CONTRAST, &tags)
                .float(names::F_US, difference.us)
                .float(names::F_LOW_US, difference.together.0)
                .float(names::F_HIGH_US, difference.together.1)
                .float(names::F_VISIBLE_US, difference.visible)
                .int(names::F_FOUND, i64::from(difference.found()))
                .count(names::F_PAIRS, claim.pairs);
            if whole {
                fields = fields
                    .float(names::F_NOISE_FLOOR_US, claim.noise_floor_us.unwrap_or(f64::NAN))
                    .float(names::F_RATIO, claim.latency.ratio)
                    .float(names::F_RATIO_LOW, claim.latency.interval.0)
                    .float(names::F_RATIO_HIGH, claim.latency.interval.1);
            }
            fields.at(now);
        };
        point(names::WHOLE, &claim.mean, true);
        for part in &claim.parts {
            point(&part.family, &part.difference, false);
        }
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
    point
        .int(names::F_STATUS, verdict.status.number())
        .int(names::F_SEVERITY, verdict.status.severity())
        .text(names::F_STATUS_NAME, verdict.status.name())
        .text(names::F_REASONS, &verdict.codes().collect::<Vec<_>>().join(","))
}

/// Requests of a cell whose two ends counted different bytes, or whose payload is not the declared one.
fn bytes_disagree(cell: &CellResult) -> u64 {
    let claimed = |hop: &WireResult| hop.claimed.map_or(0, |claimed| claimed.mismatches);
    let wrong = |hop: &WireResult| hop.disagreements + hop.payload_mismatches + claimed(hop);
    cell.wire.iter().map(wrong).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run of six payloads by two protocols, two rounds each.
    const RESULT: &str = include_str!("../../../report/tests/judging/golden/result.json");

    #[test]
    fn a_claim_is_a_point_for_the_means_and_one_for_each_part_and_they_add_up() {
        let result = RunResult::from_json(RESULT).unwrap();
        let points = Points::new(None, "r");
        let claim = &result.contrasts[1];
        let mut lines = Lines::default();
        points.contrast(&mut lines, &result, claim, 7);
        let lines: Vec<&str> = lines.as_str().lines().collect();
        assert_eq!(lines.len(), 1 + claim.parts.len());
        let whole = "contrast,run=r,payload=1000,first=rest-1kB,second=grpc-1kB,family=mean ";
        assert!(lines[0].starts_with(whole), "{}", lines[0]);
        for field in ["low_us=", "high_us=", "visible_us=", "ratio=", "ratio_low=", "ratio_high="] {
            assert!(lines[0].contains(field), "{field} in {}", lines[0]);
        }
        let us = |line: &str| -> f64 {
            let (_, rest) = line.split_once(" us=").unwrap();
            rest.split(',').next().unwrap().parse().unwrap()
        };
        let parts: f64 = lines[1..].iter().map(|line| us(line)).sum();
        assert!((parts - us(lines[0])).abs() < 0.02, "{parts} and {}", lines[0]);
        assert!(lines[1..].iter().all(|line| !line.contains("ratio")), "only of the means");
    }
}
