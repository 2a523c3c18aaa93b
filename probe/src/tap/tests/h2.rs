//! HTTP/2 connections: marks, stalls, attribution, and nothing left behind.

use std::time::Duration;

use ledger::{Point, Side, clock};
use proptest::prelude::*;

use super::wire::{
    END_HEADERS, END_STREAM, PREFACE, Rig, block, data, frame, initial_window, reply, request,
    reset, window_update,
};
use crate::context::SpanContext;
use crate::record::Record;

const MILLISECOND: u64 = 1_000_000;

/// Lets time pass that a stall must account for: never less than asked.
fn pass(milliseconds: u64) {
    std::thread::sleep(Duration::from_millis(milliseconds));
}

fn client() -> Rig {
    let mut rig = Rig::new(Side::Client, true);
    rig.write(PREFACE);
    rig
}

fn server() -> Rig {
    let mut rig = Rig::new(Side::Server, true);
    rig.read(PREFACE);
    rig
}

fn at(record: &Record, point: Point) -> u64 {
    let at = record.get(point);
    assert_ne!(at, 0, "{point:?} is marked");
    at
}

#[test]
fn a_grpc_call_is_marked_from_first_to_last_byte_on_the_client() {
    let mut rig = client();
    let (context, record) = rig.call();
    rig.write(&[request(0, 1, context), data(0, 1, 100)].concat());
    let sent = clock::now();
    rig.write(&data(END_STREAM, 1, 0));
    rig.read(&[reply(0, 1), data(0, 1, 70)].concat());
    let read = clock::now();
    rig.read(&reply(END_STREAM, 1));

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
    assert_eq!(rig.streams(), 0);
}

#[test]
fn a_grpc_call_is_claimed_marked_and_submitted_once_on_the_server() {
    let mut rig = server();
    let context = SpanContext::new_root(true);
    rig.read(&[request(0, 1, context), data(END_STREAM, 1, 100)].concat());
    let record = rig.claim(context).unwrap();
    assert!(rig.claim(context).is_none());
    rig.write(&[reply(0, 1), data(0, 1, 70)].concat());
    assert!(rig.submitted().is_empty(), "the reply is not over before its trailers");
    rig.write(&reply(END_STREAM, 1));
    let submitted = rig.submitted();
    assert_eq!(submitted.len(), 1);
    let (half, failure) = &submitted[0];
    assert_eq!((half.inbound.body, half.outbound.body, failure), (100, 70, &None));
    assert!(at(&record, Point::LastWrite) < at(&record, Point::EosWrite));
    assert_eq!((rig.streams(), rig.unclaimed()), (0, 0));
}

#[test]
fn the_preface_may_come_in_pieces() {
    let mut rig = Rig::new(Side::Server, true);
    let context = SpanContext::new_root(true);
    for byte in [PREFACE, &request(END_STREAM, 1, context)].concat() {
        rig.read(&[byte]);
    }
    assert!(rig.claim(context).is_some());
}

#[test]
fn a_head_in_several_frames_is_counted_whole_and_ends_its_stream() {
    let mut rig = client();
    let (context, record) = rig.call();
    let block = block(context);
    let (one, two) = block.split_at(20);
    rig.write(&frame(1, END_STREAM, 1, one));
    rig.write(&frame(9, END_HEADERS, 1, two));
    rig.read(&frame(1, END_STREAM, 1, &[0x88]));
    assert_eq!(record.get(Point::EosRead), 0, "the head is not complete");
    rig.read(&frame(9, END_HEADERS, 1, &[0x88]));
    let half = record.half();
    assert_eq!((half.outbound.frames, half.outbound.headers), (2, block.len() as u64));
    assert_eq!((half.outbound.framing, half.outbound.wire), (18, 18 + block.len() as u64));
    assert_eq!((half.inbound.frames, half.inbound.wire), (2, 20));
    assert_eq!(rig.streams(), 0);
}

#[test]
fn trailers_of_a_request_change_the_table_that_later_requests_refer_to() {
    let mut rig = server();
    let [first, second] = [SpanContext::new_root(true), SpanContext::new_root(true)];
    let mut trailers = vec![0x40, 11];
    trailers.extend(b"traceparent");
    trailers.push(55);
    trailers.extend(second.header().as_bytes());
    rig.read(&[request(0, 1, first), frame(1, END_STREAM | END_HEADERS, 1, &trailers)].concat());
    rig.read(&frame(1, END_STREAM | END_HEADERS, 3, &[0x83, 0xbe]));
    assert!(rig.claim(first).is_some());
    assert!(rig.claim(second).is_some());
}

#[test]
fn frames_of_a_stream_that_is_over_open_no_other() {
    let mut rig = server();
    let context = SpanContext::new_root(true);
    rig.read(&request(0, 1, context));
    rig.claim(context).unwrap();
    rig.write(&reset(1));
    rig.read(&[data(0, 1, 10), request(END_STREAM, 1, context)].concat());
    assert_eq!((rig.streams(), rig.unclaimed()), (0, 0));
}

/// A request of two DATA frames with a stall between them.
fn stalled(window: u32, stall: impl FnOnce(&mut Rig)) -> u64 {
    let mut rig = client();
    rig.read(&initial_window(window));
    let (context, record) = rig.call();
    rig.write(&[request(0, 1, context), data(0, 1, 1_000)].concat());
    stall(&mut rig);
    rig.write(&data(END_STREAM, 1, 500));
    record.half().sending.window_wait
}

#[test]
fn an_exhausted_stream_window_is_a_stall() {
    let before = clock::now();
    let waited = stalled(1_000, |rig| {
        pass(5);
        rig.read(&window_update(0, 1_000));
        pass(5);
        rig.read(&window_update(1, 1_000));
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
    let waited = stalled(1_000, |rig| {
        pass(5);
        rig.read(&initial_window(5_000));
    });
    assert!(waited >= 5 * MILLISECOND, "{waited}");
}

#[test]
fn settings_may_lower_a_window_below_zero() {
    let waited = stalled(2_000, |rig| {
        rig.read(&initial_window(500));
        rig.read(&window_update(1, 400));
        rig.read(&window_update(1, 5_000));
    });
    // The stall is noticed at a write, and there was none while the window was negative.
    assert_eq!(waited, 0);
}

#[test]
fn a_stall_that_no_payload_follows_does_not_count() {
    let mut rig = server();
    rig.read(&initial_window(100));
    let context = SpanContext::new_root(true);
    rig.read(&request(END_STREAM, 1, context));
    rig.claim(context).unwrap();
    rig.write(&[reply(0, 1), data(0, 1, 100)].concat());
    pass(2);
    rig.read(&window_update(1, 100));
    rig.write(&reply(END_STREAM, 1));
    assert_eq!(rig.submitted()[0].0.sending.window_wait, 0);
}

#[test]
fn stalls_of_stream_and_connection_are_not_added_up() {
    let mut rig = client();
    rig.read(&initial_window(65_535));
    let (context, record) = rig.call();
    rig.write(&[request(0, 1, context), data(0, 1, 65_535)].concat());
    let begin = clock::now();
    pass(5);
    rig.read(&window_update(1, 1_000));
    pass(5);
    rig.read(&window_update(0, 1_000));
    let whole = clock::now() - begin;
    rig.write(&data(END_STREAM, 1, 1_000));
    let waited = record.half().sending.window_wait;
    assert!(waited >= 10 * MILLISECOND && waited <= whole + MILLISECOND, "{waited} of {whole}");
}

#[test]
fn a_connection_that_is_exhausted_by_one_stream_stalls_the_others() {
    let mut rig = client();
    let (first, _) = rig.call();
    let (second, record) = rig.call();
    rig.write(&[request(0, 1, first), request(0, 3, second), data(0, 3, 10)].concat());
    rig.write(&data(0, 1, 65_525));
    pass(3);
    rig.read(&window_update(0, 1_000));
    rig.write(&data(END_STREAM, 3, 10));
    assert!(record.half().sending.window_wait >= 3 * MILLISECOND);
}

#[test]
fn an_interim_reply_is_not_the_reply() {
    let mut rig = client();
    let (context, record) = rig.call();
    rig.write(&[request(0, 1, context), data(END_STREAM, 1, 10)].concat());
    rig.read(&reply(0, 1));
    let interim = clock::now();
    rig.read(&[reply(0, 1), data(END_STREAM, 1, 20)].concat());
    assert!(at(&record, Point::FirstRead) >= interim);
    let half = record.half();
    assert_eq!((half.inbound.frames, half.inbound.headers, half.inbound.body), (2, 1, 20));
}

#[test]
fn trailers_after_no_payload_are_not_its_last_byte() {
    let mut rig = client();
    let (context, record) = rig.call();
    rig.write(&request(END_STREAM, 1, context));
    rig.read(&reply(0, 1));
    let head = clock::now();
    rig.read(&reply(END_STREAM, 1));
    assert!(at(&record, Point::LastRead) < head);
    assert!(at(&record, Point::EosRead) >= head);
}

#[test]
fn a_refused_stream_is_tried_again_on_another() {
    let mut rig = client();
    let (context, record) = rig.call();
    rig.write(&[request(0, 1, context), data(END_STREAM, 1, 10)].concat());
    rig.read(&reset(1));
    rig.write(&[request(0, 3, context), data(END_STREAM, 3, 10)].concat());
    rig.read(&[reply(0, 3), data(END_STREAM, 3, 20)].concat());
    let half = record.half();
    assert_eq!((half.attempts, half.outbound.body, half.inbound.body), (2, 10, 20));
    assert_eq!(rig.streams(), 0);
}

#[test]
fn resets_and_a_lost_connection_release_every_record() {
    let mut rig = server();
    let contexts: Vec<_> = (0..30).map(|_| SpanContext::new_root(true)).collect();
    for (index, context) in contexts.iter().enumerate() {
        rig.read(&request(0, 2 * index as u32 + 1, *context));
    }
    let records: Vec<_> = contexts[..20].iter().map(|c| rig.claim(*c).unwrap()).collect();
    for index in 0..10 {
        if index % 2 == 0 {
            rig.read(&reset(2 * index + 1))
        } else {
            rig.write(&reset(2 * index + 1))
        }
    }
    assert_eq!((rig.streams(), rig.submitted().len(), rig.unclaimed()), (20, 10, 10));
    rig.conn = None;
    let lost = rig.submitted();
    assert_eq!((lost.len(), rig.unclaimed()), (10, 0), "unclaimed requests are no spans");
    assert!(lost.iter().all(|(_, failure)| failure.is_some()));
    assert!(records.iter().all(|record| std::sync::Arc::strong_count(record) == 1));
}

#[test]
fn a_request_that_is_answered_without_a_handler_is_not_left_to_the_next() {
    let mut rig = server();
    let context = SpanContext::new_root(true);
    rig.read(&request(END_STREAM, 1, context));
    rig.write(&reply(END_STREAM, 1));
    assert_eq!((rig.streams(), rig.unclaimed()), (0, 0));
}

#[test]
fn five_hundred_interleaved_streams_are_told_apart() {
    let mut rig = client();
    rig.read(&window_update(0, 1 << 30));
    let calls: Vec<_> = (0..500_u32).map(|call| (2 * call + 1, rig.call())).collect();
    for (stream, (context, _)) in &calls {
        rig.write(&request(0, *stream, *context));
    }
    for round in 0..3_usize {
        let mut bytes = Vec::new();
        for (stream, _) in calls.iter().rev() {
            bytes.extend(data(if round == 2 { END_STREAM } else { 0 }, *stream, *stream as usize));
        }
        rig.write(&bytes);
    }
    for (stream, _) in &calls {
        rig.read(&[reply(0, *stream), data(0, *stream, 7)].concat());
    }
    for (stream, _) in calls.iter().rev() {
        rig.read(&data(END_STREAM, *stream, *stream as usize));
    }
    for (stream, (_, record)) in &calls {
        let half = record.half();
        assert_eq!(half.outbound.body, 3 * u64::from(*stream));
        assert_eq!(half.inbound.body, 7 + u64::from(*stream));
    }
    assert_eq!(rig.streams(), 0);
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
        let mut rig = if server_side { Rig::new(Side::Server, true) } else { client() };
        if server_side && told {
            rig.read(PREFACE);
        }
        for (write, bytes) in calls {
            if write { rig.write(&bytes) } else { rig.read(&bytes) }
        }
        rig.conn = None;
        prop_assert_eq!(rig.unclaimed(), 0);
    }
}
