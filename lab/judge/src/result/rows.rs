//! One cell from its rows, which come one by one: a run of an hour has some million, and none is kept.
//!
//! They come twice. Of what is added up by band, a band's limits have to be known first: so the first time only
//! latencies are taken ([`Latencies`]), the second time everything ([`CellRows`]).

use std::collections::BTreeMap;

use ledger::Stage;
use sidecar::runfile::{ProcessSample, RequestKind, RequestRow};

use super::breakdown::{Latencies, OpenBreakdown};
use super::cell::{CellResult, DatabaseResult, Injected, K6Result, MarksResult, Traced};
use super::factors::Factors;
use super::rounding::{self, Mean, ratio};
use super::rounds::{Halves, Rounds};
use super::slowest::Slowest;
use super::wire::Wire;
use super::{load, resources};
use lab_model::{CellMeasure, Verdict};

/// A cell while its rows come. Stages and wire are those of the requests that are whole and succeeded, as the latency
/// is.
#[derive(Debug)]
pub struct CellRows<'a> {
    measure: &'a CellMeasure,
    breakdown: OpenBreakdown,
    rounds: Rounds,
    wire: Wire,
    weight: Mean,
    traced: u64,
    succeeded: u64,
    /// Requests with marks out of order.
    disordered: u64,
    marks: MarksResult,
    injected: BTreeMap<(String, Stage), u64>,
    round_trip: Mean,
    slowest: Slowest,
}

impl<'a> CellRows<'a> {
    /// The cell that was measured as `measure`, whose requests have these latencies.
    #[must_use]
    pub fn new(measure: &'a CellMeasure, latencies: Latencies) -> CellRows<'a> {
        CellRows {
            measure,
            rounds: Rounds::new(&latencies),
            breakdown: OpenBreakdown::new(latencies),
            wire: Wire::default(),
            weight: Mean::default(),
            traced: 0,
            succeeded: 0,
            disordered: 0,
            marks: MarksResult::default(),
            injected: BTreeMap::new(),
            round_trip: Mean::default(),
            slowest: Slowest::default(),
        }
    }

    /// Takes a row of the cell.
    pub fn take(&mut self, row: &RequestRow) {
        if row.kind != RequestKind::Request {
            return;
        }
        self.traced += 1;
        self.weight.take(row.weight);
        self.slowest.take(row);
        self.marks.unjoined += u64::from(!row.error && !row.whole);
        if !row.counts() {
            return;
        }
        self.succeeded += 1;
        self.breakdown.take(row);
        self.rounds.take(row, self.halves(row));
        self.wire.take(&self.measure.cell, row);
        self.mark(row);
        for hop in &row.hops {
            for &(stage, ns) in &hop.injected {
                *self.injected.entry((hop.hop.to_string(), stage)).or_default() += ns;
            }
            let trip = hop.stages.get(Stage::QueryRoundTrip).ns;
            if trip > 0 {
                self.round_trip.take(trip as f64);
            }
        }
    }

    /// Counts what the marks themselves say about how far they can be trusted.
    fn mark(&mut self, row: &RequestRow) {
        let marks = &mut self.marks;
        marks.out_of_order += u64::from(row.out_of_order);
        self.disordered += u64::from(row.out_of_order > 0);
        marks.early += u64::from(row.early);
        // Of a system of one hop there is no other to lack.
        let calls = !self.measure.cell.workload.calls.is_empty();
        marks.without_inner_hop += u64::from(calls && row.hops.iter().all(|hop| hop.depth != 1));
        marks.without_stopwatch += u64::from(row.stopwatch_ns.is_none());
        marks.contained += u64::from(row.margin_ns.is_some_and(|margin| margin >= 0));
        marks.not_contained += u64::from(row.margin_ns.is_some_and(|margin| margin < 0));
    }

    /// In which half of its round, and of its turn, the request was planned.
    fn halves(&self, row: &RequestRow) -> Halves {
        let mut rounds = self.measure.rounds.iter();
        let Some(round) = rounds.find(|round| round.round == row.round) else {
            return Halves::default();
        };
        let duration_ns = self.measure.cell.duration_ns;
        let half_of_turn = duration_ns / (round.rests.len() as u64 + 1) / 2;
        let turn = round.spans().take_while(|&(from, _)| from <= row.start_ns).last();
        let turn = turn.filter(|_| !round.rests.is_empty());
        Halves {
            second_of_round: row.start_ns >= round.at(duration_ns / 2),
            second_of_turn: turn.map(|(from, _)| row.start_ns >= from.saturating_add(half_of_turn)),
        }
    }

    /// The cell, with what its processes used; not judged yet.
    #[must_use]
    pub fn close(mut self, samples: &[ProcessSample]) -> CellResult {
        let measure = self.measure;
        let (database, injected) = (self.database(), self.injected());
        self.marks.out_of_order_share = ratio(self.disordered as f64, self.succeeded as f64);
        let breakdown = self.breakdown.close();
        let load = load::Load::of(measure);
        CellResult {
            id: measure.cell.id.clone(),
            factors: Factors::of(measure),
            requests: load.requests,
            load: load.result,
            errors: load.errors,
            traced: Traced {
                count: self.traced,
                weight: self.weight.value(),
                expected: measure.rounds.iter().map(|round| round.traced).sum(),
                succeeded: self.succeeded,
                mean_us: breakdown.total.mean,
                p50_us: breakdown.total.p50,
                p99_band_us: breakdown.total.p99,
                p99_band_count: breakdown.p99_count,
            },
            wire: self.wire.close(&measure.cell),
            latency_us: load.latency,
            curve: load.curve,
            timeline: load.timeline,
            rounds: self.rounds.close(measure),
            send_delay_us: load.send_delay,
            families: breakdown.families,
            stages: breakdown.stages,
            measured_share: breakdown.measured_share,
            inferred_share: breakdown.inferred_share,
            residual: breakdown.residual,
            marks: self.marks,
            injected,
            resources: resources::resources(measure, samples),
            ended: resources::ended(measure, samples),
            database,
            k6: k6(measure),
            explanation: String::new(),
            verdict: Verdict::default(),
            evidence: Vec::new(),
            slowest: self.slowest.close(),
        }
    }

    /// What the database counted, beside what its client saw.
    fn database(&self) -> Option<DatabaseResult> {
        let rounds = &self.measure.rounds;
        let counted: Vec<_> = rounds.iter().filter_map(|round| round.statements).collect();
        let queries: u64 = counted.iter().map(|one| one.calls).sum();
        if queries == 0 {
            return None;
        }
        let exec_us: f64 = counted.iter().map(|one| one.exec_us).sum();
        let (server, round_trip) = (exec_us / queries as f64, self.round_trip.value());
        Some(DatabaseResult {
            queries,
            server_mean_us: rounding::us(server * 1e3),
            round_trip_mean_us: rounding::us(round_trip),
            server_share: ratio(server * 1e3, round_trip),
        })
    }

    /// Mean injected delay per request, as the injectors measured it.
    fn injected(&mut self) -> Vec<Injected> {
        let requests = self.succeeded as f64;
        std::mem::take(&mut self.injected)
            .into_iter()
            .map(|((hop, stage), ns)| Injected {
                hop,
                stage: stage.name().to_owned(),
                mean_us: rounding::us(ratio(ns as f64, requests)),
            })
            .collect()
    }
}

/// What k6 alone said, where it drove.
fn k6(measure: &CellMeasure) -> Option<K6Result> {
    let told: Vec<_> = measure.rounds.iter().filter_map(|round| round.k6).collect();
    (!told.is_empty()).then(|| K6Result {
        thresholds_failed: told.iter().filter(|round| round.thresholds_failed).count() as u64,
        joined: told.iter().map(|round| round.joined).sum(),
        not_joined: told.iter().map(|round| round.not_joined).sum(),
        lines_refused: told.iter().map(|round| round.lines_refused).sum(),
        misplaced: told.iter().map(|round| round.misplaced).sum(),
        connected: told.iter().map(|round| round.connected).sum(),
        beside: told.iter().map(|round| round.beside).sum(),
        connecting_us: rounding::us(told.iter().map(|round| round.connecting_ns as f64).sum()),
    })
}
