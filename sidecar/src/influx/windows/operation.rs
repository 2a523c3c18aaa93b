//! The requests of one operation of a cell in one second: what is said of whole requests.

use ledger::{Kind, names};

use super::sample::percentile;
use super::sum::Sum;
use super::us;
use crate::influx::line::Lines;
use crate::runfile::{Aside, RequestKind, RequestRow};

/// Exact sums over them.
#[derive(Debug, Default)]
pub(super) struct OperationWindow {
    /// Requests that are whole and succeeded: all times and bytes are theirs.
    count: u64,
    errors: u64,
    unjoined: u64,
    cut: u64,
    messages: u64,
    late: u64,
    fragments: u64,
    edge_assumed: u64,
    out_of_order: u64,
    latency: Sum,
    residual: i64,
    residual_abs: i64,
    inferred: i64,
    concurrent: i64,
    detached: i64,
    clipped: i64,
    /// By the load generator's own span, of requests that no run asked for; with how many.
    end_to_end: Option<(i64, u64)>,
    /// What nobody counted is not 0.
    wire_bytes: Option<u64>,
    payload_bytes: Option<u64>,
}

impl OperationWindow {
    /// Adds a request.
    pub(super) fn add(&mut self, row: &RequestRow) {
        if row.kind == RequestKind::Message {
            self.messages += 1;
            return;
        }
        self.errors += u64::from(row.error);
        self.cut += u64::from(row.cut > 0);
        self.unjoined += u64::from(!row.whole);
        if !row.counts() {
            return;
        }
        let first = self.count == 0;
        self.count += 1;
        self.edge_assumed += u64::from(row.edge_assumed);
        self.out_of_order += u64::from(row.out_of_order > 0);
        let latency = Self::latency(row);
        self.latency.add(latency, first);
        if row.unasked && row.generator() != names::NO_CELL {
            let (sum, count) = self.end_to_end.get_or_insert_default();
            (*sum, *count) = (sum.saturating_add(latency), *count + 1);
        }
        self.residual += latency - row.latency_ns;
        self.residual_abs += (latency - row.latency_ns).abs();
        for hop in &row.hops {
            self.inferred += hop.stages.total_of(Kind::Inferred);
            self.concurrent = self.concurrent.saturating_add(hop.concurrent_ns);
            self.detached = self.detached.saturating_add(hop.detached_ns);
            self.clipped = self.clipped.saturating_add(hop.clipped_ns);
            for traffic in [hop.request, hop.reply].into_iter().flatten() {
                *self.wire_bytes.get_or_insert(0) += traffic.wire;
            }
        }
        // A relay tells no payload apart.
        let edge = row.hops.first().filter(|edge| !edge.by_relay);
        if let Some(reply) = edge.and_then(|edge| edge.reply) {
            *self.payload_bytes.get_or_insert(0) += reply.payload;
        }
    }

    /// Adds what is known of a trace beside its requests.
    pub(super) fn add_aside(&mut self, aside: &Aside) {
        self.fragments += aside.new_fragments;
        self.late += aside.late;
    }

    /// What a request took: by the stopwatch outside the probe, else by its stages.
    pub(super) fn latency(row: &RequestRow) -> i64 {
        let stopwatch = row.stopwatch_ns.and_then(|ns| i64::try_from(ns).ok());
        stopwatch.unwrap_or(row.latency_ns)
    }

    /// Writes its point; `latencies` are those of a sample of its requests.
    pub(super) fn write(
        &self,
        lines: &mut Lines,
        tags: &[(&str, &str)],
        mut latencies: Vec<i64>,
        at_ns: u64,
    ) {
        let mut fields = lines.point(names::M_REQUEST, tags).count(names::F_COUNT, self.count);
        for (name, count) in [
            (names::F_ERROR, self.errors),
            (names::F_UNJOINED, self.unjoined),
            (names::F_CUT, self.cut),
            (names::F_MESSAGES, self.messages),
            (names::F_LATE, self.late),
            (names::F_FRAGMENTS, self.fragments),
        ] {
            fields = fields.count(name, count);
        }
        if self.count == 0 {
            // No traced request was answered and whole: there is nothing to say of latency.
            return fields.at(at_ns);
        }
        for (name, bytes) in
            [(names::F_WIRE_BYTES, self.wire_bytes), (names::F_PAYLOAD_BYTES, self.payload_bytes)]
        {
            if let Some(bytes) = bytes {
                fields = fields.count(name, bytes);
            }
        }
        if let Some((sum, count)) = self.end_to_end {
            fields = fields
                .float(names::F_END_TO_END_SUM_US, us(sum))
                .count(names::F_END_TO_END_COUNT, count);
        }
        // A sample of a second with very many requests may hold none of a rare operation.
        if !latencies.is_empty() {
            fields = fields
                .float(names::F_P50_US, us(percentile(&mut latencies, 50, i64::cmp)))
                .float(names::F_P99_US, us(percentile(&mut latencies, 99, i64::cmp)));
        }
        fields
            .float(names::F_SUM_US, us(self.latency.sum))
            .float(names::F_MEAN_US, us(self.latency.sum) / self.count as f64)
            .float(names::F_MAX_US, us(self.latency.max))
            .float(names::F_RESIDUAL_SUM_US, us(self.residual))
            .float(names::F_RESIDUAL_ABS_SUM_US, us(self.residual_abs))
            .float(names::F_INFERRED_SUM_US, us(self.inferred))
            .float(names::F_CONCURRENT_SUM_US, us(self.concurrent))
            .float(names::F_DETACHED_SUM_US, us(self.detached))
            .float(names::F_CLIPPED_SUM_US, us(self.clipped))
            .count(names::F_OUT_OF_ORDER, self.out_of_order)
            .count(names::F_EDGE_ASSUMED, self.edge_assumed)
            .at(at_ns);
    }
}
