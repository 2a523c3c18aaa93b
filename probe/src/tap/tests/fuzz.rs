//! Corpora of what peers may send, and what can be made of them, read by the tap.

use std::path::Path;

use ledger::Side;

use super::wire::TappedConnection;
use crate::tap::hpack;

fn fuzz(name: &str, target: impl Fn(&[u8])) {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    test_parts::fuzz(name, &corpora.join(name), target);
}

/// Reads and writes pieces of the input on one side of a connection. Its first byte says how long they are.
fn follow(side: Side, http2: bool, input: &[u8]) {
    let Some((&first, rest)) = input.split_first() else { return };
    let mut tapped = TappedConnection::new(side, http2);
    for (number, piece) in rest.chunks(usize::from(first).max(1) * 4).enumerate() {
        // Mostly in the direction in which requests go.
        if (number % 4 == 3) == (side == Side::Client) {
            tapped.read(piece)
        } else {
            tapped.write(piece)
        }
        if side == Side::Server {
            tapped.read(piece);
        }
    }
    tapped.conn = None;
    assert_eq!(tapped.unclaimed(), 0);
}

#[test]
fn no_http_1_1_of_the_corpus_or_made_of_it_makes_the_tap_panic_or_leak() {
    fuzz("h1", |input| {
        follow(Side::Server, false, input);
        follow(Side::Client, false, input);
    });
}

#[test]
fn no_http_2_of_the_corpus_or_made_of_it_makes_the_tap_panic_or_leak() {
    fuzz("h2", |input| {
        follow(Side::Server, true, input);
        follow(Side::Client, true, input);
    });
}

#[test]
fn no_header_block_of_the_corpus_or_made_of_it_makes_the_follower_panic() {
    fuzz("hpack", |input| {
        let mut follower = hpack::Follower::default();
        for block in input.chunks(40) {
            if follower.block(block).is_err() {
                return;
            }
        }
    });
}
