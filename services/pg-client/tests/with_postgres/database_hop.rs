//! The ledger of the database hop, from real queries to a real PostgreSQL.

use std::time::Duration;

use crate::service::{seed, start};
use ledger::{HopLedger, Kind, Point, Stage, close};
use probe::capture::{Captured, CapturedSpan, join};
use probe::{Call, Client, ClientOptions, Version};
use test_parts::Postgres;

const EMAIL: &str = "common0@example.com";

/// A caller, a users service and its database.
struct Lab {
    _postgres: Postgres,
    rest: Client,
    grpc: Client,
    caller: Captured,
    service: Captured,
}

impl Lab {
    async fn start(pool_size: u32, inject: &[(Stage, Duration)]) -> Lab {
        let postgres = Postgres::start();
        seed(&postgres.url(), 1_000, true).await;
        let (probe, service) = Captured::probe(inject.to_vec()).unwrap();
        let address = start(&postgres.url(), pool_size, probe).await;
        let (probe, caller) = Captured::probe(Vec::new()).unwrap();
        let client = |version| {
            let options = ClientOptions { version, ..ClientOptions::default() };
            Client::new(&probe, "pg-client", format!("http://{address}").parse().unwrap(), options)
        };
        let (rest, grpc) = (client(Version::Http1), client(Version::Http2));
        Lab { _postgres: postgres, rest, grpc, caller, service }
    }

    fn ask(&self, protocol: &str) -> impl Future<Output = u64> + Send + 'static {
        let (rest, grpc, over_rest) = (self.rest.clone(), self.grpc.clone(), protocol == "rest");
        let call = Call::root(true);
        async move {
            if over_rest {
                let query = lab_proto::query_of_email(EMAIL);
                let reply = rest.get_json::<lab_proto::CountReply>("/users/count", &query, call);
                return reply.await.unwrap().count;
            }
            let reply = grpc.unary("lab.v1.Users/Count", call, |channel| async move {
                let request = lab_proto::CountRequest { email: EMAIL.to_owned() };
                lab_proto::v1::users_client::UsersClient::new(channel).count(request).await
            });
            reply.await.unwrap().into_inner().count
        }
    }

    /// The spans of `requests` requests, by trace.
    async fn traces(&mut self, requests: usize) -> Vec<Vec<CapturedSpan>> {
        let mut spans = Vec::new();
        for _ in 0..requests {
            spans.push(self.caller.span().await.expect("the caller's half"));
            spans.push(self.service.span().await.expect("the query or the service's half"));
            spans.push(self.service.span().await.expect("the query or the service's half"));
        }
        spans.sort_by_key(|span| span.context.trace_id);
        spans.chunk_by(|a, b| a.context.trace_id == b.context.trace_id).map(<[_]>::to_vec).collect()
    }
}

/// The query's span among those of a request.
fn query(spans: &[CapturedSpan]) -> &CapturedSpan {
    spans.iter().find(|span| span.half.database.is_some()).expect("a query")
}

fn stage(hop: &HopLedger, stage: Stage) -> i64 {
    hop.stages.get(stage).ns
}

pub(crate) async fn the_database_hop_is_measured_and_not_missed_by_the_service() {
    let mut lab = Lab::start(2, &[]).await;
    for protocol in ["rest", "grpc"] {
        assert_eq!(lab.ask(protocol).await, 8);
        let trace = lab.traces(1).await.remove(0);
        let span = query(&trace);
        assert_eq!((span.name.as_str(), span.half.attempts), ("SELECT users", 1));
        assert_eq!(span.half.database.as_deref(), Some("postgresql"));
        let mark = |point| span.half.marks.get(point).expect("each mark of a query");
        use Point::*;
        let passed =
            [CallStart, SendBegin, FirstRead, LastRead, DecodeStart, DecodeEnd, CallEnd].map(mark);
        assert!(passed.is_sorted(), "{protocol}: {passed:?}");

        let books = close(&join(&trace).expect("a tree of hops"));
        let [service, database] = books.hops.as_slice() else {
            panic!("{protocol}: {books:?}");
        };
        assert!(!service.unjoined && !database.unjoined, "{protocol}");
        let stages: Vec<_> = database.stages.iter().map(|(stage, _)| stage).collect();
        use Stage::*;
        let expected = [SendQueue, QueryRoundTrip, ReplyReceiverQueue, ReplyDecode, WakeUp];
        assert_eq!(stages, expected, "{protocol}");
        assert_eq!(database.stages.total_of(Kind::Measured), span.half.duration(), "{protocol}");
        assert!(stage(database, QueryRoundTrip) > 0, "{protocol}");
        let server = trace.iter().find(|other| other.context.span_id == span.parent).unwrap();
        let handler = |point| server.half.marks.get(point).unwrap() as i64;
        let whole = handler(HandlerEnd) - handler(HandlerStart);
        assert_eq!(stage(service, Handler), whole - span.half.duration(), "{protocol}");
    }
}

pub(crate) async fn delays_of_the_database_hop_are_found_in_their_stages() {
    let delay = Duration::from_millis(20);
    for injected in [Stage::SendQueue, Stage::QueryRoundTrip, Stage::ReplyDecode, Stage::WakeUp] {
        let mut lab = Lab::start(1, &[(injected, delay)]).await;
        lab.ask("rest").await;
        lab.traces(1).await;
        lab.ask("rest").await;
        let trace = lab.traces(1).await.remove(0);
        let took = query(&trace).half.injected.clone();
        assert!(matches!(took[..], [(at, ns)] if at == injected && ns >= 20_000_000), "{took:?}");
        let books = close(&join(&trace).expect("a tree of hops"));
        let found = stage(&books.hops[1], injected);
        assert!(found >= took[0].1 as i64, "{injected}: {found} ns");
    }
}

pub(crate) async fn a_pool_of_one_makes_others_wait_in_the_send_queue() {
    const CALLS: usize = 8;
    let query_takes = Duration::from_millis(20);
    for (pool_size, others_wait) in [(1, true), (CALLS as u32, false)] {
        let mut lab = Lab::start(pool_size, &[(Stage::QueryRoundTrip, query_takes)]).await;
        // The first connection takes a while to be made, in which none is held.
        lab.ask("grpc").await;
        lab.traces(1).await;
        let calls: Vec<_> = (0..CALLS).map(|_| tokio::spawn(lab.ask("grpc"))).collect();
        for call in calls {
            assert_eq!(call.await.unwrap(), 8);
        }
        let mut waits: Vec<(u64, u64)> = Vec::new();
        let mut round_trips: Vec<(u64, u64)> = Vec::new();
        for trace in lab.traces(CALLS).await {
            let books = close(&join(&trace).expect("a tree of hops"));
            let marks = query(&trace).half.marks;
            let mark = |point| marks.get(point).unwrap();
            let (called, begun) = (mark(Point::CallStart), mark(Point::SendBegin));
            assert_eq!(stage(&books.hops[1], Stage::SendQueue), (begun - called) as i64);
            waits.push((called, begun));
            round_trips.push((mark(Point::SendBegin), mark(Point::LastRead)));
        }
        round_trips.sort_unstable();
        let one_by_one = round_trips.windows(2).all(|pair| pair[0].1 <= pair[1].0);
        assert_eq!(one_by_one, others_wait, "{pool_size} connections: {round_trips:?}");
        if others_wait {
            // Who waited longest waited for the queries of others: so long one of them held the connection.
            let (called, begun) = waits.into_iter().max_by_key(|(from, to)| to - from).unwrap();
            let held =
                |(from, to): &(u64, u64)| (*to).min(begun).saturating_sub((*from).max(called));
            let held: u64 = round_trips.iter().map(held).sum();
            let waited = begun - called;
            assert!(waited > query_takes.as_nanos() as u64, "{waited} ns");
            assert!(held * 2 > waited, "for {held} of {waited} ns: {round_trips:?}");
        }
    }
}
