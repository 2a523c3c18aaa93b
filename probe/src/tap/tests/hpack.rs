//! Header blocks made by a real encoder, and blocks that nobody should make.

use httlib_hpack::Encoder;
use proptest::prelude::*;

use crate::context::SpanContext;
use crate::tap::hpack::{Follower, Malformed};

const INDEXED: u8 = Encoder::WITH_INDEXING | Encoder::BEST_FORMAT;
const HUFFMAN: u8 = Encoder::HUFFMAN_NAME | Encoder::HUFFMAN_VALUE;

/// An encoder and the follower of what it makes.
struct Pair {
    encoder: Encoder<'static>,
    follower: Follower,
}

impl Pair {
    fn new() -> Self {
        Pair { encoder: Encoder::with_dynamic_size(4_096), follower: Follower::default() }
    }

    fn block(&mut self, fields: &[(&str, String, u8)]) -> Result<Option<SpanContext>, Malformed> {
        let mut block = Vec::new();
        for (name, value, flags) in fields {
            let field = (name.as_bytes().to_vec(), value.clone().into_bytes(), *flags);
            self.encoder.encode(field, &mut block).unwrap();
        }
        self.follower.block(&block)
    }

    fn traced(&mut self, context: SpanContext, flags: u8) -> Option<SpanContext> {
        let fields = [
            (":method", "POST".to_owned(), Encoder::BEST_FORMAT),
            (":path", "/lab.v1.Echo/Echo".to_owned(), INDEXED),
            ("traceparent", context.header(), flags),
            ("te", "trailers".to_owned(), INDEXED),
        ];
        self.block(&fields).unwrap()
    }
}

#[test]
fn a_traceparent_is_found_in_every_representation() {
    for indexing in [0, Encoder::NEVER_INDEXED, INDEXED] {
        for huffman in [0, HUFFMAN, Encoder::HUFFMAN_NAME, Encoder::HUFFMAN_VALUE] {
            let mut pair = Pair::new();
            for _ in 0..100 {
                let context = SpanContext::new_root(true);
                // Sent again, an indexed field is an index only.
                for _ in 0..2 {
                    let found = pair.traced(context, indexing | huffman);
                    assert_eq!(found, Some(context), "{indexing:x} {huffman:x}");
                }
            }
        }
    }
}

#[test]
fn a_block_without_traceparent_belongs_to_no_call() {
    let mut pair = Pair::new();
    pair.traced(SpanContext::new_root(true), INDEXED);
    let fields = [(":method", "GET".to_owned(), INDEXED), ("te", "trailers".to_owned(), INDEXED)];
    assert_eq!(pair.block(&fields), Ok(None));
}

#[test]
fn of_two_traceparents_none_is_believed_in_any_representation() {
    for first in [0, INDEXED, Encoder::NEVER_INDEXED] {
        for second in [0, INDEXED, HUFFMAN, INDEXED | HUFFMAN] {
            let context = SpanContext::new_root(true);
            for other in
                [context.header(), SpanContext::new_root(true).header(), "garbage".to_owned()]
            {
                let mut pair = Pair::new();
                let fields = [
                    ("traceparent", context.header(), first),
                    ("te", "trailers".to_owned(), INDEXED),
                    ("traceparent", other, second),
                ];
                // Sent again, an indexed field is an index only.
                for _ in 0..2 {
                    assert_eq!(pair.block(&fields), Ok(None));
                    let [one, ..] = &fields;
                    assert_eq!(pair.block(std::slice::from_ref(one)), Ok(Some(context)));
                }
                let [.., garbage] = fields;
                let alone = SpanContext::parse(garbage.1.as_bytes());
                assert_eq!(pair.block(&[garbage]), Ok(alone));
            }
        }
    }
}

#[test]
fn evicted_entries_and_table_sizes_are_followed() {
    let mut pair = Pair::new();
    for round in 0..500_u32 {
        if round % 50 == 10 {
            let size = [0, 100, 200, 4_096][round as usize / 50 % 4];
            let mut update = Vec::new();
            pair.encoder.update_max_dynamic_size(size, &mut update).unwrap();
            assert_eq!(pair.follower.block(&update), Ok(None));
        }
        let filler = "x".repeat(round as usize % 300);
        assert_eq!(pair.block(&[("x-filler", filler, INDEXED)]), Ok(None));
        let context = SpanContext::new_root(round % 2 == 0);
        assert_eq!(pair.traced(context, INDEXED), Some(context), "round {round}");
    }
}

#[test]
fn integers_past_their_limit_and_indexes_past_the_table_are_malformed() {
    let blocks: [&[u8]; 9] = [
        &[0x80],
        &[0xff, 0x80],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
        &[0xbe],
        &[0x7f, 0xff, 0xff, 0xff, 0xff, 0x0f],
        &[0x00, 0x7f, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x00],
        &[0x40, 0x05, b'a'],
        &[0x3f, 0xff, 0xff, 0xff, 0xff, 0x0f],
        &[0x40],
    ];
    for block in blocks {
        assert_eq!(Follower::default().block(block), Err(Malformed), "{block:x?}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(blocks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..20)) {
        let mut follower = Follower::default();
        for block in blocks {
            let _ = follower.block(&block);
        }
    }

    #[test]
    fn any_mixture_of_fields_is_followed(
        fields in prop::collection::vec(("[a-z]{1,8}", "[ -~]{0,60}", 0_u8..6, any::<bool>()), 1..200),
    ) {
        let mut pair = Pair::new();
        for (name, value, how, traced) in fields {
            let huffman = if how & 1 == 1 { HUFFMAN } else { 0 };
            let indexing = [0, INDEXED, Encoder::NEVER_INDEXED][usize::from(how / 2)];
            pair.block(&[(&name, value, indexing | huffman)]).unwrap();
            if traced {
                let context = SpanContext::new_root(true);
                prop_assert_eq!(pair.traced(context, indexing | huffman), Some(context));
            }
        }
    }
}
