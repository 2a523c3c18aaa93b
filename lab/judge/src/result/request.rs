//! The shape of a single request as a ledger drawn in time, in `result.json` and in `run-lab trace --json`.
//!
//! How it is laid out in time is in [`super::in_time`].

use serde::{Deserialize, Serialize};

/// One traced request. Times are microseconds after its planned start, which is 0.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RequestResult {
    /// Its trace, 32 hexadecimal digits.
    pub trace_id: String,
    /// Tells it from others of its trace, 16 hexadecimal digits.
    pub root_id: String,
    /// `request`, or `message` for the work that a message asked for.
    pub kind: String,
    /// Its cell; empty where it belongs to none.
    pub cell: String,
    /// Round of the cell.
    pub round: u32,
    /// What it does, e.g. `POST /rest/ping`.
    pub operation: String,
    /// When it began by the wall of who made it: a date, for no arithmetic.
    pub started_at: String,
    /// What its stages add up to.
    pub latency_us: f64,
    /// The same by a stopwatch that is not the probe; absent where there was none.
    pub stopwatch_us: Option<f64>,
    /// How many requests it stands for.
    pub weight: f64,
    /// It ended with an error.
    pub error: bool,
    /// Every call in it has its server's span, where that service sends any.
    pub whole: bool,
    /// Spans of it that were left out, and those that came late.
    pub cut: u32,
    /// Spans that came after it had been closed.
    pub late: u32,
    /// Marks that were out of order: stages of less than no time.
    pub out_of_order: u32,
    /// Its hops, each before those that it made.
    pub hops: Vec<HopInTime>,
}

/// One hop of it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct HopInTime {
    /// `client→server`.
    pub hop: String,
    /// Distance from the edge.
    pub depth: u32,
    /// When it began.
    pub from_us: f64,
    /// For how long the request waited for it, calls below included.
    pub us: f64,
    /// How long it took beside that: nobody waited, or another call was waited for. In no sum.
    pub beside_us: f64,
    /// Whether it is known when it was; else it is drawn in the middle of its caller's own time.
    pub placed: bool,
    /// One of its two sides is missing.
    pub unjoined: bool,
    /// HTTP version on the wire, 11 or 20; 0 if unknown.
    pub http: u64,
    /// How often it was tried; 0 if unknown.
    pub attempts: u64,
    /// Body bytes of the request as a tap counted them, else as spans claim; absent where nobody tells.
    pub request_bytes: Option<u64>,
    /// The same of the reply.
    pub reply_bytes: Option<u64>,
    /// Its own time, piece by piece: without the time of the calls below it.
    pub pieces: Vec<Piece>,
}

/// A stretch of one stage. A stage has several where calls lie within it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Piece {
    /// Name of the stage.
    pub stage: String,
    /// Its family.
    pub family: String,
    /// `measured`; `inferred`; or `unseen`, time of which nobody told anything.
    pub kind: String,
    /// When it began.
    pub from_us: f64,
    /// How long it took; below 0 where marks were out of order.
    pub us: f64,
}

impl RequestResult {
    /// The stage that took most, with its hop: all its pieces together.
    #[must_use]
    pub fn largest(&self) -> Option<(&HopInTime, &str, f64)> {
        let stages = self.hops.iter().flat_map(|hop| {
            hop.stages()
                .into_iter()
                .map(move |pieces| (hop, pieces[0].stage.as_str(), sum(&pieces)))
        });
        stages.max_by(|a, b| a.2.total_cmp(&b.2))
    }

    /// What of the latency is of this kind, in microseconds.
    #[must_use]
    pub fn of_kind(&self, kind: &str) -> f64 {
        let pieces = self.hops.iter().flat_map(|hop| &hop.pieces);
        pieces.filter(|piece| piece.kind == kind).map(|piece| piece.us).sum()
    }
}

impl HopInTime {
    /// The pieces of each stage, in the order in which a request passes the stages.
    #[must_use]
    pub fn stages(&self) -> Vec<Vec<&Piece>> {
        let mut stages: Vec<Vec<&Piece>> = Vec::new();
        for piece in &self.pieces {
            match stages.iter_mut().find(|known| known[0].stage == piece.stage) {
                Some(known) => known.push(piece),
                None => stages.push(vec![piece]),
            }
        }
        stages
    }
}

/// What pieces take together, in microseconds.
#[must_use]
pub fn sum(pieces: &[&Piece]) -> f64 {
    pieces.iter().map(|piece| piece.us).sum()
}
