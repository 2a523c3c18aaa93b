//! Numbers seven bits at a time, as protobuf writes them, and what is written with its length before it.

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
pub(crate) fn read(bytes: &mut &[u8]) -> Option<u64> {
    if let [byte @ 0..0x80, rest @ ..] = *bytes {
        *bytes = rest;
        return Some(u64::from(*byte));
    }
    read_longer(bytes)
}

/// The same of a number that has more than one byte.
fn read_longer(bytes: &mut &[u8]) -> Option<u64> {
    // One that ends within the next eight bytes is had without a loop: the first byte without the highest bit ends it.
    if let Some(chunk) = bytes.first_chunk() {
        let word = u64::from_le_bytes(*chunk);
        let ends = !word & ENDS;
        if ends != 0 {
            *bytes = &bytes[ends.trailing_zeros() as usize / 8 + 1..];
            return Some(together(word & (ends ^ (ends - 1))));
        }
    }
    read_bytewise(bytes)
}

/// Reads two bytes and a number off the front, as [`read`] does.
#[inline]
pub(crate) fn read_after_two(bytes: &mut &[u8]) -> Option<([u8; 2], u64)> {
    // Most of such numbers end within the same eight bytes.
    if let Some(chunk) = bytes.first_chunk() {
        let word = u64::from_le_bytes(*chunk);
        let ends = !word & ENDS & !0xffff;
        if ends != 0 {
            *bytes = &bytes[ends.trailing_zeros() as usize / 8 + 1..];
            return Some(([chunk[0], chunk[1]], together((word & (ends ^ (ends - 1))) >> 16)));
        }
    }
    let (&two, mut rest) = bytes.split_first_chunk()?;
    let number = read(&mut rest)?;
    *bytes = rest;
    Some((two, number))
}

/// The highest bit of each byte: where it is not set a number ends.
const ENDS: u64 = 0x8080_8080_8080_8080;

/// Moves together, two by two, what is in eight bytes of seven bits.
#[inline]
fn together(word: u64) -> u64 {
    let word = word & !ENDS;
    let word = word & 0x007f_007f_007f_007f | (word & 0x7f00_7f00_7f00_7f00) >> 1;
    let word = word & 0x0000_3fff_0000_3fff | (word & 0x3fff_0000_3fff_0000) >> 2;
    word & 0x0fff_ffff | (word & 0x0fff_ffff_0000_0000) >> 4
}

/// What [`read`] does, one byte after the other.
fn read_bytewise(bytes: &mut &[u8]) -> Option<u64> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn eight_bytes_at_once_are_read_as_one_after_the_other(
            number in any::<u64>(),
            shift in 0..64,
            after in proptest::collection::vec(any::<u8>(), 0..12),
            bytes in proptest::collection::vec(any::<u8>(), 0..14),
        ) {
            let mut written = Vec::new();
            varint(&mut written, number >> shift);
            written.extend(&after);
            let mut rest = &written[..];
            prop_assert_eq!((read(&mut rest), rest), (Some(number >> shift), &after[..]));
            for any in [&bytes[..], &[&[0x80; 7][..], &bytes].concat()] {
                let (mut quick, mut slow) = (any, any);
                prop_assert_eq!((read(&mut quick), quick), (read_bytewise(&mut slow), slow));
                let (mut both, mut number) = (any, any.get(2..).unwrap_or_default());
                let expected = read_bytewise(&mut number).map(|it| ([any[0], any[1]], it));
                prop_assert_eq!(read_after_two(&mut both), expected);
                prop_assert!(expected.is_none() || both == number);
            }
        }
    }
}
