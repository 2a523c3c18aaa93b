//! HTTP/2 frames of one direction, cut from a byte stream (RFC 9113, section 4).
//!
//! Payload is passed over except where the tap must read it: header blocks, SETTINGS and
//! WINDOW_UPDATE.

/// Length of the client's connection preface.
pub(super) const PREFACE: usize = 24;
/// A header block longer than this is not kept; the connection's later streams stay unattributed.
const LONGEST_BLOCK: usize = 256 * 1024;
const HEADER: usize = 9;

pub(super) const DATA: u8 = 0x0;
pub(super) const HEADERS: u8 = 0x1;
pub(super) const RST_STREAM: u8 = 0x3;
pub(super) const SETTINGS: u8 = 0x4;
pub(super) const WINDOW_UPDATE: u8 = 0x8;
pub(super) const CONTINUATION: u8 = 0x9;

const FLAG_END_STREAM: u8 = 0x1;
const FLAG_ACK: u8 = 0x1;
const FLAG_END_HEADERS: u8 = 0x4;
const FLAG_PADDED: u8 = 0x8;
const FLAG_PRIORITY: u8 = 0x20;

/// A frame header.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: u8,
    flags: u8,
    pub(super) stream: u32,
    /// Length of the payload, padding included: what flow control counts.
    pub(super) length: u32,
}

impl Frame {
    /// Whether a DATA frame is the last of its message; of HEADERS, see [`Block::ends_stream`].
    pub(super) fn ends_stream(self) -> bool {
        self.kind == DATA && self.has(FLAG_END_STREAM)
    }

    pub(super) fn acknowledges(self) -> bool {
        self.has(FLAG_ACK)
    }

    fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    fn kept(self) -> bool {
        matches!(self.kind, HEADERS | CONTINUATION | SETTINGS | WINDOW_UPDATE)
    }
}

/// A complete header block: one HEADERS frame and its CONTINUATION frames.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) stream: u32,
    pub(super) frames: u64,
    /// Length of the frames' payloads.
    pub(super) length: u64,
    /// END_STREAM was on the HEADERS frame; the message ends with the block, not before.
    pub(super) ends_stream: bool,
}

impl Block {
    /// Length of the frames' headers.
    pub(super) fn framing(self) -> u64 {
        self.frames * HEADER as u64
    }
}

/// What a run of bytes turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// A frame's header is complete.
    Begin(Frame),
    /// Payload of a DATA frame: data bytes and padding bytes.
    Data(Frame, u64, u64),
    /// The frame is complete; [`Frames::kept`] holds its payload, if that is kept.
    End(Frame),
    /// A HEADERS or CONTINUATION frame is complete, and the header block with it.
    Block(Block),
}

/// One direction of a connection.
#[derive(Debug, Default)]
pub(super) struct Frames {
    preface: usize,
    header: [u8; HEADER],
    have: usize,
    frame: Frame,
    left: u32,
    padding: u32,
    pad_length_due: bool,
    in_payload: bool,
    kept: Vec<u8>,
    /// The header block that has begun, and its content so far.
    begun: Option<Block>,
    block: Vec<u8>,
    overlong: bool,
}

impl Frames {
    /// A direction that opens with the client's preface.
    pub(super) fn after_preface() -> Self {
        Frames { preface: PREFACE, ..Frames::default() }
    }

    /// Takes bytes off the front of `bytes` and says what they were; `None` when all are taken.
    pub(super) fn next(&mut self, bytes: &mut &[u8]) -> Option<Event> {
        let skipped = self.preface.min(bytes.len());
        self.preface -= skipped;
        *bytes = &bytes[skipped..];
        if !self.in_payload {
            let wanted = (HEADER - self.have).min(bytes.len());
            self.header[self.have..self.have + wanted].copy_from_slice(&bytes[..wanted]);
            self.have += wanted;
            *bytes = &bytes[wanted..];
            if self.have < HEADER {
                return None;
            }
            self.begin();
            return Some(Event::Begin(self.frame));
        }
        if self.left == 0 {
            return Some(self.finish());
        }
        if bytes.is_empty() {
            return None;
        }
        Some(self.payload(bytes))
    }

    /// The payload of the frame that ended last, if it is of a kept kind. Of HEADERS and
    /// CONTINUATION, use [`Self::block`].
    pub(super) fn kept(&self) -> &[u8] {
        &self.kept
    }

    /// The content of the header block that ended last; `None` if it was too long to keep.
    pub(super) fn block(&self) -> Option<&[u8]> {
        (!self.overlong).then_some(&self.block)
    }

    fn begin(&mut self) {
        let [a, b, c, kind, flags, rest @ ..] = self.header;
        let length = u32::from_be_bytes([0, a, b, c]);
        let stream = u32::from_be_bytes(rest) & 0x7fff_ffff;
        self.frame = Frame { kind, flags, stream, length };
        self.have = 0;
        self.left = length;
        self.padding = 0;
        self.pad_length_due = kind == DATA && self.frame.has(FLAG_PADDED);
        self.in_payload = true;
        self.kept.clear();
        self.overlong &= kind != HEADERS;
    }

    fn payload(&mut self, bytes: &mut &[u8]) -> Event {
        let run = (self.left as usize).min(bytes.len());
        let (mut taken, rest) = bytes.split_at(run);
        *bytes = rest;
        self.left -= run as u32;
        if self.frame.kind == DATA {
            let mut padding = 0_u64;
            if self.pad_length_due {
                self.pad_length_due = false;
                self.padding = u32::from(taken[0]);
                taken = &taken[1..];
                padding = 1;
            }
            // Padding comes last: of what is taken, that much reaches into it.
            let tail = self.padding.saturating_sub(self.left).min(taken.len() as u32);
            self.padding -= tail;
            return Event::Data(
                self.frame,
                taken.len() as u64 - u64::from(tail),
                padding + u64::from(tail),
            );
        }
        if self.frame.kept() {
            if self.kept.len() + taken.len() <= LONGEST_BLOCK {
                self.kept.extend_from_slice(taken);
            } else {
                self.overlong |= matches!(self.frame.kind, HEADERS | CONTINUATION);
            }
        }
        if self.left == 0 { self.finish() } else { Event::Data(self.frame, 0, 0) }
    }

    fn finish(&mut self) -> Event {
        self.in_payload = false;
        match self.frame.kind {
            HEADERS => {
                let ends_stream = self.frame.has(FLAG_END_STREAM);
                self.begun =
                    Some(Block { stream: self.frame.stream, ends_stream, ..Block::default() });
            }
            CONTINUATION => {}
            _ => return Event::End(self.frame),
        }
        // A CONTINUATION of something else (PUSH_PROMISE) is no block of ours.
        let Some(mut block) = self.begun.take() else { return Event::End(self.frame) };
        self.keep_fragment();
        block.frames += 1;
        block.length += u64::from(self.frame.length);
        if self.frame.has(FLAG_END_HEADERS) {
            return Event::Block(block);
        }
        self.begun = Some(block);
        Event::End(self.frame)
    }

    fn keep_fragment(&mut self) {
        let mut fragment = self.kept.as_slice();
        if self.frame.kind == HEADERS {
            self.block.clear();
            fragment = unpadded(self.frame, fragment);
        }
        if self.block.len() + fragment.len() > LONGEST_BLOCK {
            self.overlong = true;
            return;
        }
        self.block.extend_from_slice(fragment);
    }
}

/// The header block fragment of a HEADERS frame, without padding and priority.
fn unpadded(frame: Frame, payload: &[u8]) -> &[u8] {
    let (padding, rest) = match payload.split_first() {
        Some((&length, rest)) if frame.has(FLAG_PADDED) => (usize::from(length), rest),
        _ => (0, payload),
    };
    let start = if frame.has(FLAG_PRIORITY) { 5 } else { 0 };
    rest.len().checked_sub(padding).and_then(|end| rest.get(start..end)).unwrap_or_default()
}
