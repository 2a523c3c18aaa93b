//! What a load generator says of a request in W3C's `tracestate`: `hoplab=SPAN:CELL:ROUND:NONCE`.
//!
//! Generators write it, services pass it on, SDKs export it, the sidecar reads it: here is the one form. The list
//! that it is a member of, and its limits, are W3C's business and that of those who speak HTTP.

/// Key of the lab's member.
pub const KEY: &str = "hoplab";

/// The longest value of a member (<https://www.w3.org/TR/trace-context/#value>).
const LONGEST: usize = 256;
/// The span and its colon.
const SPAN: usize = 17;

/// The edge of a request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Edge {
    /// Span of the generator: the parent of the edge, or the edge itself. Never zero.
    pub span: u64,
    /// Cell of the plan; empty where there is none.
    pub cell: Box<str>,
    /// Round of the cell.
    pub round: u32,
    /// Nonce of the run.
    pub nonce: Box<str>,
}

impl Edge {
    /// The member that says it.
    #[must_use]
    pub fn member(&self) -> String {
        format!("{KEY}={:016x}:{}", self.span, said(&self.cell, self.round, &self.nonce))
    }

    /// Reads the member's value; `None` if it is written in any other way.
    #[must_use]
    pub fn read(value: &str) -> Option<Edge> {
        let (span, rest) = value.split_once(':')?;
        let (rest, nonce) = rest.rsplit_once(':')?;
        // What is left between may have colons itself, where somebody wrote it by hand.
        let (cell, round) = rest.rsplit_once(':')?;
        let plain = span.len() == 16 && span.bytes().all(|digit| digit.is_ascii_hexdigit());
        let span = u64::from_str_radix(span, 16).ok().filter(|&span| plain && span != 0)?;
        let cell = decoded(cell)?.into();
        Some(Edge { span, cell, round: round.parse().ok()?, nonce: nonce.into() })
    }
}

/// `CELL:ROUND:NONCE`, the part of a member that is the same for all requests of a round. A cell's name that is too
/// long for a member is left out: the load generator's own span has it, too.
#[must_use]
pub fn said(cell: &str, round: u32, nonce: &str) -> String {
    let said = |cell: &str| format!("{cell}:{round}:{nonce}");
    let whole = said(&encoded(cell));
    if SPAN + whole.len() <= LONGEST { whole } else { said("") }
}

/// A cell's name in characters that a member's value may have: what is no letter, digit or one of `-_.` is written
/// as `%` and two hexadecimal digits for each byte, as in URLs.
fn encoded(cell: &str) -> String {
    let mut text = String::with_capacity(cell.len());
    for byte in cell.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

/// The name that was encoded so. A `%` without two hexadecimal digits after it stands for itself.
fn decoded(text: &str) -> Option<String> {
    let digit = |byte: Option<&u8>| byte.and_then(|&byte| char::from(byte).to_digit(16));
    let bytes = text.as_bytes();
    let (mut name, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(&byte) = bytes.get(at) {
        match (byte, digit(bytes.get(at + 1)), digit(bytes.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                name.push((high * 16 + low) as u8);
                at += 3;
            }
            _ => {
                name.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(name).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// <https://www.w3.org/TR/trace-context/#value>.
    fn is_value(text: &str) -> bool {
        text.len() <= LONGEST
            && text.bytes().all(|byte| matches!(byte, b' '..=b'~') && !b",=".contains(&byte))
            && text.bytes().last().is_some_and(|last| last != b' ')
    }

    #[test]
    fn an_edge_is_said_as_generators_say_it() {
        let edge = Edge { span: 0xab, cell: "rest 10%,ä".into(), round: 2, nonce: "n0nce".into() };
        assert_eq!(edge.member(), "hoplab=00000000000000ab:rest%2010%25%2C%C3%A4:2:n0nce");
    }

    #[test]
    fn what_somebody_writes_by_hand_is_read_too() {
        let read = |value| Edge::read(value).map(|edge| (edge.span, edge.cell.into(), edge.round));
        let expected = |cell: &str| Some((0xab, cell.to_owned(), 2));
        assert_eq!(read("00000000000000AB:rest-10B:2:n"), expected("rest-10B"));
        assert_eq!(read("00000000000000ab:a:b:2:"), expected("a:b"));
        assert_eq!(read("00000000000000ab:100%:2:n"), expected("100%"));
        assert_eq!(read("00000000000000ab:%2x%zz%:2:n"), expected("%2x%zz%"));
    }

    #[test]
    fn what_cannot_be_read_says_nothing() {
        for value in [
            "",
            "1:c:0:n",
            "0000000000000000:c:0:n",
            "+0000000000000ab:c:0:n",
            "00000000000000ab:c:n",
            "00000000000000ab:c:-1:n",
            "00000000000000éb:c:0:n",
            "00000000000000ab:%ff:0:n",
        ] {
            assert_eq!(Edge::read(value), None, "{value}");
        }
    }

    proptest! {
        #[test]
        fn any_cell_is_said_in_a_members_characters_and_read_back(
            span in 1_u64.., cell in any::<String>(), round: u32, nonce in "[0-9a-f]{0,32}",
        ) {
            let edge = Edge { span, cell: cell.as_str().into(), round, nonce: nonce.into() };
            let member = edge.member();
            let value = member.strip_prefix("hoplab=").unwrap();
            prop_assert!(is_value(value), "{}", value);
            let read = Edge::read(value).unwrap();
            let long = SPAN + format!("{}:{round}:{}", encoded(&cell), edge.nonce).len() > LONGEST;
            prop_assert_eq!(read, if long { Edge { cell: "".into(), ..edge } } else { edge });
        }

        #[test]
        fn no_value_makes_reading_panic(value in any::<String>()) {
            let _ = Edge::read(&value);
        }
    }
}
