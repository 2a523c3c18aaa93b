//! Closed requests and process samples, summed into windows of one second per cell and per process.
//!
//! Pure: rows and the time go in, points come out. How many points there are depends on seconds, cells, hops
//! and stages, never on load. A window is held long after its second, because slow requests and slow senders
//! come late; whenever it changed it is written again *whole*, so that a point is only ever overwritten by one
//! that says more. What comes after its window was let go is counted, and is in the run file alone.

mod by_hand;
mod cell;
mod cells;
mod operation;
mod process;
mod sample;
mod sum;
mod tags;

use std::collections::BTreeMap;
use std::time::Duration;

use ledger::wall::WallClock;

pub(crate) use cells::{PlanError, check as check_tags, is_tag};
pub(crate) use tags::Tags;

use ledger::names;

use super::SECOND;
use super::group::group;
use super::line::Lines;
use crate::runfile::{Aside, ProcessSample, RequestRow};
use cell::CellWindow;
use cells::Cells;
use process::{Processes, ProcessesOfSecond};
use sample::{ROOM, Room};

const NS_PER_US: f64 = 1e3;
/// A window is written when nothing came for this long, in nanoseconds, the first time also when it has been waiting for
/// this long …
const QUIET: u64 = SECOND;
/// … and later when it has been waiting for this long.
const IMPATIENCE: u64 = 5 * SECOND;
/// A start further from now than this is by no clock that we know.
const PLAUSIBLE: u64 = 3_600 * SECOND;

/// When a window changed, and whether that has been written.
#[derive(Debug, Clone, Copy, Default)]
struct Changes {
    /// Of the first change that is not written, on [`ledger::clock`].
    since: Option<u64>,
    latest: u64,
    /// It has been written before.
    written: bool,
}

impl Changes {
    fn note(&mut self, now: u64) {
        self.since.get_or_insert(now);
        self.latest = now;
    }

    fn due(&self, now: u64) -> bool {
        let waited = |since: u64, most: u64| now.saturating_sub(since) >= most;
        // Somebody may be waiting to see anything at all.
        let patience = if self.written { IMPATIENCE } else { QUIET };
        self.since.is_some_and(|since| waited(self.latest, QUIET) || waited(since, patience))
    }

    fn have_been_written(&mut self) {
        (self.since, self.written) = (None, true);
    }
}

#[derive(Debug, Default)]
struct Second {
    /// By place in [`Cells`]. A second of a run has one cell, hardly ever two.
    cells: Vec<(usize, CellWindow)>,
    processes: ProcessesOfSecond,
    cells_changed: Changes,
    processes_changed: Changes,
}

impl Second {
    /// The window of the cell at a place in [`Cells`], which is about to change.
    fn cell(&mut self, at: usize, now: u64) -> &mut CellWindow {
        self.cells_changed.note(now);
        let place = self.cells.iter().position(|(cell, _)| *cell == at).unwrap_or_else(|| {
            self.cells.push((at, CellWindow::default()));
            self.cells.len() - 1
        });
        &mut self.cells[place].1
    }
}

/// What did not get into a window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Missed {
    /// Requests that came after their window was let go, or of before the sidecar's start.
    pub(crate) late: u64,
    /// Requests whose start is on no clock that we know: they are in the second in which they came.
    pub(crate) misdated: u64,
}

/// All windows that are held.
#[derive(Debug)]
pub(crate) struct Windows {
    run: String,
    clock: WallClock,
    hold: u64,
    /// The second in which this sidecar began. What was before may have been written by another sidecar, and
    /// would be overwritten with less; so would the part of this second that was before, but two sidecars do
    /// not write for one run in one second.
    first: u64,
    /// Seconds before this one were let go.
    held_from: u64,
    cells: Cells,
    seconds: BTreeMap<u64, Second>,
    processes: Processes,
    room: Room,
    missed: Missed,
    scratch: Vec<i64>,
}

impl Windows {
    /// Windows of the run called `run`, held for `hold` after their second.
    pub(crate) fn new(run: String, hold: Duration, clock: WallClock, now: u64) -> Windows {
        let first = clock.to_wall(now) / SECOND;
        Windows {
            run,
            clock,
            hold: u64::try_from(hold.as_nanos()).unwrap_or(u64::MAX),
            first,
            held_from: first,
            cells: Cells::new(),
            seconds: BTreeMap::new(),
            processes: Processes::default(),
            room: Room(ROOM),
            missed: Missed::default(),
            scratch: Vec::new(),
        }
    }

    /// Announces cells that [`check_tags`] found right.
    pub(crate) fn announce(&mut self, cells: Vec<Tags>) -> Result<(), PlanError> {
        cells.into_iter().try_for_each(|tags| self.cells.announce(tags))
    }

    /// What did not get into a window so far.
    pub(crate) fn missed(&self) -> Missed {
        self.missed
    }

    /// Stage times that are held.
    #[cfg(test)]
    pub(super) fn held(&self) -> i64 {
        ROOM - self.room.0
    }

    /// Adds requests.
    pub(crate) fn requests(&mut self, rows: &[RequestRow], now: u64) {
        // A window is a sum: what was added to one stays in it.
        for row in rows.iter().filter(|row| !row.amends) {
            let second = self.second_of(row.wall_ns, now);
            if second < self.held_from {
                self.missed.late += 1;
                continue;
            }
            let at = self.cells.of(row);
            if row.counts() {
                self.cells.get_mut(at).begins(second);
            }
            let window = self.seconds.entry(second).or_default().cell(at, now);
            window.add(row, self.cells.get_mut(at), &mut self.scratch, &mut self.room);
        }
    }

    /// Adds what is known of traces beside their requests, in the second in which that came.
    pub(crate) fn asides(&mut self, asides: &[Aside], now: u64) {
        let second = (self.clock.to_wall(now) / SECOND).max(self.held_from);
        for aside in asides.iter().filter(|aside| aside.late + aside.new_fragments > 0) {
            let at = self.cells.find(&aside.cell);
            let window = self.seconds.entry(second).or_default().cell(at, now);
            window.add_aside(aside, self.cells.get_mut(at));
        }
    }

    /// Says what time it is by the wall. It may have been set, or the machine asleep.
    pub(crate) fn set_clock(&mut self, clock: WallClock) {
        self.clock = clock;
    }

    /// Adds process samples of one time.
    pub(crate) fn samples(&mut self, samples: &[ProcessSample], now: u64) {
        let clock = self.clock;
        let gains = self.processes.gains(samples, self.held_from, |ns| clock.to_wall(ns));
        for gain in gains {
            let held = self.seconds.entry(gain.second).or_default();
            held.processes_changed.note(now);
            held.processes.entry(gain.name.clone()).or_default().add(&gain);
        }
    }

    /// Writes the windows whose time has come (all that changed, if `all`), and lets go of old ones.
    pub(crate) fn due(&mut self, now: u64, all: bool) -> Lines {
        let mut lines = Lines::default();
        let wall = self.clock.to_wall(now);
        let held_from = (wall / SECOND).saturating_sub(self.hold.div_ceil(SECOND)).max(self.first);
        for (second, tags) in self.cells.take_began() {
            began(&mut lines, &self.run, tags, second * SECOND);
        }
        for (&second, held) in &mut self.seconds {
            let all = all || second < held_from;
            let at_ns = second * SECOND;
            if held.cells_changed.since.is_some() && (all || held.cells_changed.due(now)) {
                for (cell, window) in &held.cells {
                    window.write(&mut lines, &self.run, self.cells.get(*cell), at_ns);
                }
                held.cells_changed.have_been_written();
            }
            if held.processes_changed.since.is_some() && (all || held.processes_changed.due(now)) {
                for (name, window) in &held.processes {
                    window.write(&mut lines, &self.run, name, at_ns);
                }
                held.processes_changed.have_been_written();
            }
        }
        self.held_from = self.held_from.max(held_from);
        let kept = self.seconds.split_off(&self.held_from);
        let gone = std::mem::replace(&mut self.seconds, kept);
        for (_, window) in gone.values().flat_map(|second| &second.cells) {
            window.release(&mut self.room);
        }
        lines
    }

    /// The second in which a request was to start, as its process told it by the wall. Of one that is not near
    /// our own there is no telling: then it is the second in which the request came.
    fn second_of(&mut self, wall_ns: u64, now: u64) -> u64 {
        let wall = self.clock.to_wall(now);
        if wall_ns < wall + SECOND && wall.saturating_sub(wall_ns) < PLAUSIBLE {
            wall_ns / SECOND
        } else {
            self.missed.misdated += 1;
            wall / SECOND
        }
    }
}

/// Writes that a cell which no plan has began: by that boards know what there is to show.
fn began(lines: &mut Lines, run: &str, tags: &Tags, at_ns: u64) {
    let Tags { cell, protocol, payload } = tags;
    let group = group(payload.parse().ok());
    let tags = [
        (names::T_RUN, run),
        (names::T_CELL, cell),
        (names::T_PROTOCOL, protocol),
        (names::T_PAYLOAD, payload),
        (names::T_GROUP, &group),
    ];
    lines
        .point(names::M_CELL, &tags)
        .text(names::F_EVENT, names::BEGAN)
        .int(names::F_ROUND, 0)
        .at(at_ns);
}

fn us(ns: i64) -> f64 {
    ns as f64 / NS_PER_US
}
