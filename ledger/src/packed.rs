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
use crate::varint::{length_delimited, read, read_after_two, varint};

/// The version that is written, and the only one that is read.
const VERSION: u8 = 1;

/// What an entry is about. A number that was used once is never given to something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Tag {
    /// The first mark, then for each mark the two letters of its point and the time since the first.
    Marks = 1,
    /// Window wait, socket wait, socket write, framing.
    Sending = 2,
    /// The numbers of a message: payload, body, wire, frames, framing, headers.
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
        let mut entries = Content::of_record(bytes)?;
        let mut origin = None;
        while !entries.is_empty() {
            let (tag, mut content) = entries.entry()?;
            self.read_entry(tag, &mut content, &mut origin).ok_or(PackedError::Broken(tag))?;
        }
        Ok(origin)
    }
}

/// What every face of a connection has, as it is read.
struct Face<'h> {
    marks: &'h mut Marks,
    sending: &'h mut Sending,
    outbound: &'h mut Traffic,
    inbound: &'h mut Traffic,
}

impl Half {
    fn near(&mut self) -> Face<'_> {
        let Half { marks, sending, outbound, inbound, .. } = self;
        Face { marks, sending, outbound, inbound }
    }

    /// Reads one entry; `None` if it is broken.
    fn read_entry(
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
                while !content.is_empty() {
                    let length = content.next()?;
                    let name = std::str::from_utf8(content.bytes(length)?).ok()?;
                    let ns = content.next()?;
                    if let Ok(stage) = Stage::from_name(name) {
                        self.injected.push((stage, ns));
                    }
                }
            }
            tag if tag == Tag::Origin as u64 => {
                *origin = Some(content.origin()?);
            }
            tag if tag == Tag::Streaming as u64 => {
                let [streaming] = content.array()?;
                self.streaming = streaming != 0;
            }
            tag if tag == Tag::Far as u64 => self.far.get_or_insert_default().read(content)?,
            _ => self.near().read_entry(tag, content)?,
        }
        Some(())
    }
}

impl Far {
    /// Reads the entries of a far face; `None` if one is broken.
    fn read(&mut self, content: &mut Content<'_>) -> Option<()> {
        while !content.is_empty() {
            let (tag, mut content) = content.entry().ok()?;
            if tag == Tag::Connection as u64 {
                self.connection = content.next()?;
            } else {
                let Far { marks, sending, outbound, inbound, .. } = self;
                Face { marks, sending, outbound, inbound }.read_entry(tag, &mut content)?;
            }
        }
        Some(())
    }
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
    numbers(out, Tag::Sending, &sending.numbers());
    numbers(out, Tag::Outbound, &outbound.numbers());
    numbers(out, Tag::Inbound, &inbound.numbers());
}

impl Face<'_> {
    /// Reads one entry; `None` if it is broken.
    #[inline]
    fn read_entry(&mut self, tag: u64, content: &mut Content<'_>) -> Option<()> {
        match tag {
            tag if tag == Tag::Marks as u64 => {
                let base = content.next()?;
                content.marks(|point, after| {
                    self.marks.set(point, base.wrapping_add(after));
                    Some(())
                })?;
            }
            tag if tag == Tag::Sending as u64 => {
                *self.sending = Sending::from_numbers(content.array()?);
            }
            tag if tag == Tag::Outbound as u64 => {
                *self.outbound = Traffic::from_numbers(content.array()?);
            }
            tag if tag == Tag::Inbound as u64 => {
                *self.inbound = Traffic::from_numbers(content.array()?);
            }
            _ => {}
        }
        Some(())
    }
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

/// The content of an entry, or of a record: entries.
pub(crate) struct Content<'a> {
    rest: &'a [u8],
}

impl<'a> Content<'a> {
    /// The entries of a whole record.
    #[inline]
    pub(crate) fn of_record(bytes: &'a [u8]) -> Result<Self, PackedError> {
        match bytes {
            [VERSION, rest @ ..] => Ok(Content { rest }),
            [version, ..] => Err(PackedError::Version(*version)),
            [] => Err(PackedError::Empty),
        }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The entry at the front: its tag and its content.
    #[inline]
    pub(crate) fn entry(&mut self) -> Result<(u64, Content<'a>), PackedError> {
        let tag = read(&mut self.rest).ok_or(PackedError::Broken(0))?;
        let content = self.next().and_then(|length| self.bytes(length));
        Ok((tag, Content { rest: content.ok_or(PackedError::Broken(tag))? }))
    }

    /// The marks that it has from here on: of each that is known the point, and the time since the first.
    #[inline]
    pub(crate) fn marks(&mut self, mut mark: impl FnMut(Point, u64) -> Option<()>) -> Option<()> {
        while !self.is_empty() {
            let (code, after) = read_after_two(&mut self.rest)?;
            if let Some(point) = Point::from_letters(code) {
                mark(point, after)?;
            }
        }
        Some(())
    }

    #[inline]
    pub(crate) fn origin(&mut self) -> Option<Origin> {
        let [instance, sequence] = self.array()?;
        Some(Origin { instance, sequence })
    }

    #[inline]
    pub(crate) fn next(&mut self) -> Option<u64> {
        read(&mut self.rest)
    }

    /// The next `length` bytes.
    #[inline]
    fn bytes(&mut self, length: u64) -> Option<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(usize::try_from(length).ok()?)?;
        self.rest = rest;
        Some(bytes)
    }

    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u64; N]> {
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
