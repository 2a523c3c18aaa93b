//! HTTP/1.1 connections: where messages end, whose bytes they are, and nothing left behind.

use ledger::{Point, Side, clock};
use proptest::prelude::*;

use super::wire::TappedConnection;
use crate::context::SpanContext;

fn head(line: &str, context: SpanContext, fields: &str) -> Vec<u8> {
    format!("{line}\r\ntraceparent: {}\r\n{fields}\r\n", context.header()).into_bytes()
}

fn post(context: SpanContext, body: usize) -> Vec<u8> {
    let mut bytes = head("POST /echo HTTP/1.1", context, &format!("content-length: {body}\r\n"));
    bytes.extend(vec![b'x'; body]);
    bytes
}

fn ok(body: usize) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 200 OK\r\ncontent-length: {body}\r\n\r\n").into_bytes();
    bytes.extend(vec![b'y'; body]);
    bytes
}

const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n\
    5;ext=1\r\nhello\r\nA\r\n0123456789\r\n0\r\nx-sum: 1\r\n\r\n";

#[test]
fn a_call_with_lengths_is_marked_on_the_client() {
    let mut tapped = TappedConnection::new(Side::Client, false);
    let (context, record) = tapped.call();
    tapped.write(&post(context, 100));
    tapped.read(&ok(70)[..50]);
    assert_eq!(record.get(Point::EosRead), 0);
    tapped.read(&ok(70)[50..]);
    let half = record.half();
    assert_eq!((half.outbound.body, half.inbound.body), (100, 70));
    assert_eq!((half.inbound.wire, half.http), (ok(70).len() as u64, 11));
    for point in
        [Point::SendBegin, Point::LastWrite, Point::EosWrite, Point::FirstRead, Point::EosRead]
    {
        assert_ne!(record.get(point), 0, "{point:?}");
    }
    assert_eq!(tapped.streams(), 0);
}

#[test]
fn after_the_last_read_of_a_connection_there_may_be_no_other_call_and_none_before_it_counts() {
    let mut tapped = TappedConnection::new(Side::Client, false);
    let (context, record) = tapped.call();
    tapped.write(&post(context, 100));
    tapped.read(&ok(70)[..50]);
    tapped.read(&ok(70)[50..]);
    assert_eq!(record.get(Point::NextIo), 0, "the call before was that of the last read");
    tapped.read(&[]);
    assert!(record.get(Point::NextIo) >= record.get(Point::LastRead));
}

#[test]
fn chunk_sizes_terminator_and_trailers_are_not_payload() {
    let mut tapped = TappedConnection::new(Side::Client, false);
    let (context, record) = tapped.call();
    tapped.write(&post(context, 0));
    let terminator = CHUNKED.len() - 15;
    tapped.read(&CHUNKED[..terminator]);
    let body = clock::now();
    tapped.read(&CHUNKED[terminator..]);
    assert!(record.get(Point::LastRead) < body);
    assert!(record.get(Point::EosRead) > body);
    let inbound = record.half().inbound;
    assert_eq!((inbound.body, inbound.frames, inbound.wire), (15, 3, CHUNKED.len() as u64));
    assert_eq!(inbound.framing, 9 + 2 + 3 + 2 + 3 + 2);
}

#[test]
fn replies_that_have_no_body_end_with_their_head() {
    for (method, reply) in [
        ("HEAD", "HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n"),
        ("POST", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("POST", "HTTP/1.1 304 Not Modified\r\ncontent-length: 500\r\n\r\n"),
    ] {
        let mut tapped = TappedConnection::new(Side::Client, false);
        let (context, record) = tapped.call();
        tapped.write(&head(&format!("{method} / HTTP/1.1"), context, ""));
        tapped.read(reply.as_bytes());
        assert_ne!(record.get(Point::EosRead), 0, "{method} {reply}");
        let (context, record) = tapped.call();
        tapped.write(&post(context, 5));
        tapped.read(&ok(9));
        assert_eq!(record.half().inbound.body, 9);
    }
}

#[test]
fn a_reply_without_length_ends_with_the_connection() {
    let mut tapped = TappedConnection::new(Side::Client, false);
    let (context, record) = tapped.call();
    tapped.write(&post(context, 0));
    tapped.read(b"HTTP/1.1 200 OK\r\n\r\nsome");
    tapped.read(b" text");
    assert_eq!(record.get(Point::EosRead), 0);
    tapped.read(b"");
    tapped.conn().closed();
    assert_ne!(record.get(Point::EosRead), 0);
    assert_eq!(record.half().inbound.body, 9);
}

#[test]
fn interim_replies_are_not_the_reply() {
    let mut tapped = TappedConnection::new(Side::Client, false);
    let (context, record) = tapped.call();
    tapped.write(&post(context, 10));
    tapped.read(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n");
    let interim = clock::now();
    tapped.read(&ok(20));
    assert!(record.get(Point::FirstRead) > interim);
    let inbound = record.half().inbound;
    assert_eq!((inbound.body, inbound.frames, inbound.wire), (20, 1, ok(20).len() as u64));
}

#[test]
fn pipelined_requests_are_told_apart_on_the_server() {
    let mut tapped = TappedConnection::new(Side::Server, false);
    let contexts: Vec<_> = (0..5).map(|_| SpanContext::new_root(true)).collect();
    let requests: Vec<_> =
        contexts.iter().enumerate().flat_map(|(index, c)| post(*c, 10 * index)).collect();
    tapped.read(&requests);
    let records: Vec<_> = contexts.iter().map(|c| tapped.claim(*c).unwrap()).collect();
    let replies: Vec<_> = (0..5).flat_map(|index| ok(7 * index)).collect();
    tapped.write(&replies);
    assert_eq!(tapped.submitted().len(), 5);
    for (index, record) in records.iter().enumerate() {
        let half = record.half();
        assert_eq!((half.inbound.body, half.outbound.body), (10 * index as u64, 7 * index as u64));
    }
    assert_eq!((tapped.streams(), tapped.unclaimed()), (0, 0));
}

#[test]
fn of_two_traceparent_lines_none_is_believed_as_in_the_server() {
    let [first, second] = [SpanContext::new_root(true), SpanContext::new_root(true)];
    for more in [second.header(), first.header(), "garbage".to_owned()] {
        let mut tapped = TappedConnection::new(Side::Server, false);
        let more = format!("Traceparent: {more}\r\n");
        tapped.read(&head("GET / HTTP/1.1", first, &more));
        assert!(tapped.claim(first).is_none() && tapped.claim(second).is_none());
        assert!(tapped.claims.claim(0).is_some(), "it is there as a request without a caller");
    }
}

#[test]
fn a_request_pipelined_after_head_keeps_its_body() {
    let [first, second] = [SpanContext::new_root(true), SpanContext::new_root(true)];
    let mut tapped = TappedConnection::new(Side::Server, false);
    tapped.read(&[head("HEAD / HTTP/1.1", first, ""), post(second, 30)].concat());
    tapped.claim(first).unwrap();
    tapped.claim(second).unwrap();
    tapped.write(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n");
    tapped.write(&ok(4));
    let halves = tapped.submitted();
    assert_eq!((halves[0].0.outbound.body, halves[1].0.outbound.body), (0, 4));
    assert_eq!(halves[1].0.inbound.body, 30);
}

#[test]
fn too_many_requests_in_turn_are_let_go_of_rather_than_mixed_up() {
    let mut tapped = TappedConnection::new(Side::Server, false);
    let context = SpanContext::new_root(true);
    for _ in 0..2_000 {
        tapped.read(&post(context, 0));
    }
    assert_eq!((tapped.streams(), tapped.unclaimed()), (0, 0));
    tapped.write(&ok(1));
    assert!(tapped.submitted().is_empty());
}

#[test]
fn an_overlong_head_is_let_go_of() {
    let mut tapped = TappedConnection::new(Side::Server, false);
    tapped.read(b"GET / HTTP/1.1\r\nx: ");
    for _ in 0..420 {
        tapped.read(&[b'x'; 1_024]);
    }
    tapped.read(b"\r\n\r\n");
    tapped.read(&post(SpanContext::new_root(true), 3));
    assert_eq!((tapped.streams(), tapped.unclaimed()), (0, 0));
}

#[test]
fn a_lost_connection_releases_every_record() {
    let mut tapped = TappedConnection::new(Side::Server, false);
    let [first, second] = [SpanContext::new_root(true), SpanContext::new_root(true)];
    tapped.read(&[post(first, 5), post(second, 5)].concat());
    let record = tapped.claim(first).unwrap();
    tapped.write(&ok(100)[..60]);
    tapped.conn = None;
    let lost = tapped.submitted();
    assert_eq!((lost.len(), tapped.unclaimed()), (1, 0));
    assert!(lost[0].1.is_some());
    assert_eq!(std::sync::Arc::strong_count(&record), 1);
}

/// Feeds `bytes` in pieces of these lengths, over and over.
fn feed(bytes: &[u8], lengths: &[usize], mut take: impl FnMut(&[u8])) {
    let mut rest = bytes;
    for &length in lengths.iter().cycle() {
        let (piece, after) = rest.split_at(length.min(rest.len()));
        take(piece);
        rest = after;
        if rest.is_empty() {
            return;
        }
    }
}

proptest! {
    #[test]
    fn any_split_gives_the_same_counts(
        lengths in prop::collection::vec(1_usize..90, 1..20),
        body in 0_usize..300,
    ) {
        let mut tapped = TappedConnection::new(Side::Client, false);
        for _ in 0..3 {
            let (context, record) = tapped.call();
            feed(&post(context, body), &lengths, |piece| tapped.write(piece));
            feed(CHUNKED, &lengths, |piece| tapped.read(piece));
            let half = record.half();
            prop_assert_eq!(half.outbound.body, body as u64);
            prop_assert_eq!(half.outbound.wire, post(context, body).len() as u64);
            prop_assert_eq!((half.inbound.body, half.inbound.frames), (15, 3));
            prop_assert_eq!(half.inbound.wire, CHUNKED.len() as u64);
        }
        prop_assert_eq!(tapped.streams(), 0);
    }

    #[test]
    fn garbage_makes_nothing_panic_or_leak(
        server in any::<bool>(),
        calls in prop::collection::vec((any::<bool>(), garbage()), 0..40),
    ) {
        let mut tapped = TappedConnection::new(if server { Side::Server } else { Side::Client }, false);
        for (write, bytes) in calls {
            if write { tapped.write(&bytes) } else { tapped.read(&bytes) }
        }
        tapped.conn = None;
        prop_assert_eq!(tapped.unclaimed(), 0);
    }
}

fn garbage() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..60),
        (0_usize..40).prop_map(ok),
        (0_usize..40).prop_map(|body| post(SpanContext::new_root(true), body)),
        Just(CHUNKED.to_vec()),
        Just(b"\r\n\n0\r\n".to_vec()),
        Just(b"GET / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n".to_vec()),
    ]
}
