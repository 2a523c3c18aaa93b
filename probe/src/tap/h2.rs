//! Follows a HTTP/2 connection: streams to calls, frames to bytes, windows to stalls.
//!
//! Only the windows that limit this side's sending are kept. Streams are attributed by the
//! `traceparent` in their request's header block; replies belong to the record of their stream.

use ledger::Side;

use super::h2_frames::{Block, DATA, Event, Frame, Frames, RST_STREAM, SETTINGS, WINDOW_UPDATE};
use super::h2_streams::{Stream, Streams};
use super::hpack;
use super::listener::Listener;
use super::message::{Part, Write};
use super::shared::Shared;
use crate::context::SpanContext;

/// Initial size of every window (RFC 9113, section 6.9.2).
const INITIAL_WINDOW: i64 = 65_535;
const SETTINGS_INITIAL_WINDOW_SIZE: u16 = 0x4;
const FRAME_HEADER: u64 = 9;
/// A peer that opens more streams than this at a time is not followed further.
const MOST_STREAMS: usize = 16_384;
/// HTTP version as a [`ledger::Half`] gives it.
const HTTP_2: u64 = 20;

/// The follower of one connection.
#[derive(Debug)]
pub(super) struct Follower<L: Listener> {
    tx: Option<Frames>,
    rx: Option<Frames>,
    hpack: hpack::Follower,
    /// A header block could not be followed: later streams stay unattributed.
    blind: bool,
    streams: Streams<L::Exchange>,
    /// The newest stream that was opened; ids only grow (RFC 9113, section 5.1.1).
    newest: u32,
    window: i64,
    initial_window: i64,
    touched: Vec<u32>,
    in_write: u64,
}

impl<L: Listener> Default for Follower<L> {
    fn default() -> Self {
        Follower {
            tx: None,
            rx: None,
            hpack: hpack::Follower::default(),
            blind: false,
            streams: Streams::default(),
            newest: 0,
            window: INITIAL_WINDOW,
            initial_window: INITIAL_WINDOW,
            touched: Vec::new(),
            in_write: 0,
        }
    }
}

/// The frames of a direction; the client's open with the preface.
fn direction(shared: &Shared<impl Listener>, from: Side) -> Frames {
    if shared.side == from { Frames::after_preface() } else { Frames::default() }
}

impl<L: Listener> Follower<L> {
    /// A write took `slices`.
    pub(super) fn wrote<'a>(
        &mut self,
        shared: &mut Shared<L>,
        slices: impl Iterator<Item = &'a [u8]>,
        write: Write,
    ) {
        let mut frames = self.tx.take().unwrap_or_else(|| direction(shared, Side::Client));
        for mut bytes in slices {
            while let Some(event) = frames.next(&mut bytes) {
                match event {
                    Event::Begin(frame) => self.begin_sending(shared, frame, write),
                    Event::Data(frame, data, padding) => {
                        self.send(shared, frame.stream, Part::Framing, padding, write);
                        self.send(shared, frame.stream, Part::Body, data, write);
                    }
                    Event::End(frame) => self.sent(shared, frame),
                    Event::Block(block) => self.sent_block(shared, block, &frames, write),
                }
            }
        }
        self.tx = Some(frames);
        self.end_write(shared, write);
    }

    /// A read returned `bytes` at `exit`.
    pub(super) fn read(&mut self, shared: &mut Shared<L>, mut bytes: &[u8], exit: u64) {
        let mut frames = self.rx.take().unwrap_or_else(|| direction(shared, Side::Server));
        while let Some(event) = frames.next(&mut bytes) {
            match event {
                Event::Begin(frame) => {
                    if frame.kind == DATA {
                        self.receive_frame(shared, frame, exit);
                    }
                }
                Event::Data(frame, data, padding) => {
                    self.receive(shared, frame.stream, Part::Framing, padding, exit);
                    self.receive(shared, frame.stream, Part::Body, data, exit);
                }
                Event::End(frame) => self.received(shared, frame, &frames, exit),
                Event::Block(block) => self.received_block(shared, block, &frames, exit),
            }
        }
        self.rx = Some(frames);
    }

    /// The connection is gone: what is open will never end.
    pub(super) fn abandon(&mut self, shared: &mut Shared<L>) {
        for (_, stream) in self.streams.drain() {
            give_up(shared, &stream, "the connection was closed before the reply was sent");
        }
    }

    #[cfg(test)]
    pub(super) fn open_streams(&self) -> usize {
        self.streams.len()
    }

    fn begin_sending(&mut self, shared: &mut Shared<L>, frame: Frame, write: Write) {
        if frame.kind != DATA {
            return;
        }
        self.window -= i64::from(frame.length);
        if let Some(stream) = self.streams.get_mut(&frame.stream) {
            stream.window -= i64::from(frame.length);
            stream.body_sent |= frame.length > 0;
            stream.out.frames(1);
        }
        self.send(shared, frame.stream, Part::Framing, FRAME_HEADER, write);
    }

    /// Books bytes of the current write to a stream's outbound message.
    fn send(&mut self, shared: &mut Shared<L>, id: u32, part: Part, bytes: u64, write: Write) {
        let Some(stream) = self.streams.get_mut(&id).filter(|_| bytes > 0) else { return };
        let exchange = stream.exchange.as_ref();
        stream.out.bytes((part, bytes), (write, shared.effort), exchange);
        self.in_write += bytes;
        if !std::mem::replace(&mut stream.touched, true) {
            self.touched.push(id);
        }
    }

    /// A frame that this side sent is complete.
    fn sent(&mut self, shared: &mut Shared<L>, frame: Frame) {
        if frame.kind == RST_STREAM {
            self.reset(shared, frame.stream);
        }
        if frame.ends_stream() {
            self.end_sending(frame.stream);
        }
    }

    fn end_sending(&mut self, id: u32) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.out.end();
        if !std::mem::replace(&mut stream.touched, true) {
            self.touched.push(id);
        }
    }

    /// A header block that this side sent is complete.
    fn sent_block(&mut self, shared: &mut Shared<L>, block: Block, frames: &Frames, write: Write) {
        if shared.side == Side::Client {
            self.request_block(shared, block, frames);
        }
        let Some(stream) = self.streams.get_mut(&block.stream) else { return };
        let part = stream.sending_block(block);
        self.send(shared, block.stream, Part::Framing, block.framing(), write);
        self.send(shared, block.stream, part, block.length, write);
        if block.ends_stream {
            self.end_sending(block.stream);
        }
    }

    /// Reads a header block of the requests' direction. Trailers too, and the blocks of streams
    /// that are over: any block may change the table that later ones refer to.
    fn request_block(&mut self, shared: &mut Shared<L>, block: Block, frames: &Frames) {
        let context = self.context(frames);
        if block.stream <= self.newest {
            return;
        }
        self.newest = block.stream;
        self.blind |= self.streams.len() >= MOST_STREAMS;
        if !self.blind {
            let exchange = shared.open(context, HTTP_2);
            self.streams.insert(block.stream, Stream::new(exchange, self.initial_window));
        }
    }

    fn context(&mut self, frames: &Frames) -> Option<SpanContext> {
        if self.blind {
            return None;
        }
        match frames.block().map(|block| self.hpack.block(block)) {
            Some(Ok(context)) => context,
            Some(Err(hpack::Malformed)) | None => {
                self.blind = true;
                None
            }
        }
    }

    /// The current write is over: shares are known, ended messages are complete, stalls begin.
    fn end_write(&mut self, shared: &mut Shared<L>, write: Write) {
        let total = std::mem::take(&mut self.in_write);
        let mut touched = std::mem::take(&mut self.touched);
        for id in touched.drain(..) {
            let Some(stream) = self.streams.get_mut(&id) else { continue };
            stream.touched = false;
            let exchange = stream.exchange.as_ref();
            let done = stream.out.written((write, total), shared.effort, exchange);
            if done && !std::mem::replace(&mut stream.out_done, true) {
                shared.replied(exchange);
            }
            if stream.window <= 0 || self.window <= 0 {
                stream.out.stall(write.exit, shared.effort);
            }
            self.remove_if_done(id);
        }
        self.touched = touched;
        if self.window <= 0 {
            for stream in self.streams.values_mut() {
                stream.out.stall(write.exit, shared.effort);
            }
        }
    }

    fn receive_frame(&mut self, shared: &mut Shared<L>, frame: Frame, exit: u64) {
        if let Some(stream) = self.streams.get_mut(&frame.stream) {
            stream.body_read |= frame.length > 0;
            stream.inc.frames(1);
        }
        self.receive(shared, frame.stream, Part::Framing, FRAME_HEADER, exit);
    }

    /// Books bytes that were read to a stream's inbound message.
    fn receive(&mut self, shared: &mut Shared<L>, id: u32, part: Part, bytes: u64, exit: u64) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let exchange = stream.exchange.as_ref();
        if stream.inc.bytes((part, bytes), exit, exchange) {
            shared.await_next_io(exchange);
        }
    }

    /// A frame that this side received is complete.
    fn received(&mut self, shared: &mut Shared<L>, frame: Frame, frames: &Frames, exit: u64) {
        match frame.kind {
            RST_STREAM => self.reset(shared, frame.stream),
            SETTINGS if !frame.acknowledges() => self.settings(frames.kept(), shared, exit),
            WINDOW_UPDATE => {
                if let Some(by) = frames.kept().first_chunk::<4>() {
                    let by = i64::from(u32::from_be_bytes(*by) & 0x7fff_ffff);
                    self.widen(frame.stream, by, shared, exit);
                }
            }
            _ => {}
        }
        if frame.ends_stream() {
            self.end_receiving(frame.stream, exit);
        }
    }

    fn end_receiving(&mut self, id: u32, exit: u64) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.inc.end(exit, stream.exchange.as_ref());
        stream.inc_done = true;
        self.remove_if_done(id);
    }

    /// A header block that this side received is complete.
    fn received_block(&mut self, shared: &mut Shared<L>, block: Block, frames: &Frames, exit: u64) {
        if shared.side == Side::Server {
            self.request_block(shared, block, frames);
        }
        let Some(stream) = self.streams.get_mut(&block.stream) else { return };
        let part = stream.receiving_block(block);
        self.receive(shared, block.stream, Part::Framing, block.framing(), exit);
        self.receive(shared, block.stream, part, block.length, exit);
        if block.ends_stream {
            self.end_receiving(block.stream, exit);
        }
    }

    fn settings(&mut self, settings: &[u8], shared: &mut Shared<L>, exit: u64) {
        for entry in settings.chunks_exact(6) {
            if u16::from_be_bytes([entry[0], entry[1]]) != SETTINGS_INITIAL_WINDOW_SIZE {
                continue;
            }
            let size = i64::from(u32::from_be_bytes([entry[2], entry[3], entry[4], entry[5]]));
            let change = size - self.initial_window;
            self.initial_window = size;
            for stream in self.streams.values_mut() {
                stream.window += change;
                if stream.window <= 0 {
                    stream.out.stall(exit, shared.effort);
                } else if self.window > 0 {
                    stream.out.resume(exit, shared.effort);
                }
            }
        }
    }

    fn widen(&mut self, id: u32, by: i64, shared: &mut Shared<L>, exit: u64) {
        if id != 0 {
            let Some(stream) = self.streams.get_mut(&id) else { return };
            stream.window += by;
            if stream.window > 0 && self.window > 0 {
                stream.out.resume(exit, shared.effort);
            }
            return;
        }
        self.window += by;
        if self.window > 0 {
            for stream in self.streams.values_mut().filter(|stream| stream.window > 0) {
                stream.out.resume(exit, shared.effort);
            }
        }
    }

    fn reset(&mut self, shared: &mut Shared<L>, id: u32) {
        if let Some(stream) = self.streams.remove(&id) {
            give_up(shared, &stream, "the stream was reset before the reply was sent");
        }
    }

    fn remove_if_done(&mut self, id: u32) {
        if self.streams.get(&id).is_some_and(|stream| stream.out_done && stream.inc_done) {
            self.streams.remove(&id);
        }
    }
}

/// A stream that will not go on. A client's call decides for itself what that means (it may be
/// retried on another stream); a server's reply is lost.
fn give_up<L: Listener>(shared: &mut Shared<L>, stream: &Stream<L::Exchange>, why: &'static str) {
    let replied = if shared.side == Side::Server { stream.out_done } else { stream.inc_done };
    if !replied {
        shared.give_up(stream.exchange.as_ref(), why);
    }
}
