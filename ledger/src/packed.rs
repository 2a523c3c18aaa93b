//! The record of one side of a hop as bytes: marks, times of sending, traffic, and where the span stands
//! among those of its process. One attribute of a span, [`crate::names::PACKED`].
//!
//! The first byte is the version of the form. Then come entries: a tag, the length of the content, and the content, all
//! of them numbers written as [`varint`]s. A reader skips tags that it does not know, and numbers at the end of an entry
//! that it does not know, so that a later writer may add some. Both forms, this and the text, hold the same record
//! (`packed_and_plain_spans_are_the_same_record`).

use crate::half::{Far, Half};
use crate::marks::{Marks, Point, Sending, Traffic};
use crate::stage::Stage;

/// The version that is written, and the only one that is read.
const VERSION: u8 = 1;

/// What an entry is about. A number that was used once is never given to something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Tag {
    /// The first mark, then for each mark the two letters of its point and the time since the first.
    Marks = 1,
    /// Window wait, socket wait, socket write, framing.
    Sending = 2,
    /// See [`put_traffic`].
    Outbound = 3,
    Inbound = 4,
    /// Connection, HTTP version, attempts.
    Connection = 5,
    /// For each delay the length of its stage's name, the name, and nanoseconds.
    Injected = 6,
    /// Instance of the process, and the span's number in it.
    Origin = 7,
    /// 1 for a streaming call.
    Streaming = 8,
    /// The far face of a relay: entries of these kinds.
    Far = 9,
}

/// Where a span stands among those of its process: a gap in the numbers is a loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Drawn at random when the process starts.
    pub instance: u64,
    /// Number of the span, from 1.
    pub sequence: u64,
}

impl Origin {
    /// Appends to a packed record where its span stands: entries may come in any order, so this one may be the last.
    pub fn pack(self, out: &mut Vec<u8>) {
        numbers(out, Tag::Origin, &[self.instance, self.sequence]);
    }
}

/// Bytes that are no packed record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PackedError {
    /// There are none.
    #[error("a packed record without a byte")]
    Empty,
    /// Another version of the form.
    #[error("a packed record of version {0}; version {VERSION} is read")]
    Version(u8),
    /// An entry that ends too early, or a number that has no end.
    #[error("a packed record breaks off in the entry with tag {0}")]
    Broken(u64),
}

impl Half {
    /// Appends the record in its packed form, and where the span stands.
    pub fn pack(&self, origin: Option<Origin>, out: &mut Vec<u8>) {
        out.push(VERSION);
        put_face(out, (&self.marks, self.sending), (&self.outbound, &self.inbound));
        numbers(out, Tag::Connection, &[self.connection, self.http, self.attempts]);
        numbers(out, Tag::Streaming, &[u64::from(self.streaming)]);
        if !self.injected.is_empty() {
            entry(out, Tag::Injected, |out| {
                for &(stage, ns) in &self.injected {
                    varint(out, stage.name().len() as u64);
                    out.extend(stage.name().as_bytes());
                    varint(out, ns);
                }
            });
        }
        if let Some(far) = &self.far {
            entry(out, Tag::Far, |out| {
                put_face(out, (&far.marks, far.sending), (&far.outbound, &far.inbound));
                numbers(out, Tag::Connection, &[far.connection, 0, 0]);
            });
        }
        if let Some(origin) = origin {
            origin.pack(out);
        }
    }

    /// Takes in a packed record; answers where its span stands, if it says so.
    ///
    /// # Errors
    /// [`PackedError`]; entries before the broken one have been taken in.
    pub fn unpack(&mut self, bytes: &[u8]) -> Result<Option<Origin>, PackedError> {
        let (&version, mut rest) = bytes.split_first().ok_or(PackedError::Empty)?;
        if version != VERSION {
            return Err(PackedError::Version(version));
        }
        let mut origin = None;
        while !rest.is_empty() {
            let (tag, mut content) = next_entry(&mut rest)?;
            self.take_in(tag, &mut content, &mut origin).ok_or(PackedError::Broken(tag))?;
        }
        Ok(origin)
    }

    /// Takes in one entry; `None` if it is broken.
    fn take_in(
        &mut self,
        tag: u64,
        content: &mut Content<'_>,
        origin: &mut Option<Origin>,
    ) -> Option<()> {
        match tag {
            tag if tag == Tag::Connection as u64 => {
                [self.connection, self.http, self.attempts] = content.array()?;
            }
            tag if tag == Tag::Injected as u64 => {
                while !content.rest.is_empty() {
                    let length = content.next()?;
                    let name = std::str::from_utf8(content.bytes(length)?).ok()?;
                    let ns = content.next()?;
                    if let Ok(stage) = Stage::from_name(name) {
                        self.injected.push((stage, ns));
                    }
                }
            }
            tag if tag == Tag::Origin as u64 => {
                let [instance, sequence] = content.array()?;
                *origin = Some(Origin { instance, sequence });
            }
            tag if tag == Tag::Streaming as u64 => {
                let [streaming] = content.array()?;
                self.streaming = streaming != 0;
            }
            tag if tag == Tag::Far as u64 => {
                let far = self.far.get_or_insert_default();
                while !content.rest.is_empty() {
                    let (tag, mut content) = next_entry(&mut content.rest).ok()?;
                    far.take_in(tag, &mut content)?;
                }
            }
            _ => {
                let face = (&mut self.marks, &mut self.sending);
                take_face(tag, content, face, (&mut self.outbound, &mut self.inbound))?;
            }
        }
        Some(())
    }
}

impl Far {
    fn take_in(&mut self, tag: u64, content: &mut Content<'_>) -> Option<()> {
        if tag == Tag::Connection as u64 {
            self.connection = content.next()?;
            return Some(());
        }
        let face = (&mut self.marks, &mut self.sending);
        take_face(tag, content, face, (&mut self.outbound, &mut self.inbound))
    }
}

/// The entry at the front: its tag and its content.
fn next_entry<'a>(rest: &mut &'a [u8]) -> Result<(u64, Content<'a>), PackedError> {
    let tag = read(rest).ok_or(PackedError::Broken(0))?;
    let (content, after) = read(rest)
        .and_then(|length| rest.split_at_checked(usize::try_from(length).ok()?))
        .ok_or(PackedError::Broken(tag))?;
    *rest = after;
    Ok((tag, Content { rest: content }))
}

/// What every face of a connection has.
fn put_face(
    out: &mut Vec<u8>,
    (marks, sending): (&Marks, Sending),
    (outbound, inbound): (&Traffic, &Traffic),
) {
    let base = marks.first().unwrap_or(0);
    entry(out, Tag::Marks, |out| {
        varint(out, base);
        for (point, at) in marks.iter() {
            out.extend(point.code().as_bytes());
            varint(out, at.wrapping_sub(base));
        }
    });
    let Sending { window_wait, socket_wait, socket_write, framing } = sending;
    numbers(out, Tag::Sending, &[window_wait, socket_wait, socket_write, framing]);
    put_traffic(out, Tag::Outbound, outbound);
    put_traffic(out, Tag::Inbound, inbound);
}

/// Takes in one entry of a face; `None` if it is broken.
#[inline]
fn take_face(
    tag: u64,
    content: &mut Content<'_>,
    (marks, sending): (&mut Marks, &mut Sending),
    (outbound, inbound): (&mut Traffic, &mut Traffic),
) -> Option<()> {
    match tag {
        tag if tag == Tag::Marks as u64 => {
            let base = content.next()?;
            while !content.rest.is_empty() {
                let code = content.bytes(2)?;
                let after = content.next()?;
                if let Some(point) = Point::from_code(code) {
                    marks.set(point, base.wrapping_add(after));
                }
            }
        }
        tag if tag == Tag::Sending as u64 => {
            let [window_wait, socket_wait, socket_write, framing] = content.array()?;
            *sending = Sending { window_wait, socket_wait, socket_write, framing };
        }
        tag if tag == Tag::Outbound as u64 => *outbound = traffic(content)?,
        tag if tag == Tag::Inbound as u64 => *inbound = traffic(content)?,
        _ => {}
    }
    Some(())
}

fn put_traffic(out: &mut Vec<u8>, tag: Tag, traffic: &Traffic) {
    let Traffic { payload, body, wire, frames, framing, headers } = *traffic;
    numbers(out, tag, &[payload, body, wire, frames, framing, headers]);
}

fn traffic(content: &mut Content<'_>) -> Option<Traffic> {
    let [payload, body, wire, frames, framing, headers] = content.array()?;
    Some(Traffic { payload, body, wire, frames, framing, headers })
}

/// An entry of these numbers; none if they are all 0, as a record begins.
fn numbers(out: &mut Vec<u8>, tag: Tag, numbers: &[u64]) {
    if numbers.iter().any(|&number| number != 0) {
        entry(out, tag, |out| numbers.iter().for_each(|&number| varint(out, number)));
    }
}

/// An entry whose content is what `write` appends.
fn entry(out: &mut Vec<u8>, tag: Tag, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(tag as u8);
    length_delimited(out, write);
}

/// Appends the length of what `write` appends, as [`varint`] has it, and that itself, as protobuf does with messages.
pub fn length_delimited(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    // The length is known only afterwards. Most are short: one byte is left for it, and the content moved up where it
    // takes more.
    let mut place = out.len();
    out.push(0);
    write(out);
    let mut length = out.len() - place - 1;
    while length >= 0x80 {
        out[place] = length as u8 | 0x80;
        length >>= 7;
        place += 1;
        out.insert(place, 0);
    }
    out[place] = length as u8;
}

/// Appends a number seven bits at a time, lowest first, as protobuf does.
pub fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Reads a number off the front; `None` if it does not end or is larger than 64 bits hold.
#[inline]
fn read(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for (at, &byte) in bytes.iter().take(10).enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            *bytes = &bytes[at + 1..];
            // Of the tenth byte there is room for one bit.
            return (at < 9 || byte < 2).then_some(number);
        }
    }
    None
}

/// The content of an entry.
struct Content<'a> {
    rest: &'a [u8],
}

impl<'a> Content<'a> {
    fn next(&mut self) -> Option<u64> {
        read(&mut self.rest)
    }

    /// The next `length` bytes.
    fn bytes(&mut self, length: u64) -> Option<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(usize::try_from(length).ok()?)?;
        self.rest = rest;
        Some(bytes)
    }

    fn array<const N: usize>(&mut self) -> Option<[u64; N]> {
        let mut numbers = [0; N];
        for number in &mut numbers {
            *number = self.next()?;
        }
        Some(numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::half::Side;

    #[test]
    fn what_is_not_known_is_skipped_and_what_is_broken_is_named() {
        let mut half = Half::new(Side::Client, (0, 0));
        half.connection = 7;
        let mut bytes = Vec::new();
        half.pack(Some(Origin { instance: u64::MAX, sequence: 300 }), &mut bytes);
        let mut more = bytes.clone();
        more.extend([0xc8, 0x01, 3, 1, 2, 3]);
        let mut read = Half::new(Side::Client, (0, 0));
        let origin = Origin { instance: u64::MAX, sequence: 300 };
        assert_eq!(read.unpack(&more), Ok(Some(origin)));
        assert_eq!(read, half);
        assert_eq!(read.unpack(&[]), Err(PackedError::Empty));
        assert_eq!(read.unpack(&[2]), Err(PackedError::Version(2)));
        for end in 2..bytes.len() {
            // Cut at an entry's end it is a shorter record; anywhere else it is broken.
            let _ = read.unpack(&bytes[..end]);
        }
        assert_eq!(read.unpack(&bytes[..bytes.len() - 1]), Err(PackedError::Broken(7)));
    }
}
