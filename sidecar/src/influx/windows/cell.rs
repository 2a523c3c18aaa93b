//! One cell in one second: exact sums over its requests, a sample of them, and the points they make.

use ledger::{Stage, names};

use super::cells::Cell;
use super::operation::OperationWindow;
use super::sample::{Room, Row, Sample, percentile, rank};
use super::sum::Sum;
use super::{Tags, us};
use crate::influx::line::Lines;
use crate::runfile::{Aside, RequestKind, RequestRow};

/// The requests of one cell that were to start in one second.
#[derive(Debug, Default)]
pub(super) struct CellWindow {
    count: u64,
    /// By place of the operation in the [`Cell`].
    operations: Vec<(usize, OperationWindow)>,
    columns: Vec<Sum>,
    sample: Sample,
}

impl CellWindow {
    /// Adds a request. A stage that it does not have counts as 0, so that means add up.
    pub(super) fn add(
        &mut self,
        row: &RequestRow,
        cell: &mut Cell,
        scratch: &mut Vec<i64>,
        room: &mut Room,
    ) {
        let at = cell.operation(&row.operation, row.generator());
        let operation = self.operation(at);
        operation.add(row);
        if row.kind == RequestKind::Message || !row.counts() {
            return;
        }
        let first = self.count == 0;
        self.count += 1;
        scratch.clear();
        scratch.resize(cell.columns(), 0);
        for hop in &row.hops {
            let base = cell.hop(&hop.hop, hop.depth) * Stage::COUNT;
            scratch.resize(scratch.len().max(base + Stage::COUNT), 0);
            for (stage, time) in hop.stages.iter() {
                scratch[base + stage as usize] += time.ns;
                cell.saw(base + stage as usize);
            }
        }
        // A column that is new here was 0 in every request before: so is its largest.
        self.columns.resize(scratch.len().max(self.columns.len()), Sum::default());
        for (column, &ns) in self.columns.iter_mut().zip(scratch.iter()) {
            column.add(ns, first);
        }
        self.sample.offer(at, OperationWindow::latency(row), scratch, room);
    }

    /// Adds what is known of a trace beside its requests.
    pub(super) fn add_aside(&mut self, aside: &Aside, cell: &mut Cell) {
        let at = cell.operation("", names::NO_CELL);
        self.operation(at).add_aside(aside);
    }

    fn operation(&mut self, at: usize) -> &mut OperationWindow {
        let place = self.operations.iter().position(|(known, _)| *known == at);
        let place = place.unwrap_or_else(|| {
            self.operations.push((at, OperationWindow::default()));
            self.operations.len() - 1
        });
        &mut self.operations[place].1
    }

    /// Gives back the room that its sample took.
    pub(super) fn release(&self, room: &mut Room) {
        self.sample.release(room);
    }

    /// Writes its points.
    pub(super) fn write(&self, lines: &mut Lines, run: &str, cell: &Cell, at_ns: u64) {
        let Tags { cell: name, protocol, payload } = &cell.tags;
        let common = [
            (names::T_RUN, run),
            (names::T_CELL, name),
            (names::T_PROTOCOL, protocol),
            (names::T_PAYLOAD, payload),
        ];
        for (at, operation) in &self.operations {
            let [run, cell_name, protocol, payload] = common;
            let [what, who] = cell.operation_names(*at);
            let of_it = self.sample.rows().iter().filter(|row| row.operation == *at);
            let latencies = of_it.map(|row| row.latency).collect();
            let (what, who) = ((names::T_OPERATION, what), (names::T_GENERATOR, who));
            let tags = [run, cell_name, protocol, payload, what, who];
            operation.write(lines, &tags, latencies, at_ns);
        }
        if self.count == 0 {
            return;
        }
        let bands = Bands::of(self.sample.rows());
        let mut values = Vec::with_capacity(self.sample.rows().len());
        for (column, hop, stage, family) in cell.known() {
            values.clear();
            values.extend(self.sample.rows().iter().map(|row| row.get(column)));
            let (p50_band, p99_band) = bands.means(&values);
            let Sum { sum, max } = self.columns.get(column).copied().unwrap_or_default();
            let [run, cell, protocol, payload] = common;
            let family = (names::T_FAMILY, family.name());
            let tags = [run, cell, protocol, payload, (names::T_HOP, hop), family];
            let tags = [&tags[..], &[(names::T_STAGE, stage.name())]].concat();
            lines
                .point(names::M_HOP, &tags)
                .count(names::F_COUNT, self.count)
                .float(names::F_SUM_US, us(sum))
                .float(names::F_MEAN_US, us(sum) / self.count as f64)
                .float(
                    names::F_P50_US,
                    percentile(&mut values, 50, f64::total_cmp) / super::NS_PER_US,
                )
                .float(
                    names::F_P99_US,
                    percentile(&mut values, 99, f64::total_cmp) / super::NS_PER_US,
                )
                .float(names::F_MAX_US, us(max))
                .float(names::F_P50_BAND_US, p50_band / super::NS_PER_US)
                .float(names::F_P99_BAND_US, p99_band / super::NS_PER_US)
                .at(at_ns);
        }
    }
}

/// Which requests of a sample lie in its bands: from p45 to p55 of latency, and at or above p99, by nearest
/// rank. The same rule as that of the lab's result, so neither band is ever empty.
struct Bands {
    p50: Vec<usize>,
    p99: Vec<usize>,
}

impl Bands {
    fn of(rows: &[Row]) -> Bands {
        let mut latencies: Vec<i64> = rows.iter().map(|row| row.latency).collect();
        latencies.sort_unstable();
        let at = |percent| latencies.get(rank(latencies.len(), percent)).copied().unwrap_or(0);
        let (p45, p55, p99) = (at(45), at(55), at(99));
        let all = || rows.iter().enumerate();
        Bands {
            p50: all().filter(|(_, r)| (p45..=p55).contains(&r.latency)).map(|(i, _)| i).collect(),
            p99: all().filter(|(_, r)| r.latency >= p99).map(|(i, _)| i).collect(),
        }
    }

    /// Means over both bands of one column's `values`, in the order of the rows.
    fn means(&self, values: &[f64]) -> (f64, f64) {
        let mean = |band: &[usize]| {
            let sum: f64 = band.iter().filter_map(|&at| values.get(at)).sum();
            sum / band.len().max(1) as f64
        };
        (mean(&self.p50), mean(&self.p99))
    }
}
