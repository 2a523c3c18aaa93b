//! Finds in an exported `tracestate` what the load generator says of a request.
//!
//! The list is the one of W3C's Trace Context: members with commas between them, any white space round each. A
//! member of ours that cannot be read says nothing.

use ledger::Edge;
use ledger::edge::KEY;

/// The edge that a `tracestate` names; none whose texts are longer than `limit`.
pub(super) fn edge(state: &[u8], limit: usize) -> Option<Edge> {
    if state.is_empty() {
        return None;
    }
    let state = std::str::from_utf8(state).ok()?;
    let value = state.split(',').find_map(|member| {
        let (key, value) = member.trim().split_once('=')?;
        (key == KEY).then_some(value)
    })?;
    Edge::read(value).filter(|edge| edge.cell.len() <= limit && edge.nonce.len() <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(state: &str) -> Option<(u64, String)> {
        edge(state.as_bytes(), 256).map(|edge| (edge.span, edge.cell.into()))
    }

    #[test]
    fn the_member_is_found_among_others() {
        let expected = Some((0xab, "rest-10B".to_owned()));
        assert_eq!(read("hoplab=00000000000000ab:rest-10B:2:n0nce"), expected);
        assert_eq!(read("a=b,\t hoplab=00000000000000AB:rest-10B:2:n0nce , c@d=e"), expected);
    }

    #[test]
    fn what_cannot_be_read_says_nothing() {
        for state in ["", "hoplab", "hoplab=1:c:0:n", "xhoplab=00000000000000ab:c:0:n"] {
            assert_eq!(read(state), None, "{state}");
        }
        assert_eq!(edge(b"\xff", 256), None);
        let long = format!("hoplab=00000000000000ab:{}:0:n", "c".repeat(300));
        assert_eq!(read(&long), None);
    }
}
