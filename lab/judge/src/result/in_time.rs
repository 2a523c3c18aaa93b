//! From the row of a request to its ledger in time: where each stage of each hop lies.
//!
//! A row has how long stages took and when each call began after its caller had the request. Stages are laid end to end
//! in the order in which a request passes them, with the calls where they lie. What has no place of its own is drawn
//! somewhere: the amounts within the sending of a message one behind the other; what is known of both ways together half
//! before the server and half behind it; a call on a clock that its caller does not know in the middle of its
//! caller's own time.

use ledger::{Family, Kind, Stage, StageSet, date};
use sidecar::runfile::{HopRow, RequestRow};

use super::request::{HopInTime, Piece, RequestResult};
use super::rounding::us;

/// Of which a client and a server know no more than that they lie between the two, both ways together.
const BOTH_WAYS: [Stage; 3] =
    [Stage::NetworkInferred, Stage::BetweenSpans, Stage::AroundServerSpan];

/// The request of `row`, drawn in time.
#[must_use]
pub fn in_time(row: &RequestRow) -> RequestResult {
    RequestResult {
        trace_id: row.trace_id.to_string(),
        root_id: format!("{:016x}", row.root_id),
        kind: row.kind.name().to_owned(),
        cell: row.cell.to_string(),
        round: row.round,
        operation: row.operation.to_string(),
        started_at: date::exact(row.wall_ns),
        latency_us: us(row.latency_ns as f64),
        stopwatch_us: row.stopwatch_ns.map(|ns| us(ns as f64)),
        weight: row.weight,
        error: row.error,
        whole: row.whole,
        cut: row.cut,
        late: row.late,
        out_of_order: row.out_of_order,
        hops: hops(&row.hops),
    }
}

/// A hop that has a place already, in nanoseconds.
#[derive(Clone, Copy, Default)]
struct Place {
    from: i64,
    known: bool,
}

fn hops(rows: &[HopRow]) -> Vec<HopInTime> {
    let below = below(rows);
    let booked = booked(rows, &below);
    let mut places = vec![Place { from: 0, known: true }; rows.len()];
    let mut hops = Vec::with_capacity(rows.len());
    // Parents are before their children, so each has its place when its turn comes.
    for (at, row) in rows.iter().enumerate() {
        let mut layout = Layout { row, cursor: places[at].from, pieces: Vec::new() };
        let calls = below[at].iter().map(|&call| (call, &rows[call], booked[call]));
        for (call, place) in layout.run(calls.collect()) {
            places[call] = place;
        }
        hops.push(HopInTime {
            hop: row.hop.to_string(),
            depth: row.depth,
            from_us: us(places[at].from as f64),
            us: us(booked[at] as f64),
            beside_us: us(row.concurrent_ns.wrapping_add(row.detached_ns) as f64),
            placed: places[at].known,
            unjoined: row.unjoined,
            http: row.http,
            attempts: row.attempts,
            request_bytes: row.request.map(|counted| counted.body).or(row.claimed.request),
            reply_bytes: row.reply.map(|counted| counted.body).or(row.claimed.reply),
            pieces: layout.pieces,
        });
    }
    hops
}

/// The calls that each hop made, by their places among the rows.
fn below(rows: &[HopRow]) -> Vec<Vec<usize>> {
    let mut below = vec![Vec::new(); rows.len()];
    let mut path: Vec<usize> = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        while path.last().is_some_and(|&last| rows[last].depth >= row.depth) {
            path.pop();
        }
        if let Some(&parent) = path.last() {
            below[parent].push(at);
        }
        path.push(at);
    }
    below
}

/// What of each hop the request waited for, calls below included.
fn booked(rows: &[HopRow], below: &[Vec<usize>]) -> Vec<i64> {
    let mut booked: Vec<i64> = rows.iter().map(|row| row.stages.total()).collect();
    for at in (0..rows.len()).rev() {
        let calls = below[at].iter().map(|&call| booked[call]);
        booked[at] = calls.fold(booked[at], i64::wrapping_add);
    }
    booked
}

/// A call: its place among the rows, its row, and how long it was waited for.
type Call<'a> = (usize, &'a HopRow, i64);

/// A hop while it is laid out.
struct Layout<'a> {
    row: &'a HopRow,
    cursor: i64,
    pieces: Vec<Piece>,
}

impl Layout<'_> {
    /// Lays out its stages, and answers where its calls are.
    fn run(&mut self, calls: Vec<Call<'_>>) -> Vec<(usize, Place)> {
        let stages = &self.row.stages;
        let [there, inside, back] = [before, within, after].map(|part| only(stages, part));
        let both: Vec<_> = BOTH_WAYS.into_iter().map(|stage| (stage, stages.get(stage))).collect();
        for (stage, time) in &there {
            self.piece(*stage, time.ns, time.kind);
        }
        for (stage, time) in &both {
            self.piece(*stage, time.ns / 2, time.kind);
        }
        let begin = self.cursor;
        let own: i64 = inside.iter().map(|(_, time)| time.ns).fold(0, i64::wrapping_add);
        let mut placed: Vec<(usize, Place, i64)> = calls
            .into_iter()
            .map(|(call, row, booked)| {
                let offset = row.at_ns.unwrap_or(own / 2);
                let from = begin.wrapping_add(offset);
                (call, Place { from, known: row.at_ns.is_some() }, booked)
            })
            .collect();
        placed.sort_by_key(|(call, place, _)| (place.from, *call));
        let mut waiting = placed.iter_mut().filter(|(.., booked)| *booked > 0).peekable();
        for (stage, time) in inside {
            let mut left = time.ns;
            // A call is waited for in the stage in which it begins; what is left of the stage comes after it.
            while let Some((_, place, booked)) =
                waiting.next_if(|(_, place, _)| place.from < self.cursor.wrapping_add(left))
            {
                let until = (place.from - self.cursor).max(0);
                self.piece(stage, until, time.kind);
                left -= until;
                self.wait(place, *booked);
            }
            self.piece(stage, left, time.kind);
        }
        // Those that begin where the server's own time is over.
        for (_, place, booked) in waiting {
            self.wait(place, *booked);
        }
        for (stage, time) in &both {
            self.piece(*stage, time.ns - time.ns / 2, time.kind);
        }
        for (stage, time) in &back {
            self.piece(*stage, time.ns, time.kind);
        }
        placed.into_iter().map(|(call, place, _)| (call, place)).collect()
    }

    /// Waits for a call of so long.
    fn wait(&mut self, place: &mut Place, booked: i64) {
        place.from = self.cursor;
        self.cursor = self.cursor.wrapping_add(booked);
    }

    fn piece(&mut self, stage: Stage, ns: i64, kind: Kind) {
        if ns == 0 {
            return;
        }
        let family = stage.family_at(self.row.depth);
        let kind = if family == Family::Unseen { "unseen" } else { kind.name() };
        self.pieces.push(Piece {
            stage: stage.name().to_owned(),
            family: family.name().to_owned(),
            kind: kind.to_owned(),
            from_us: us(self.cursor as f64),
            us: us(ns as f64),
        });
        self.cursor = self.cursor.wrapping_add(ns);
    }
}

type Timed = (Stage, ledger::StageTime);

/// The stages of one part of the way.
fn only(stages: &StageSet, part: fn(Stage) -> bool) -> Vec<Timed> {
    stages.iter().filter(|(stage, _)| part(*stage) && !BOTH_WAYS.contains(stage)).collect()
}

/// On the way to the server.
fn before(stage: Stage) -> bool {
    stage < Stage::RequestDeframing
}

/// At the server, or where nobody told of one.
fn within(stage: Stage) -> bool {
    !before(stage) && !after(stage)
}

/// On the way back.
fn after(stage: Stage) -> bool {
    (Stage::ReplyWire..=Stage::WakeUp).contains(&stage)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hop(depth: u32, at_ns: Option<i64>, stages: &[(Stage, i64)]) -> HopRow {
        let mut set = StageSet::default();
        for &(stage, ns) in stages {
            let both_ways = BOTH_WAYS.contains(&stage);
            set.add(stage, ns, if both_ways { Kind::Inferred } else { Kind::Measured });
        }
        HopRow {
            hop: format!("{depth}→{}", depth + 1).into(),
            depth,
            at_ns,
            stages: set,
            ..Default::default()
        }
    }

    fn request(hops: Vec<HopRow>) -> RequestResult {
        let latency_ns = hops.iter().map(|hop| hop.stages.total()).sum();
        in_time(&RequestRow { latency_ns, hops, ..RequestRow::default() })
    }

    /// The pieces of each hop: stage, from, to, in microseconds.
    fn drawn(request: &RequestResult) -> Vec<Vec<(&str, f64, f64)>> {
        let mut all = Vec::new();
        for hop in &request.hops {
            let pieces = hop.pieces.iter();
            all.push(pieces.map(|one| (&*one.stage, one.from_us, one.from_us + one.us)).collect());
        }
        all
    }

    #[test]
    fn a_call_lies_in_the_stage_in_which_it_began_and_that_goes_on_behind_it() {
        let edge = [
            (Stage::DriverLag, 1_000),
            (Stage::RequestWire, 4_000),
            (Stage::Dispatch, 5_000),
            (Stage::Handler, 10_000),
            (Stage::ReplyWire, 3_000),
            (Stage::WakeUp, 2_000),
        ];
        // 8 us after its caller had the request: 3 us into the handler.
        let inner = hop(1, Some(8_000), &[(Stage::SendQueue, 2_000), (Stage::Remote, 18_000)]);
        let request = request(vec![hop(0, None, &edge), inner]);
        assert_eq!(
            drawn(&request),
            [
                vec![
                    ("driver_lag", 0.0, 1.0),
                    ("request_wire", 1.0, 5.0),
                    ("dispatch", 5.0, 10.0),
                    ("handler", 10.0, 13.0),
                    ("handler", 33.0, 40.0),
                    ("reply_wire", 40.0, 43.0),
                    ("wake_up", 43.0, 45.0),
                ],
                vec![("send_queue", 13.0, 15.0), ("remote", 15.0, 33.0)],
            ]
        );
        assert_eq!(request.hops[1].pieces[1].kind, "unseen");
        assert_eq!((request.hops[0].us, request.hops[1].from_us), (45.0, 13.0));
        let (hop, stage, us) = request.largest().unwrap();
        assert_eq!((hop.depth, stage, us), (1, "remote", 18.0));
    }

    #[test]
    fn what_is_known_of_both_ways_together_lies_half_before_the_server_and_half_behind_it() {
        let edge = [(Stage::Handler, 10_000), (Stage::BetweenSpans, 6_000)];
        let inner = hop(1, Some(2_000), &[(Stage::Remote, 1_000)]);
        let request = request(vec![hop(0, None, &edge), inner]);
        let [edge, inner] = &drawn(&request)[..] else { panic!("{request:?}") };
        let expected = [
            ("between_spans", 0.0, 3.0),
            ("handler", 3.0, 5.0),
            ("handler", 6.0, 14.0),
            ("between_spans", 14.0, 17.0),
        ];
        assert_eq!(*edge, expected);
        assert_eq!(*inner, [("remote", 5.0, 6.0)]);
        assert_eq!(request.of_kind("unseen"), 7.0);
    }

    #[test]
    fn a_call_that_nobody_waited_for_lies_where_it_was_and_takes_nothing() {
        let beside =
            HopRow { concurrent_ns: 3_000, detached_ns: 9_000, ..hop(1, Some(4_000), &[]) };
        let request = request(vec![hop(0, None, &[(Stage::Handler, 7_000)]), beside]);
        assert_eq!(drawn(&request), [vec![("handler", 0.0, 7.0)], vec![]]);
        let beside = &request.hops[1];
        assert_eq!((beside.from_us, beside.us, beside.beside_us), (4.0, 0.0, 12.0));
    }

    #[test]
    fn a_call_whose_time_nobody_knows_lies_within_its_callers_own_and_says_so() {
        let inner = hop(1, None, &[(Stage::Remote, 4_000)]);
        let request = request(vec![hop(0, None, &[(Stage::Handler, 6_000)]), inner]);
        assert_eq!(drawn(&request)[0], [("handler", 0.0, 3.0), ("handler", 7.0, 10.0)]);
        assert_eq!((request.hops[0].placed, request.hops[1].placed), (true, false));
    }

    /// Hops of any depth, any place and any stages that take no less than no time.
    fn hops() -> impl Strategy<Value = Vec<HopRow>> {
        let stages = prop::collection::vec((0..Stage::COUNT, 0_i64..1_000), 0..6);
        let one = (0_u32..4, prop::option::of(-500_i64..5_000), stages);
        prop::collection::vec(one, 1..8).prop_map(|hops| {
            let mut most = 0;
            let mut rows = Vec::new();
            for (depth, at_ns, stages) in hops {
                let depth = if rows.is_empty() { 0 } else { depth.clamp(1, most + 1) };
                most = depth;
                let stages: Vec<_> =
                    stages.into_iter().map(|(at, ns)| (Stage::ALL[at], ns * 1_000)).collect();
                rows.push(hop(depth, at_ns.map(|at| at * 1_000), &stages));
            }
            rows
        })
    }

    proptest! {
        #[test]
        fn pieces_fill_the_latency_once_whatever_is_known_of_places(hops in hops()) {
            let request = request(hops);
            let mut all: Vec<_> = drawn(&request).concat();
            all.sort_by(|a, b| a.1.total_cmp(&b.1));
            let mut end = 0.0;
            for (stage, from, to) in all {
                prop_assert_eq!(from, end, "{}", stage);
                end = to;
            }
            prop_assert_eq!(end, request.latency_us);
        }
    }
}
