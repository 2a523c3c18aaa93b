//! A record at rest: what a [`Half`] measured, in less than half of the memory, to be had again without reading bytes.
//!
//! Most of the time that a span is held nobody looks at what it measured. Nearly all numbers have room in 32 bits, once
//! marks are told from the first of them. A record that has larger ones, or what few have (delays, a far face), rests
//! as packed bytes.

use crate::half::Half;
use crate::marks::{Point, Sending, Traffic};

/// What a [`Half`] measured, at rest: the same as its packed form says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AtRest(Form);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    Small(Small),
    Packed(Box<[u8]>),
}

/// A record of small numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
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

impl AtRest {
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
        Some(Small {
            base,
            marks,
            sending: small(sending.numbers())?,
            outbound: small(outbound.numbers())?,
            inbound: small(inbound.numbers())?,
            connection: (*connection).try_into().ok()?,
            attempts: (*attempts).try_into().ok()?,
            http: (*http).try_into().ok()?,
            streaming: half.streaming,
        })
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
    fn marks_two_seconds_before_and_after_the_first_listed_have_room_and_no_other_is_lost() {
        const ROOM: u64 = 1 << 31;
        for base in [1, ROOM, 5 * ROOM, u64::MAX - ROOM, u64::MAX] {
            for (distance, fits) in
                [(0, true), (1, true), (ROOM - 1, true), (ROOM, false), (ROOM + 1, false)]
            {
                for at in [base.checked_sub(distance), base.checked_add(distance)] {
                    // 0 stands for a mark that was not taken.
                    let Some(at) = at.filter(|&at| at != 0) else { continue };
                    let mut half = Half::new(Side::Server, (0, 0));
                    half.marks.set(Point::CallStart, base);
                    half.marks.set(Point::HandlerEnd, at);
                    let rested = AtRest::of(&half);
                    assert_eq!(rested.elsewhere() == 0, fits, "{base} {at}");
                    let mut read = Half::new(Side::Server, (0, 0));
                    rested.restore(&mut read);
                    assert_eq!(read, half);
                }
            }
        }
    }
}
