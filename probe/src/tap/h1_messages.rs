//! HTTP/1.1 messages of one direction, cut from a byte stream (RFC 9112, sections 6 and 7).

use std::mem::MaybeUninit;

use crate::context::{SpanContext, TRACEPARENT};

/// A head longer than this is not followed, nor taken by a server of the probe: hyper's own limit.
pub(crate) const LONGEST_HEAD: usize = 8_192 + 100 * 4_096;
/// Heads with more fields than this are not followed; hyper refuses them too.
pub(crate) const MOST_FIELDS: usize = 100;
/// A chunk-size or trailer line longer than this is not followed.
const LONGEST_LINE: usize = 8 * 1024;

/// What the follower needs to know of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) bytes: u64,
    /// Status of a reply; 0 for a request.
    pub(super) status: u16,
    /// HTTP version as a [`ledger::Half`] gives it: 10 or 11.
    pub(super) http: u64,
    /// The method is HEAD: its reply has no body.
    pub(super) bodiless_reply: bool,
    pub(super) context: Option<SpanContext>,
    length: Length,
}

impl Head {
    /// An interim reply (1xx) is not the reply; 101 ends HTTP/1.1 on the connection.
    pub(super) fn interim(self) -> bool {
        (100..200).contains(&self.status)
    }
}

/// Which kind of head comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    Request,
    /// A reply; without a body whatever its head says, if it answers HEAD.
    Reply {
        bodiless: bool,
    },
}

/// How the end of a body is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    Bytes(u64),
    Chunked,
    UntilClose,
}

/// What a run of bytes turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// A head is complete.
    Head(Head),
    /// Payload.
    Body(u64),
    /// Chunk sizes, line ends, the terminator.
    Framing(u64),
    /// A chunk begins: its size line.
    Chunk(u64),
    /// Trailer fields.
    Trailer(u64),
    /// The message is complete.
    End,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Head,
    Body(u64),
    ChunkSize,
    ChunkData(u64),
    ChunkEnd(u64),
    Trailer,
    UntilClose,
    /// Not HTTP/1.1 any more, or not understood: bytes pass unread.
    Deaf,
}

/// One direction of a connection.
#[derive(Debug, Default)]
pub(super) struct Messages {
    state: State,
    stash: Vec<u8>,
    ended: bool,
}

impl Messages {
    /// Takes bytes off the front of `bytes` and says what they were; `None` when all are taken.
    pub(super) fn next(&mut self, bytes: &mut &[u8], expected: Expected) -> Option<Event> {
        if std::mem::take(&mut self.ended) {
            return Some(Event::End);
        }
        if bytes.is_empty() {
            return None;
        }
        match self.state {
            State::Head => self.head(bytes, expected),
            State::Body(left) => {
                let run = take(bytes, left);
                self.state = State::Body(left - run);
                if left == run {
                    self.end();
                }
                Some(Event::Body(run))
            }
            State::ChunkSize => self.chunk_size(bytes),
            State::ChunkData(left) => {
                let run = take(bytes, left);
                self.state =
                    if left == run { State::ChunkEnd(2) } else { State::ChunkData(left - run) };
                Some(Event::Body(run))
            }
            State::ChunkEnd(left) => {
                let run = take(bytes, left);
                self.state =
                    if left == run { State::ChunkSize } else { State::ChunkEnd(left - run) };
                Some(Event::Framing(run))
            }
            State::Trailer => self.trailer(bytes),
            State::UntilClose => Some(Event::Body(take(bytes, u64::MAX))),
            State::Deaf => {
                take(bytes, u64::MAX);
                None
            }
        }
    }

    fn end(&mut self) {
        self.state = State::Head;
        self.ended = true;
    }

    fn head(&mut self, bytes: &mut &[u8], expected: Expected) -> Option<Event> {
        let stashed = self.stash.len();
        let replies = expected != Expected::Request;
        let parsed = if stashed == 0 {
            parse(bytes, replies)
        } else {
            self.stash.extend_from_slice(bytes);
            // A head that comes in drips is read when its end is there, not with every drip.
            let drip = &self.stash[stashed.saturating_sub(3)..];
            if ends_head(drip) { parse(&self.stash, replies) } else { Ok(None) }
        };
        match parsed {
            Ok(Some(head)) => {
                take(bytes, head.bytes.saturating_sub(stashed as u64));
                self.stash.clear();
                self.begin_body(head, expected == Expected::Reply { bodiless: true });
                Some(Event::Head(head))
            }
            Ok(None) if bytes.len() + stashed <= LONGEST_HEAD => {
                if stashed == 0 {
                    self.stash.extend_from_slice(bytes);
                }
                take(bytes, u64::MAX);
                None
            }
            _ => {
                self.deafen();
                None
            }
        }
    }

    /// Whether the message in hand ends when the connection does.
    pub(super) fn until_close(&self) -> bool {
        matches!(self.state, State::UntilClose)
    }

    /// Lets bytes pass unread from here on.
    pub(super) fn deafen(&mut self) {
        self.state = State::Deaf;
        self.stash = Vec::new();
    }

    fn begin_body(&mut self, head: Head, bodiless: bool) {
        if head.status == 101 {
            return self.deafen();
        }
        let none = bodiless || head.interim() || matches!(head.status, 204 | 304);
        match head.length {
            _ if none => self.end(),
            Length::Bytes(0) => self.end(),
            Length::Bytes(bytes) => self.state = State::Body(bytes),
            Length::Chunked => self.state = State::ChunkSize,
            Length::UntilClose if head.status == 0 => self.end(),
            Length::UntilClose => self.state = State::UntilClose,
        }
        // An interim head ends nothing: the reply is still to come.
        self.ended &= !head.interim();
    }

    fn chunk_size(&mut self, bytes: &mut &[u8]) -> Option<Event> {
        let (taken, line) = self.line(bytes)?;
        let Some(line) = line else { return Some(Event::Framing(taken)) };
        let digits = line.split(|&byte| byte == b';').next().unwrap_or_default();
        let size = std::str::from_utf8(digits)
            .ok()
            .and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
        self.state = match size {
            Some(0) => State::Trailer,
            Some(size) => State::ChunkData(size),
            None => State::Deaf,
        };
        Some(if size == Some(0) { Event::Framing(taken) } else { Event::Chunk(taken) })
    }

    fn trailer(&mut self, bytes: &mut &[u8]) -> Option<Event> {
        let (taken, line) = self.line(bytes)?;
        match line {
            Some(line) if line.is_empty() => {
                self.end();
                Some(Event::Framing(taken))
            }
            _ => Some(Event::Trailer(taken)),
        }
    }

    /// Takes up to the end of a line: how many bytes, and the line if it is complete.
    fn line(&mut self, bytes: &mut &[u8]) -> Option<(u64, Option<Vec<u8>>)> {
        let end = bytes.iter().position(|&byte| byte == b'\n');
        let run = end.map_or(bytes.len(), |end| end + 1);
        let (taken, rest) = bytes.split_at(run);
        *bytes = rest;
        self.stash.extend_from_slice(taken);
        if self.stash.len() > LONGEST_LINE {
            self.deafen();
            return None;
        }
        let line = end.map(|_| {
            let mut line = std::mem::take(&mut self.stash);
            while line.last().is_some_and(|&byte| byte == b'\n' || byte == b'\r') {
                line.pop();
            }
            line
        });
        Some((run as u64, line))
    }
}

/// Takes up to `most` bytes off the front; answers how many.
fn take(bytes: &mut &[u8], most: u64) -> u64 {
    let run = usize::try_from(most).unwrap_or(usize::MAX).min(bytes.len());
    *bytes = &bytes[run..];
    run as u64
}

/// Whether an empty line, which ends a head, is among these bytes.
fn ends_head(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|pair| pair == b"\n\n") || bytes.windows(3).any(|three| three == b"\n\r\n")
}

/// Parses a head; `None` if it is not complete.
fn parse(bytes: &[u8], reply: bool) -> Result<Option<Head>, httparse::Error> {
    // Three kilobytes, which nobody needs to be zero.
    let mut fields = [const { MaybeUninit::uninit() }; MOST_FIELDS];
    let (parsed, status, version, head_method, fields) = if reply {
        let mut head = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        let parsed = config.parse_response_with_uninit_headers(&mut head, bytes, &mut fields)?;
        (parsed, head.code.unwrap_or(0), head.version, false, &*head.headers)
    } else {
        let mut head = httparse::Request::new(&mut []);
        let parsed = head.parse_with_uninit_headers(bytes, &mut fields)?;
        (parsed, 0, head.version, head.method == Some("HEAD"), &*head.headers)
    };
    let httparse::Status::Complete(length) = parsed else { return Ok(None) };
    let mut head = Head {
        bytes: length as u64,
        status,
        http: if version == Some(0) { 10 } else { 11 },
        bodiless_reply: head_method,
        context: None,
        length: Length::UntilClose,
    };
    let mut parents = 0;
    for field in fields {
        let text = || std::str::from_utf8(field.value).unwrap_or_default().trim();
        if field.name.eq_ignore_ascii_case("content-length") && head.length != Length::Chunked {
            head.length = Length::Bytes(text().parse().map_err(|_| httparse::Error::HeaderValue)?);
        } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
            if text().to_ascii_lowercase().ends_with("chunked") {
                head.length = Length::Chunked;
            }
        } else if field.name.eq_ignore_ascii_case(TRACEPARENT) {
            parents += 1;
            // Of two none is believed, here as in the server above.
            head.context = SpanContext::parse(field.value).filter(|_| parents == 1);
        }
    }
    Ok(Some(head))
}
