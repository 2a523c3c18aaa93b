//! Frames cut from a byte stream, however it comes in pieces.

use proptest::prelude::*;

use super::wire::{END_HEADERS, END_STREAM, PREFACE, data, frame, window_update};
use crate::tap::h2_frames::{Block, Event, Frame, Frames};

const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

/// Everything that happened, with runs of data added up per frame.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    begun: Vec<Frame>,
    ended: Vec<(Frame, u64, u64)>,
    blocks: Vec<(Block, Option<Vec<u8>>)>,
}

fn follow<'a>(mut frames: Frames, pieces: impl IntoIterator<Item = &'a [u8]>) -> Seen {
    let mut seen = Seen::default();
    let mut sums = (0, 0);
    for mut piece in pieces {
        while let Some(event) = frames.next(&mut piece) {
            match event {
                Event::Begin(frame) => seen.begun.push(frame),
                Event::Data(_, data, padding) => sums = (sums.0 + data, sums.1 + padding),
                Event::End(frame) => {
                    let (data, padding) = std::mem::take(&mut sums);
                    seen.ended.push((frame, data, padding));
                }
                Event::Block(block) => {
                    seen.blocks.push((block, frames.block().map(<[u8]>::to_vec)));
                }
            }
        }
        assert!(piece.is_empty(), "all bytes are taken");
    }
    seen
}

fn whole(bytes: &[u8]) -> Seen {
    follow(Frames::default(), [bytes])
}

#[test]
fn padding_is_not_payload() {
    let mut payload = vec![7];
    payload.extend([b'x'; 100]);
    payload.extend([0; 7]);
    let seen = whole(&frame(0, PADDED, 1, &payload));
    assert_eq!((seen.ended[0].1, seen.ended[0].2), (100, 8));
    assert_eq!(seen.ended[0].0.length, 108, "flow control counts padding");
}

#[test]
fn a_block_is_put_together_without_padding_and_priority() {
    let mut bytes = frame(1, PADDED | PRIORITY | END_STREAM, 3, b"\x02\0\0\0\0\x10ab\0\0");
    bytes.extend(frame(9, 0, 3, b"cd"));
    bytes.extend(frame(9, END_HEADERS, 3, b"ef"));
    let seen = whole(&bytes);
    let block = Block { stream: 3, frames: 3, length: 14, ends_stream: true };
    assert_eq!(seen.blocks, [(block, Some(b"abcdef".to_vec()))]);
    assert_eq!(block.framing(), 27);
}

#[test]
fn an_overlong_block_is_let_go_and_the_next_one_read() {
    let mut bytes = frame(1, 0, 1, &[b'x'; 16_384]);
    for _ in 0..20 {
        bytes.extend(frame(9, 0, 1, &[b'x'; 16_384]));
    }
    bytes.extend(frame(9, END_HEADERS, 1, b""));
    bytes.extend(frame(1, END_HEADERS, 3, b"ok"));
    let seen = whole(&bytes);
    assert_eq!(seen.blocks[0].1, None);
    assert_eq!(seen.blocks[1].1, Some(b"ok".to_vec()));
}

#[test]
fn overlong_settings_do_no_harm_to_header_blocks() {
    let mut bytes = frame(4, 0, 0, &vec![0; 300 * 1024]);
    bytes.extend(frame(1, END_HEADERS, 1, b"ok"));
    assert_eq!(whole(&bytes).blocks[0].1, Some(b"ok".to_vec()));
}

#[test]
fn padding_longer_than_the_frame_is_no_payload() {
    let seen = whole(&frame(0, PADDED, 1, &[200, 1, 2, 3]));
    assert_eq!((seen.ended[0].1, seen.ended[0].2), (0, 4));
    let seen = whole(&frame(1, PADDED | END_HEADERS, 1, &[200, 1, 2, 3]));
    assert_eq!(seen.blocks[0].1, Some(Vec::new()));
    whole(&frame(0, PADDED, 1, &[]));
    whole(&frame(1, PADDED | PRIORITY | END_HEADERS, 1, &[]));
}

/// The pieces of `bytes` cut at these places.
fn pieces<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut at: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    at.sort_unstable();
    let mut from = 0;
    let mut pieces: Vec<_> =
        at.into_iter().map(|to| &bytes[std::mem::replace(&mut from, to)..to]).collect();
    pieces.push(&bytes[from..]);
    pieces
}

fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop::collection::vec(any::<u8>(), 0..300);
    prop_oneof![
        (any::<u8>(), 0_u8..10, 1_u32..9, payload)
            .prop_map(|(flags, kind, stream, payload)| frame(kind, flags, stream, &payload)),
        (1_u32..9, 0_usize..40_000).prop_map(|(stream, bytes)| data(0, stream, bytes)),
        (0_u32..9, any::<u32>()).prop_map(|(stream, by)| window_update(stream, by)),
    ]
}

proptest! {
    #[test]
    fn any_split_into_reads_gives_the_same_sums(
        frames in prop::collection::vec(any_frame(), 1..20),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..60),
        preface in any::<bool>(),
    ) {
        let frames = frames.concat();
        let expected = whole(&frames);
        let (bytes, follower) = if preface {
            ([PREFACE, &frames].concat(), Frames::after_preface())
        } else {
            (frames, Frames::default())
        };
        prop_assert_eq!(&follow(follower, pieces(&bytes, &cuts)), &expected);
        if bytes.len() < 2_000 {
            let follower = if preface { Frames::after_preface() } else { Frames::default() };
            prop_assert_eq!(&follow(follower, bytes.chunks(1)), &expected);
        }
    }
}
