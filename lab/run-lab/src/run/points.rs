//! What the lab itself tells InfluxDB: the load, second by second, where cells begin and end, and what was found
//! ([`super::judged`] writes that). It goes through the sidecar, which has the one writer.

use ledger::wall::WallClock;
use ledger::{clock, names};
use sidecar::Lines;

use super::judged;
use super::tags::{payload, protocol, tags};
use lab_drive::{builtin, k6};
use lab_judge::result::{RunResult, on_the_clock};
use lab_launch::{Announced, Control, ControlError, Opened};
use lab_model::{Cell, RoundMeasure, Second};

/// A day of seconds is sent in pieces of so many: the sidecar takes a megabyte at once.
const LINES_AT_ONCE: usize = 2_000;
/// Nanoseconds of a second.
const SECOND: u64 = 1_000_000_000;

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
                payload: payload(&cell.workload, cell.payload_bytes, cell.arrivals),
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
        let payload = payload(&cell.workload, cell.payload_bytes, cell.arrivals);
        let group = sidecar::group(payload.parse().ok());
        let protocol = protocol(cell.protocol, cell.arrivals);
        let [run, id, protocol, payload] = tags(&self.run, &cell.id, protocol, &payload);
        lines
            .point(names::M_CELL, &[run, id, protocol, payload, (names::T_GROUP, &group)])
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
        let lengths = lengths(&measured.seconds, on_the_clock(cell.duration_ns, measured));
        let seconds: Vec<_> = std::iter::zip(&measured.seconds, lengths).collect();
        for seconds in seconds.chunks(LINES_AT_ONCE) {
            let mut lines = Lines::default();
            for (second, length) in seconds {
                self.second(&mut lines, (cell, measured), second, *length);
            }
            control.points(lines.as_str().to_owned()).await?;
        }
        Ok(())
    }

    /// One second of a round. A round begins at any time, traced requests are summed by seconds of the wall: the point
    /// is that of the wall's second that it lies in for the greater part.
    fn second(
        &self,
        lines: &mut Lines,
        (cell, measured): (&Cell, &RoundMeasure),
        second: &Second,
        length_ns: u64,
    ) {
        let payload = payload(&cell.workload, cell.payload_bytes, cell.arrivals);
        let protocol = protocol(cell.protocol, cell.arrivals);
        let [run, id, protocol, payload] = tags(&self.run, &cell.id, protocol, &payload);
        let by = if measured.k6.is_some() { k6::SERVICE } else { builtin::SERVICE };
        let tags = [run, id, protocol, payload, (names::T_GENERATOR, by)];
        let mut fields = load_fields(lines.point(names::M_LOAD, &tags), second);
        if let Some(late) = second.late {
            fields = fields.count(names::F_LATE, late);
        }
        let at = self.wall.to_wall(measured.at(second.second * SECOND));
        let whole = (at + SECOND / 2) / SECOND * SECOND;
        // The last second of a round and the first of the next one may lie in one second of the wall.
        let round = u64::from(measured.round) * 1_000 % SECOND;
        let planned = cell.duration_ns.saturating_sub(second.second * SECOND).min(SECOND);
        fields
            .float(names::F_SECONDS, length_ns as f64 / 1e9)
            .float(names::F_PLANNED_SECONDS, planned as f64 / 1e9)
            .at(whole + round);
    }

    /// What was found, when the run has been judged.
    pub(super) async fn judged(&self, result: &RunResult) -> Result<(), ControlError> {
        let Some(control) = &self.control else { return Ok(()) };
        let now = self.wall.to_wall(clock::now());
        for lines in judged::of(result, &self.run, now) {
            control.points(lines.as_str().to_owned()).await?;
        }
        Ok(())
    }
}

/// How much of the round's time each of its seconds stands for: all of them together for `whole` nanoseconds, the last
/// one also for the time in which answers were waited for and nothing more was sent.
fn lengths(seconds: &[Second], whole: u64) -> Vec<u64> {
    let begins = |at: usize| match seconds.get(at) {
        Some(_) if at == 0 => 0,
        Some(second) => whole.min(second.second * SECOND),
        None => whole,
    };
    (0..seconds.len()).map(|at| begins(at + 1) - begins(at)).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seconds_of_a_round_are_as_long_as_the_round_whatever_came_when() {
        for (seconds, whole, expected) in [
            // The 601st arrival begins a seventh second, and its answer takes 7 ms.
            (
                &[0, 1, 2, 3, 4, 5, 6][..],
                6_007_000_000,
                &[SECOND, SECOND, SECOND, SECOND, SECOND, SECOND, 7_000_000][..],
            ),
            (&[0, 1], 5 * SECOND, &[SECOND, 4 * SECOND]),
            (&[1, 3], 4 * SECOND, &[3 * SECOND, SECOND]),
            (&[0, 1, 2], 1_500_000_000, &[SECOND, 500_000_000, 0]),
            (&[], SECOND, &[]),
        ] {
            let second = |&second: &u64| Second { second, ..Second::default() };
            let seconds: Vec<Second> = seconds.iter().map(second).collect();
            assert_eq!(lengths(&seconds, whole), expected);
        }
    }
}
