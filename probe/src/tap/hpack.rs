//! Follows HPACK header blocks far enough to find one header: `traceparent`.
//!
//! Which call a HTTP/2 stream belongs to is not told by the libraries above the tap, but the span
//! id in the header says it exactly. Finding it means following the dynamic table (RFC 7541), since
//! a peer may have indexed the header; of every other entry only its size is kept.

use std::collections::VecDeque;
use std::sync::OnceLock;

use httlib_huffman::DecoderSpeed;

use crate::context::{SpanContext, TRACEPARENT};

/// Each dynamic entry counts its name, its value and this overhead (RFC 7541, section 4.1).
const ENTRY_OVERHEAD: usize = 32;
/// The table's size before any update (RFC 7540, section 6.5.2).
const DEFAULT_TABLE: usize = 4_096;
/// A table larger than this is not followed: the peer never needs it, and memory stays bounded.
const LARGEST_TABLE: usize = 1 << 20;
/// Lengths of the names in the static table (RFC 7541, appendix A).
const STATIC_NAMES: [u8; 61] = [
    10, 7, 7, 5, 5, 7, 7, 7, 7, 7, 7, 7, 7, 7, 14, 15, 15, 13, 6, 27, 3, 5, 13, 13, 19, 16, 16, 14,
    16, 13, 12, 6, 4, 4, 6, 7, 4, 4, 8, 17, 13, 8, 19, 13, 4, 8, 12, 18, 19, 5, 7, 7, 11, 6, 10,
    25, 17, 10, 4, 3, 16,
];

/// A header block that breaks the rules: what follows on the connection cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// What a field says of the trace: nothing, unless it is a `traceparent`; then the context in it, if it is well-formed.
type Parent = Option<Option<SpanContext>>;

/// An entry of the dynamic table, as far as it matters.
#[derive(Debug, Clone, Copy)]
struct Entry {
    name_length: usize,
    size: usize,
    parent: Parent,
}

/// The decoder side of one direction of a connection.
#[derive(Debug)]
pub(super) struct Follower {
    entries: VecDeque<Entry>,
    size: usize,
    limit: usize,
    scratch: Vec<u8>,
}

impl Default for Follower {
    fn default() -> Self {
        Follower { entries: VecDeque::new(), size: 0, limit: DEFAULT_TABLE, scratch: Vec::new() }
    }
}

impl Follower {
    /// Reads one complete header block and answers the context in its `traceparent`, if it has one and no more.
    pub(super) fn block(&mut self, mut block: &[u8]) -> Result<Option<SpanContext>, Malformed> {
        let mut found: Parent = None;
        while let Some(&first) = block.first() {
            let parent = match first {
                0x80.. => {
                    let index = integer(&mut block, 7)?;
                    self.indexed(index)?
                }
                0x40..=0x7f => self.literal(&mut block, 6, true)?,
                0x20..=0x3f => {
                    self.resize(integer(&mut block, 5)?)?;
                    None
                }
                _ => self.literal(&mut block, 4, false)?,
            };
            // Of two none is believed, here as in the server above.
            found = if found.is_some() && parent.is_some() { Some(None) } else { found.or(parent) };
        }
        Ok(found.flatten())
    }

    fn indexed(&self, index: usize) -> Result<Parent, Malformed> {
        match index {
            0 => Err(Malformed),
            1..=61 => Ok(None),
            _ => self.entries.get(index - 62).map(|entry| entry.parent).ok_or(Malformed),
        }
    }

    fn literal(
        &mut self,
        block: &mut &[u8],
        prefix: u32,
        index_it: bool,
    ) -> Result<Parent, Malformed> {
        let (name_length, traced) = match integer(block, prefix)? {
            0 => self.name(block)?,
            index @ 1..=61 => (usize::from(STATIC_NAMES[index - 1]), false),
            index => {
                let entry = self.entries.get(index - 62).ok_or(Malformed)?;
                (entry.name_length, entry.parent.is_some())
            }
        };
        let (huffman, raw) = string(block)?;
        if !traced && !index_it {
            return Ok(None);
        }
        let value = if huffman { self.expand(raw)? } else { raw };
        let value_length = value.len();
        let parent = traced.then(|| SpanContext::parse(value));
        if index_it {
            let size = name_length + value_length + ENTRY_OVERHEAD;
            self.insert(Entry { name_length, size, parent });
        }
        Ok(parent)
    }

    /// Reads a literal name: its length, and whether it is the one looked for.
    fn name(&mut self, block: &mut &[u8]) -> Result<(usize, bool), Malformed> {
        let (huffman, raw) = string(block)?;
        if !huffman {
            return Ok((raw.len(), raw == TRACEPARENT.as_bytes()));
        }
        if raw == traceparent_in_huffman() {
            return Ok((TRACEPARENT.len(), true));
        }
        Ok((self.expand(raw)?.len(), false))
    }

    fn expand(&mut self, raw: &[u8]) -> Result<&[u8], Malformed> {
        self.scratch.clear();
        if digits(raw, &mut self.scratch) {
            return Ok(&self.scratch);
        }
        self.scratch.clear();
        httlib_huffman::decode(raw, &mut self.scratch, DecoderSpeed::FiveBits)
            .map_err(|_| Malformed)?;
        Ok(&self.scratch)
    }

    fn insert(&mut self, entry: Entry) {
        self.size += entry.size;
        self.entries.push_front(entry);
        self.evict();
    }

    fn resize(&mut self, limit: usize) -> Result<(), Malformed> {
        if limit > LARGEST_TABLE {
            return Err(Malformed);
        }
        self.limit = limit;
        self.evict();
        Ok(())
    }

    fn evict(&mut self) {
        while self.size > self.limit {
            let Some(entry) = self.entries.pop_back() else {
                break;
            };
            self.size -= entry.size;
        }
    }
}

/// Decodes a Huffman string that holds nothing but lower-case hexadecimal digits and dashes; answers
/// whether it does. These have the codes of five and six bits, and the one value that is read of every
/// request consists of them.
fn digits(raw: &[u8], text: &mut Vec<u8>) -> bool {
    let (mut bits, mut have) = (0_u64, 0_u32);
    let mut bytes = raw.iter();
    loop {
        while have <= 56 {
            let Some(&byte) = bytes.next() else { break };
            bits = bits << 8 | u64::from(byte);
            have += 8;
        }
        // Past the end stands padding, which is ones (RFC 7541, section 5.2).
        let window =
            if have >= 6 { bits >> (have - 6) } else { bits << (6 - have) | (0x3f >> have) };
        let (character, length) = DIGITS[(window & 0x3f) as usize];
        if length == 0 || u32::from(length) > have {
            return have < 8 && bits & ((1 << have) - 1) == (1 << have) - 1;
        }
        text.push(character);
        have -= u32::from(length);
    }
}

/// By the next six bits: the character and the length of its code, 0 if it is another's
/// (RFC 7541, appendix B).
const DIGITS: [(u8, u8); 64] = {
    const FIVE: [(u8, usize); 6] =
        [(b'0', 0), (b'1', 1), (b'2', 2), (b'a', 3), (b'c', 4), (b'e', 5)];
    const SIX: [(u8, usize); 11] = [
        (b'-', 0x16),
        (b'3', 0x19),
        (b'4', 0x1a),
        (b'5', 0x1b),
        (b'6', 0x1c),
        (b'7', 0x1d),
        (b'8', 0x1e),
        (b'9', 0x1f),
        (b'b', 0x23),
        (b'd', 0x24),
        (b'f', 0x25),
    ];
    let mut table = [(0, 0); 64];
    let mut at = 0;
    while at < FIVE.len() {
        let (character, code) = FIVE[at];
        table[code << 1] = (character, 5);
        table[code << 1 | 1] = (character, 5);
        at += 1;
    }
    at = 0;
    while at < SIX.len() {
        let (character, code) = SIX[at];
        table[code] = (character, 6);
        at += 1;
    }
    table
};

fn traceparent_in_huffman() -> &'static [u8] {
    static ENCODED: OnceLock<Vec<u8>> = OnceLock::new();
    ENCODED.get_or_init(|| {
        let mut encoded = Vec::new();
        httlib_huffman::encode(TRACEPARENT.as_bytes(), &mut encoded)
            .expect("every ASCII letter has a code");
        encoded
    })
}

/// Reads an integer with a prefix of `bits` bits (RFC 7541, section 5.1).
fn integer(block: &mut &[u8], bits: u32) -> Result<usize, Malformed> {
    let (&first, mut rest) = block.split_first().ok_or(Malformed)?;
    let most = (1_usize << bits) - 1;
    let mut value = usize::from(first) & most;
    if value == most {
        for shift in (0..=28).step_by(7) {
            let (&next, after) = rest.split_first().ok_or(Malformed)?;
            rest = after;
            value += usize::from(next & 0x7f) << shift;
            if next & 0x80 == 0 {
                *block = rest;
                return Ok(value);
            }
        }
        return Err(Malformed);
    }
    *block = rest;
    Ok(value)
}

/// Reads a string as it is encoded: whether by Huffman's code, and its bytes.
fn string<'a>(block: &mut &'a [u8]) -> Result<(bool, &'a [u8]), Malformed> {
    let huffman = block.first().ok_or(Malformed)? & 0x80 != 0;
    let length = integer(block, 7)?;
    let (text, rest) = block.split_at_checked(length).ok_or(Malformed)?;
    *block = rest;
    Ok((huffman, text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn digits_decode_as_the_library_decodes_them(text in "[0-9a-f-]{0,80}", other in "[ -~]{0,20}") {
            for text in [text.clone(), format!("{text}{other}")] {
                let (mut encoded, mut fast) = (Vec::new(), Vec::new());
                httlib_huffman::encode(text.as_bytes(), &mut encoded).unwrap();
                let plain = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-'));
                prop_assert_eq!(super::digits(&encoded, &mut fast), plain, "{}", text);
                if plain {
                    prop_assert_eq!(fast, text.as_bytes());
                }
            }
        }

        #[test]
        fn no_bytes_make_digits_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            super::digits(&bytes, &mut Vec::new());
        }
    }
}
