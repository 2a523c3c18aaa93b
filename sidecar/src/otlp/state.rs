//! Finds in an exported `tracestate` what the load generator says of a request.
//!
//! The list is the one of W3C's Trace Context: members with commas between them, any white space round each. A
//! member of ours that cannot be read says nothing. Who says it, and whether that is believed, is settled here, too.

use std::sync::Arc;

use ledger::Edge;
use ledger::edge::KEY;

use super::limits::NAME_BYTES;
use crate::runs::{Run, Runs};
use crate::span::Said;

/// What the `tracestate` of a span says of its request.
#[derive(Debug, Clone)]
pub(super) struct State {
    /// The span that is the edge of the request, or its parent.
    pub(super) edge: u64,
    pub(super) said: Arc<Said>,
    /// It names a cell.
    pub(super) claims: bool,
    /// It has the nonce of the run that is open.
    pub(super) believed: bool,
}

/// Reads the `tracestate` of spans of one export. What follows the edge is the same for all requests of a round.
#[derive(Debug)]
pub(super) struct States<'r> {
    runs: &'r Runs,
    /// What followed the edge of the latest, and what that said.
    latest: Option<(Box<[u8]>, State)>,
}

impl<'r> States<'r> {
    pub(super) fn of(runs: &'r Runs) -> States<'r> {
        States { runs, latest: None }
    }

    /// What `state` says; nothing, if a text in it is too long.
    pub(super) fn read(&mut self, state: &[u8]) -> Option<State> {
        if state.is_empty() {
            return None;
        }
        if let Some(known) = self.known(state) {
            return Some(known);
        }
        let value = member(state)?;
        let (_, rest) = value.split_at_checked(DIGITS)?;
        let Edge { span: edge, cell, round, nonce } = Edge::read(value)?;
        if cell.len() > NAME_BYTES || nonce.len() > NAME_BYTES {
            return None;
        }
        let (run, believed) = self.runs.find(&nonce).unwrap_or((Run::NONE, false));
        let claims = !cell.is_empty();
        // Where the request begins is true all the same.
        let (cell, round) = if believed { (cell, round) } else { Default::default() };
        let state = State {
            edge,
            said: Arc::new(Said { run, cell: cell.into(), round }),
            claims,
            believed,
        };
        self.latest = Some((rest.as_bytes().into(), state.clone()));
        Some(state)
    }

    /// What `state` says, if it has but our member, and that says the same as the latest did.
    fn known(&self, state: &[u8]) -> Option<State> {
        let value = state.strip_prefix(KEY.as_bytes())?.strip_prefix(b"=")?;
        let (digits, rest) = value.split_first_chunk::<DIGITS>()?;
        let (_, latest) = self.latest.as_ref().filter(|(latest, _)| **latest == *rest)?;
        let edge = digits.iter().try_fold(0, |number, &digit| {
            Some(number << 4 | u64::from(char::from(digit).to_digit(16)?))
        });
        Some(State { edge: edge.filter(|&edge| edge != 0)?, ..latest.clone() })
    }
}

/// Hexadecimal digits of the edge, at the beginning of the value.
const DIGITS: usize = 16;

/// The value of the lab's member.
fn member(state: &[u8]) -> Option<&str> {
    std::str::from_utf8(state).ok()?.split(',').find_map(|member| {
        let (key, value) = member.trim().split_once('=')?;
        (key == KEY).then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(state: &str) -> Option<(u64, String)> {
        let runs = Runs::default();
        let said = state.replace("n0nce", &runs.open().unwrap().1);
        let read = States::of(&runs).read(said.as_bytes());
        read.map(|state| (state.edge, state.said.cell.to_string()))
    }

    #[test]
    fn cells_are_believed_of_who_has_the_nonce_of_the_open_run_alone() {
        let runs = Runs::default();
        let believed = |nonce: &str| {
            let state = format!("hoplab=00000000000000ab:c:2:{nonce}");
            let State { said, believed, claims, .. } = States::of(&runs).read(state.as_bytes())?;
            assert!(claims);
            Some((believed, said.cell.to_string(), said.round, said.run != Run::NONE))
        };
        let not_believed = Some((false, String::new(), 0, false));
        for nonce in ["", "guess"] {
            assert_eq!(believed(nonce), not_believed, "no run is open");
        }
        let nonce = runs.open().unwrap().1;
        assert_eq!(believed(&nonce), Some((true, "c".to_owned(), 2, true)));
        for nonce in ["", "guess"] {
            assert_eq!(believed(nonce), not_believed);
        }
        assert_ne!(nonce, runs.open().unwrap().1);
        // A run that is over has no say, but it is known which it was.
        assert_eq!(believed(&nonce), Some((false, String::new(), 0, true)));
    }

    #[test]
    fn spans_of_one_round_share_what_is_said_of_it() {
        let runs = Runs::default();
        let nonce = runs.open().unwrap().1;
        let mut states = States::of(&runs);
        let mut read = |span: u64, round: u32| {
            let state = format!("hoplab={span:016x}:c:{round}:{nonce}");
            states.read(state.as_bytes()).unwrap()
        };
        let (first, second, third) = (read(1, 7), read(2, 7), read(1, 8));
        assert_eq!((first.edge, second.edge), (1, 2));
        assert!(Arc::ptr_eq(&first.said, &second.said) && third.said.round == 8);
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
        assert!(States::of(&Runs::default()).read(b"\xff").is_none());
        let long = format!("hoplab=00000000000000ab:{}:0:n", "c".repeat(300));
        assert_eq!(read(&long), None);
    }
}
