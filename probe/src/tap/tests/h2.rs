//! HTTP/2 connections: marks, stalls, attribution, and nothing left behind.

use std::time::Duration;

use ledger::{Point, Side, clock};
use proptest::prelude::*;

use super::wire::{
    END_HEADERS, END_STREAM, PREFACE, TappedConnection, block, data, frame, initial_window, reply,
    request, reset, window_update,
};
use crate::context::SpanContext;
use crate::record::Record;

const MILLISECOND: u64 = 1_000_000;

/// Lets time pass that a stall must account for: never less than asked.
fn pass(milliseconds: u64) {
    std::thread::sleep(Duration::from_millis(milliseconds));
}

fn client() -> TappedConnection {
    let mut tapped = TappedConnection::new(Side::Client, true);
    tapped.write(PREFACE);
    tapped
}

fn server() -> TappedConnection {
    let mut tapped = TappedConnection::new(Side::Server, true);
    tapped.read(PREFACE);
    tapped
}

fn at(record: &Record, point: Point) -> u64 {
    let at = record.get(point);
    assert_ne!(at, 0, "{point:?} is marked");
    at
}

#[test]
fn a_grpc_call_is_marked_from_first_to_last_byte_on_the_client() {
    let mut tapped = client();
    let (context, record) = tapped.call();
    tapped.write(&[request(0, 1, context), data(0, 1, 100)].concat());
    let sent = clock::now();
    tapped.write(&data(END_STREAM, 1, 0));
    tapped.read(&[reply(0, 1), data(0, 1, 70)].concat());
    let read = clock::now();
    tapped.read(&reply(END_STREAM, 1));

    assert!(at(&record, Point::SendBegin) <= at(&record, Point::LastWrite));
    assert!(at(&record, Point::LastWrite) < sent, "an empty DATA is not the last payload byte");
    assert!(at(&record, Point::EosWrite) >= sent);
    assert!(at(&record, Point::FirstRead) <= at(&record, Point::LastRead));
    assert!(at(&record, Point::LastRead) < read, "trailers are not the last payload byte");
    assert!(at(&record, Point::NextIo) >= read);
    assert!(at(&record, Point::EosRead) >= at(&record, Point::NextIo));
    let half = record.half();
    let head = block(context).len() as u64;
    assert_eq!((half.outbound.body, half.outbound.frames), (100, 3));
    assert_eq!((half.outbound.framing, half.outbound.headers), (27, head));
    assert_eq!((half.inbound.body, half.inbound.frames, half.inbound.headers), (70, 3, 2));
    assert_eq!((half.http, half.attempts), (20, 1));
    assert_eq!(tapped.streams(), 0);
}

#[test]
fn a_grpc_call_is_claimed_marked_and_submitted_once_on_the_server() {
    let mut tapped = server();
    let context = SpanContext::new_root(true);
    tapped.read(&[request(0, 1, context), data(END_STREAM, 1, 100)].concat());
    let record = tapped.claim(context).unwrap();
    assert!(tapped.claim(context).is_none());
    tapped.write(&[reply(0, 1), data(0, 1, 70)].concat());
    assert!(tapped.submitted().is_empty(), "the reply is not over before its trailers");
    tapped.write(&reply(END_STREAM, 1));
    let submitted = tapped.submitted();
    assert_eq!(submitted.len(), 1);
    let (half, failure) = &submitted[0];
    assert_eq!((half.inbound.body, half.outbound.body, failure), (100, 70, &None));
    assert!(at(&record, Point::LastWrite) < at(&record, Point::EosWrite));
    assert_eq!((tapped.streams(), tapped.unclaimed()), (0, 0));
}

#[test]
fn the_preface_may_come_in_pieces() {
    let mut tapped = TappedConnection::new(Side::Server, true);
    let context = SpanContext::new_root(true);
    for byte in [PREFACE, &request(END_STREAM, 1, context)].concat() {
        tapped.read(&[byte]);
    }
    assert!(tapped.claim(context).is_some());
}

#[test]
fn a_head_in_several_frames_is_counted_whole_and_ends_its_stream() {
    let mut tapped = client();
    let (context, record) = tapped.call();
    let block = block(context);
    let (one, two) = block.split_at(20);
    tapped.write(&frame(1, END_STREAM, 1, one));
    tapped.write(&frame(9, END_HEADERS, 1, two));
    tapped.read(&frame(1, END_STREAM, 1, &[0x88]));
    assert_eq!(record.get(Point::EosRead), 0, "the head is not complete");
    tapped.read(&frame(9, END_HEADERS, 1, &[0x88]));
    let half = record.half();
    assert_eq!((half.outbound.frames, half.outbound.headers), (2, block.len() as u64));
    assert_eq!((half.outbound.framing, half.outbound.wire), (18, 18 + block.len() as u64));
    assert_eq!((half.inbound.frames, half.inbound.wire), (2, 20));
    assert_eq!(tapped.streams(), 0);
}

#[test]
fn trailers_of_a_request_change_the_table_that_later_requests_refer_to() {
    let mut tapped = server();
    let [first, second] = [SpanContext::new_root(true), SpanContext::new_root(true)];
    let mut trailers = vec![0x40, 11];
    trailers.extend(b"traceparent");
    trailers.push(55);
    trailers.extend(second.header().as_bytes());
    tapped.read(&[request(0, 1, first), frame(1, END_STREAM | END_HEADERS, 1, &trailers)].concat());
    tapped.read(&frame(1, END_STREAM | END_HEADERS, 3, &[0x83, 0xbe]));
    assert!(tapped.claim(first).is_some());
    assert!(tapped.claim(second).is_some());
}

#[test]
fn frames_of_a_stream_that_is_over_open_no_other() {
    let mut tapped = server();
    let context = SpanContext::new_root(true);
    tapped.read(&request(0, 1, context));
    tapped.claim(context).unwrap();
    tapped.write(&reset(1));
    tapped.read(&[data(0, 1, 10), request(END_STREAM, 1, context)].concat());
    assert_eq!((tapped.streams(), tapped.unclaimed()), (0, 0));
}

/// A request of two DATA frames with a stall between them.
fn stalled(window: u32, stall: impl FnOnce(&mut TappedConnection)) -> u64 {
    let mut tapped = client();
    tapped.read(&initial_window(window));
    let (context, record) = tapped.call();
    tapped.write(&[request(0, 1, context), data(0, 1, 1_000)].concat());
    stall(&mut tapped);
    tapped.write(&data(END_STREAM, 1, 500));
    record.half().sending.window_wait
}

#[test]
fn an_exhausted_stream_window_is_a_stall() {
    let before = clock::now();
    let waited = stalled(1_000, |tapped| {
        pass(5);
        tapped.read(&window_update(0, 1_000));
        pass(5);
        tapped.read(&window_update(1, 1_000));
        pass(5);
    });
    let whole = clock::now() - before;
    assert!(waited >= 10 * MILLISECOND, "the connection's window alone ends no stall: {waited}");
    assert!(waited <= whole - 5 * MILLISECOND, "the stall ended before the last pause: {waited}");
}

#[test]
fn a_window_that_suffices_is_no_stall() {
    assert_eq!(stalled(2_000, |_| pass(2)), 0);
}

#[test]
fn settings_that_raise_the_initial_window_end_a_stall() {
    let waited = stalled(1_000, |tapped| {
        pass(5);
        tapped.read(&initial_window(5_000));
    });
    assert!(waited >= 5 * MILLISECOND, "{waited}");
}

#[test]
fn settings_may_lower_a_window_below_zero() {
    let waited = stalled(2_000, |tapped| {
        tapped.read(&initial_window(500));
        tapped.read(&window_update(1, 400));
        pass(5);
        tapped.read(&window_update(1, 5_000));
    });
    assert!(waited >= 5 * MILLISECOND, "below zero an update ends no stall: {waited}");
}

#[test]
fn a_window_that_settings_lower_can_begin_a_stall() {
    let mut tapped = client();
    let (context, record) = tapped.call();
    tapped.write(&request(0, 1, context));
    tapped.write(&data(0, 1, 40_000));
    // 65,535 less 40,000 are left; of 30,000 nothing would be.
    tapped.read(&initial_window(30_000));
    pass(20);
    tapped.read(&window_update(1, 60_000));
    tapped.write(&data(1, 1, 10));
    assert!(record.half().sending.window_wait >= 15_000_000, "{:?}", record.half().sending);
}

#[test]
fn a_call_of_several_messages_is_streaming_and_has_no_marks_in_between() {
    let mut tapped = client();
    let (context, record) = tapped.call();
    record.is_grpc();
    record.set(Point::CallStart, 1);
    for _ in 0..3 {
        record.set(Point::EncodeStart, 5);
        record.set(Point::EncodeEnd, 6);
        record.message(crate::record::Direction::Outbound, 10, 7);
    }
    tapped.write(&request(0, 1, context));
    tapped.write(&data(0, 1, 30));
    tapped.write(&data(1, 1, 15));
    let half = record.half();
    assert!(half.streaming && !half.tapped());
    assert_eq!(half.marks.get(Point::EncodeEnd), None);
    assert_eq!(half.marks.get(Point::CallStart), Some(1));
    // Three prefixes of five bytes are framing, and all payloads count.
    assert_eq!((half.outbound.body, half.outbound.payload), (30, 21));
}

#[test]
fn a_stall_that_no_payload_follows_does_not_count() {
    let mut tapped = server();
    tapped.read(&initial_window(100));
    let context = SpanContext::new_root(true);
    tapped.read(&request(END_STREAM, 1, context));
    tapped.claim(context).unwrap();
    tapped.write(&[reply(0, 1), data(0, 1, 100)].concat());
    pass(2);
    tapped.read(&window_update(1, 100));
    tapped.write(&reply(END_STREAM, 1));
    assert_eq!(tapped.submitted()[0].0.sending.window_wait, 0);
}

#[test]
fn stalls_of_stream_and_connection_are_not_added_up() {
    let mut tapped = client();
    tapped.read(&initial_window(65_535));
    let (context, record) = tapped.call();
    tapped.write(&[request(0, 1, context), data(0, 1, 65_535)].concat());
    let begin = clock::now();
    pass(5);
    tapped.read(&window_update(1, 1_000));
    pass(5);
    tapped.read(&window_update(0, 1_000));
    let whole = clock::now() - begin;
    tapped.write(&data(END_STREAM, 1, 1_000));
    let waited = record.half().sending.window_wait;
    assert!(waited >= 10 * MILLISECOND && waited <= whole + MILLISECOND, "{waited} of {whole}");
}

#[test]
fn a_connection_that_is_exhausted_by_one_stream_stalls_the_others() {
    let mut tapped = client();
    let (first, _) = tapped.call();
    let (second, record) = tapped.call();
    tapped.write(&[request(0, 1, first), request(0, 3, second), data(0, 3, 10)].concat());
    tapped.write(&data(0, 1, 65_525));
    pass(3);
    tapped.read(&window_update(0, 1_000));
    tapped.write(&data(END_STREAM, 3, 10));
    assert!(record.half().sending.window_wait >= 3 * MILLISECOND);
}

#[test]
fn an_interim_reply_is_not_the_reply() {
    let mut tapped = client();
    let (context, record) = tapped.call();
    tapped.write(&[request(0, 1, context), data(END_STREAM, 1, 10)].concat());
    tapped.read(&reply(0, 1));
    let interim = clock::now();
    tapped.read(&[reply(0, 1), data(END_STREAM, 1, 20)].concat());
    assert!(at(&record, Point::FirstRead) >= interim);
    let half = record.half();
    assert_eq!((half.inbound.frames, half.inbound.headers, half.inbound.body), (2, 1, 20));
}

#[test]
fn trailers_after_no_payload_are_not_its_last_byte() {
    let mut tapped = client();
    let (context, record) = tapped.call();
    tapped.write(&request(END_STREAM, 1, context));
    tapped.read(&reply(0, 1));
    let head = clock::now();
    tapped.read(&reply(END_STREAM, 1));
    assert!(at(&record, Point::LastRead) < head);
    assert!(at(&record, Point::EosRead) >= head);
}

#[test]
fn a_refused_stream_is_tried_again_on_another() {
    let mut tapped = client();
    let (context, record) = tapped.call();
    tapped.write(&[request(0, 1, context), data(END_STREAM, 1, 10)].concat());
    tapped.read(&reset(1));
    tapped.write(&[request(0, 3, context), data(END_STREAM, 3, 10)].concat());
    tapped.read(&[reply(0, 3), data(END_STREAM, 3, 20)].concat());
    let half = record.half();
    assert_eq!((half.attempts, half.outbound.body, half.inbound.body), (2, 10, 20));
    assert_eq!(tapped.streams(), 0);
}

#[test]
fn resets_and_a_lost_connection_release_every_record() {
    let mut tapped = server();
    let contexts: Vec<_> = (0..30).map(|_| SpanContext::new_root(true)).collect();
    for (index, context) in contexts.iter().enumerate() {
        tapped.read(&request(0, 2 * index as u32 + 1, *context));
    }
    let records: Vec<_> = contexts[..20].iter().map(|c| tapped.claim(*c).unwrap()).collect();
    for index in 0..10 {
        if index % 2 == 0 {
            tapped.read(&reset(2 * index + 1))
        } else {
            tapped.write(&reset(2 * index + 1))
        }
    }
    assert_eq!((tapped.streams(), tapped.submitted().len(), tapped.unclaimed()), (20, 10, 10));
    tapped.conn = None;
    let lost = tapped.submitted();
    assert_eq!((lost.len(), tapped.unclaimed()), (10, 0), "unclaimed requests are no spans");
    assert!(lost.iter().all(|(_, failure)| failure.is_some()));
    assert!(records.iter().all(|record| std::sync::Arc::strong_count(record) == 1));
}

#[test]
fn a_request_that_is_answered_without_a_handler_is_not_left_to_the_next() {
    let mut tapped = server();
    let context = SpanContext::new_root(true);
    tapped.read(&request(END_STREAM, 1, context));
    tapped.write(&reply(END_STREAM, 1));
    assert_eq!((tapped.streams(), tapped.unclaimed()), (0, 0));
}

#[test]
fn five_hundred_interleaved_streams_are_told_apart() {
    let mut tapped = client();
    tapped.read(&window_update(0, 1 << 30));
    let calls: Vec<_> = (0..500_u32).map(|call| (2 * call + 1, tapped.call())).collect();
    for (stream, (context, _)) in &calls {
        tapped.write(&request(0, *stream, *context));
    }
    for round in 0..3_usize {
        let mut bytes = Vec::new();
        for (stream, _) in calls.iter().rev() {
            bytes.extend(data(if round == 2 { END_STREAM } else { 0 }, *stream, *stream as usize));
        }
        tapped.write(&bytes);
    }
    for (stream, _) in &calls {
        tapped.read(&[reply(0, *stream), data(0, *stream, 7)].concat());
    }
    for (stream, _) in calls.iter().rev() {
        tapped.read(&data(END_STREAM, *stream, *stream as usize));
    }
    for (stream, (_, record)) in &calls {
        let half = record.half();
        assert_eq!(half.outbound.body, 3 * u64::from(*stream));
        assert_eq!(half.inbound.body, 7 + u64::from(*stream));
    }
    assert_eq!(tapped.streams(), 0);
}

fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop::collection::vec(any::<u8>(), 0..80);
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..60),
        (any::<u8>(), 0_u8..11, 0_u32..12, payload)
            .prop_map(|(flags, kind, stream, payload)| frame(kind, flags, stream, &payload)),
        (0_u32..12, any::<bool>()).prop_map(|(stream, ends)| {
            request(u8::from(ends), stream, SpanContext::new_root(true))
        }),
        (0_u32..12, any::<bool>()).prop_map(|(stream, ends)| reply(u8::from(ends), stream)),
    ]
}

proptest! {
    #[test]
    fn a_peer_that_sends_garbage_makes_nothing_panic_or_leak(
        server_side in any::<bool>(),
        told in any::<bool>(),
        calls in prop::collection::vec((any::<bool>(), any_bytes()), 0..60),
    ) {
        let mut tapped = if server_side { TappedConnection::new(Side::Server, true) } else { client() };
        if server_side && told {
            tapped.read(PREFACE);
        }
        for (write, bytes) in calls {
            if write { tapped.write(&bytes) } else { tapped.read(&bytes) }
        }
        tapped.conn = None;
        prop_assert_eq!(tapped.unclaimed(), 0);
    }
}
