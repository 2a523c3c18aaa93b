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

/// What the `tracestate` of a span says of its request beside where that begins.
#[derive(Debug)]
pub(super) struct State {
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

    /// What `state` says: the span that is the edge of the request, or its parent, and what is the same for all requests of
    /// the round. Nothing, if a text in it is too long.
    pub(super) fn read(&mut self, state: &[u8]) -> Option<(u64, &State)> {
        if state.is_empty() {
            return None;
        }
        let edge = match self.known(state) {
            Some(edge) => edge,
            None => self.read_anew(state)?,
        };
        self.latest.as_ref().map(|(_, state)| (edge, state))
    }

    /// The edge that `state` names; what else it says is the latest then.
    fn read_anew(&mut self, state: &[u8]) -> Option<u64> {
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
        let said = Arc::new(Said { run, cell: cell.into(), round });
        self.latest = Some((rest.as_bytes().into(), State { said, claims, believed }));
        Some(edge)
    }

    /// The edge that `state` names, if it has but our member, and that says the same as the latest did.
    fn known(&self, state: &[u8]) -> Option<u64> {
        let value = state.strip_prefix(KEY.as_bytes())?.strip_prefix(b"=")?;
        let (digits, rest) = value.split_first_chunk::<DIGITS>()?;
        let same = self.latest.as_ref().is_some_and(|(latest, _)| **latest == *rest);
        if same { number(digits).filter(|&edge| edge != 0) } else { None }
    }
}

/// The number that these digits are.
fn number(digits: &[u8; DIGITS]) -> Option<u64> {
    let (mut number, mut other) = (0, 0);
    for &digit in digits {
        let value = VALUES[usize::from(digit)];
        number = number << 4 | u64::from(value & 15);
        other |= value & 16;
    }
    (other == 0).then_some(number)
}

/// The value of each character as a hexadecimal digit; 16 of what is none.
static VALUES: [u8; 256] = {
    let mut values = [16; 256];
    let mut value = 0;
    while value < 16 {
        values[b"0123456789abcdef"[value] as usize] = value as u8;
        values[b"0123456789ABCDEF"[value] as usize] = value as u8;
        value += 1;
    }
    values
};

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
        let mut states = States::of(&runs);
        let read = states.read(said.as_bytes());
        read.map(|(edge, state)| (edge, state.said.cell.to_string()))
    }

    #[test]
    fn cells_are_believed_of_who_has_the_nonce_of_the_open_run_alone() {
        let runs = Runs::default();
        let believed = |nonce: &str| {
            let state = format!("hoplab=00000000000000ab:c:2:{nonce}");
            let mut states = States::of(&runs);
            let (_, State { said, believed, claims }) = states.read(state.as_bytes())?;
            assert!(claims);
            Some((*believed, said.cell.to_string(), said.round, said.run != Run::NONE))
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
            let (edge, state) = states.read(state.as_bytes()).unwrap();
            (edge, Arc::clone(&state.said))
        };
        let (first, second, third) = (read(1, 7), read(2, 7), read(1, 8));
        assert_eq!((first.0, second.0), (1, 2));
        assert!(Arc::ptr_eq(&first.1, &second.1) && third.1.round == 8);
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
