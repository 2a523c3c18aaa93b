//! A record at rest: what a [`Half`] measured, in less than half of the memory, to be had again without reading bytes.
//!
//! Most of the time that a span is held nobody looks at what it measured. Nearly all numbers have room in 32 bits, once
//! marks are told from the first of them. A record that has larger ones, or what few have (delays, a far face), rests
//! as packed bytes. Packed bytes of such small numbers are put at rest as they are read, which makes no [`Half`].

use crate::half::Half;
use crate::marks::{Point, Sending, Traffic};
use crate::packed::{Content, Origin, Tag};

/// What a [`Half`] measured, at rest: the same as its packed form says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AtRest(Form);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    Small(Small),
    Packed(Box<[u8]>),
}

/// A record of small numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Small {
    /// What the marks are told from, as [`crate::Marks::since`] has it.
    base: u64,
    marks: [u32; Point::COUNT],
    sending: [u32; 4],
    outbound: [u32; 6],
    inbound: [u32; 6],
    connection: u32,
    attempts: u16,
    http: u8,
    streaming: bool,
}

/// A packed record that was put at rest as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rested {
    /// The record. Each of its numbers is below 2^32, and so is the time from the earliest to the latest of its marks.
    pub record: AtRest,
    /// The earliest and the latest of its marks, as [`crate::Marks::ends`] has them.
    pub ends: Option<(u64, u64)>,
    /// Where its span stands, if it says so.
    pub origin: Option<Origin>,
}

impl AtRest {
    /// Reads a packed record, if all of it has room. `None` leaves it to [`Half::unpack`], which says what is wrong if
    /// anything is.
    #[must_use]
    pub fn unpack(bytes: &[u8]) -> Option<Rested> {
        let (mut record, mut origin) = (Small::default(), None);
        let mut entries = Content::of_record(bytes).ok()?;
        while !entries.is_empty() {
            let (tag, mut content) = entries.entry().ok()?;
            match tag {
                tag if tag == Tag::Marks as u64 => record.read_marks(&mut content)?,
                tag if tag == Tag::Sending as u64 => record.sending = small(content.array()?)?,
                tag if tag == Tag::Outbound as u64 => record.outbound = small(content.array()?)?,
                tag if tag == Tag::Inbound as u64 => record.inbound = small(content.array()?)?,
                tag if tag == Tag::Connection as u64 => record.take_connection(content.array()?)?,
                tag if tag == Tag::Streaming as u64 => record.streaming = content.next()? != 0,
                tag if tag == Tag::Origin as u64 => origin = Some(content.origin()?),
                tag if tag == Tag::Injected as u64 || tag == Tag::Far as u64 => return None,
                _ => {}
            }
        }
        // Alike are those that are told from the same: from just before the first.
        if record.base != 0 && !record.marks.contains(&1) {
            return None;
        }
        let ends = record.ends();
        Some(Rested { record: AtRest(Form::Small(record)), ends, origin })
    }

    /// What `half` measured.
    #[must_use]
    pub fn of(half: &Half) -> AtRest {
        AtRest(match Small::of(half) {
            Some(small) => Form::Small(small),
            None => {
                let mut packed = Vec::new();
                half.pack(None, &mut packed);
                Form::Packed(packed.into())
            }
        })
    }

    /// Has `half`, which has measured nothing yet, measure this.
    pub fn restore(&self, half: &mut Half) {
        match &self.0 {
            Form::Small(small) => small.restore(half),
            // We packed it ourselves.
            Form::Packed(packed) => _ = half.unpack(packed),
        }
    }

    /// What it takes beside itself, in bytes.
    #[must_use]
    pub fn elsewhere(&self) -> usize {
        if let Form::Packed(packed) = &self.0 { packed.len() } else { 0 }
    }
}

impl Small {
    /// The record, if all of it has room.
    fn of(half: &Half) -> Option<Small> {
        let Half { marks, sending, outbound, inbound, connection, http, attempts, .. } = half;
        if half.far.is_some() || !half.injected.is_empty() {
            return None;
        }
        let (base, marks) = marks.since()?;
        let mut record = Small {
            base,
            marks,
            sending: small(sending.numbers())?,
            outbound: small(outbound.numbers())?,
            inbound: small(inbound.numbers())?,
            streaming: half.streaming,
            ..Small::default()
        };
        record.take_connection([*connection, *http, *attempts])?;
        Some(record)
    }

    /// Takes in the connection, the HTTP version and the attempts, if there is room for them.
    fn take_connection(&mut self, [connection, http, attempts]: [u64; 3]) -> Option<()> {
        self.connection = connection.try_into().ok()?;
        self.http = http.try_into().ok()?;
        self.attempts = attempts.try_into().ok()?;
        Some(())
    }

    /// Reads marks, if there is room for them, and they are the first.
    #[inline]
    fn read_marks(&mut self, content: &mut Content<'_>) -> Option<()> {
        let first = content.next()?;
        if first == 0 && content.is_empty() {
            return Some(());
        }
        let base = first.checked_sub(1)?;
        // What is told from 0, or past what 64 bits have room for, would be taken for what it is not.
        if self.base != 0 || base == 0 || base.checked_add(u32::MAX.into()).is_none() {
            return None;
        }
        self.base = base;
        content.marks(|point, after| {
            self.marks[point as usize] = u32::try_from(after).ok()?.checked_add(1)?;
            Some(())
        })
    }

    /// The earliest mark, from just before which all are told, and the latest.
    fn ends(&self) -> Option<(u64, u64)> {
        let last = self.marks.into_iter().fold(0, u32::max);
        (last != 0).then(|| (self.base + 1, self.base + u64::from(last)))
    }

    fn restore(&self, half: &mut Half) {
        half.marks.become_after(self.base, &self.marks);
        half.sending = Sending::from_numbers(large(&self.sending));
        half.outbound = Traffic::from_numbers(large(&self.outbound));
        half.inbound = Traffic::from_numbers(large(&self.inbound));
        half.connection = self.connection.into();
        half.attempts = self.attempts.into();
        half.http = self.http.into();
        half.streaming = self.streaming;
    }
}

/// The numbers in half of their bits, if they have room there.
fn small<const N: usize>(numbers: [u64; N]) -> Option<[u32; N]> {
    let (mut small, mut bits) = ([0; N], 0);
    // All at once: one that is too large leaves a bit among the higher ones.
    for (small, number) in small.iter_mut().zip(numbers) {
        bits |= number;
        *small = number as u32;
    }
    (bits >> 32 == 0).then_some(small)
}

/// The numbers in all of their bits.
fn large<const N: usize>(numbers: &[u32; N]) -> [u64; N] {
    let mut large = [0; N];
    for (large, &number) in large.iter_mut().zip(numbers) {
        *large = number.into();
    }
    large
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::half::Side;

    #[test]
    fn a_record_takes_less_than_half_at_rest_and_one_with_large_numbers_is_packed() {
        assert!(size_of::<AtRest>() * 2 < size_of::<Half>(), "{}", size_of::<AtRest>());
        let mut half = Half::new(Side::Client, (0, 0));
        half.marks.set(Point::CallStart, u64::MAX - 1);
        half.marks.set(Point::CallEnd, u64::MAX);
        half.outbound.wire = u32::MAX.into();
        assert_eq!(AtRest::of(&half).elsewhere(), 0);
        half.outbound.wire += 1;
        assert!(AtRest::of(&half).elsewhere() > 0);
    }

    #[test]
    fn marks_four_seconds_apart_have_room_and_no_other_is_lost() {
        const ROOM: u64 = u32::MAX as u64;
        for first in [1, ROOM, 5 * ROOM, u64::MAX - ROOM, u64::MAX] {
            for (distance, fits) in [(0, true), (1, true), (ROOM - 1, true), (ROOM, false)] {
                let Some(last) = first.checked_add(distance) else { continue };
                for (start, end) in [(first, last), (last, first)] {
                    let mut half = Half::new(Side::Server, (0, 0));
                    half.marks.set(Point::CallStart, start);
                    half.marks.set(Point::HandlerEnd, end);
                    let rested = AtRest::of(&half);
                    assert_eq!(rested.elsewhere() == 0, fits, "{start} {end}");
                    let mut read = Half::new(Side::Server, (0, 0));
                    rested.restore(&mut read);
                    assert_eq!(read, half);
                }
            }
        }
    }
}
