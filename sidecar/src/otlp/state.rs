//! What the load generator says of a request in `tracestate`: `hoplab=SPAN:CELL:ROUND:NONCE`.
//!
//! The list is the one of W3C's Trace Context: members with commas between them, any white space round each. A
//! member of ours that cannot be read says nothing.

use crate::span::Edge;

/// The key of the lab's member.
const KEY: &str = "hoplab";

/// The span that a `tracestate` names as the generator's; with cell, round and nonce.
pub(super) fn edge(state: &[u8], limit: usize) -> Option<Edge> {
    if state.is_empty() {
        return None;
    }
    let state = std::str::from_utf8(state).ok()?;
    let value = state.split(',').find_map(|member| {
        let (key, value) = member.trim().split_once('=')?;
        (key == KEY).then_some(value)
    })?;
    let (span, rest) = value.split_once(':')?;
    let (rest, nonce) = rest.rsplit_once(':')?;
    // What is left between may have colons itself.
    let (cell, round) = rest.rsplit_once(':')?;
    let plain = span.len() == 16 && span.bytes().all(|digit| digit.is_ascii_hexdigit());
    let span = u64::from_str_radix(span, 16).ok().filter(|&span| plain && span != 0)?;
    if cell.len() > limit || nonce.len() > limit {
        return None;
    }
    Some(Edge { span, cell: cell.into(), round: round.parse().ok()?, nonce: nonce.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(state: &str) -> Option<(u64, String, u32, String)> {
        let Edge { span, cell, round, nonce } = edge(state.as_bytes(), 256)?;
        Some((span, cell.into(), round, nonce.into()))
    }

    #[test]
    fn the_member_is_found_among_others() {
        let expected = Some((0xab, "rest-10B".to_owned(), 2, "n0nce".to_owned()));
        assert_eq!(read("hoplab=00000000000000ab:rest-10B:2:n0nce"), expected);
        assert_eq!(read("a=b,\t hoplab=00000000000000AB:rest-10B:2:n0nce , c@d=e"), expected);
        let colons = read("hoplab=00000000000000ab:a:b:2:").unwrap();
        assert_eq!((colons.1.as_str(), colons.2, colons.3.as_str()), ("a:b", 2, ""));
    }

    #[test]
    fn what_cannot_be_read_says_nothing() {
        for state in [
            "",
            "hoplab",
            "hoplab=1:c:0:n",
            "hoplab=0000000000000000:c:0:n",
            "hoplab=+0000000000000ab:c:0:n",
            "hoplab=00000000000000ab:c:n",
            "hoplab=00000000000000ab:c:-1:n",
            "xhoplab=00000000000000ab:c:0:n",
            "hoplab=00000000000000éb:c:0:n",
        ] {
            assert_eq!(read(state), None, "{state}");
        }
        assert_eq!(edge(b"\xff", 256), None);
        let long = format!("hoplab=00000000000000ab:{}:0:n", "c".repeat(300));
        assert_eq!(read(&long), None);
    }
}
