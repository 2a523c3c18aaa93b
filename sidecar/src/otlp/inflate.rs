//! Undoing gzip and zstd, as a stream and no further than a limit: a few bytes can stand for gigabytes.

use std::io::Read;

use bytes::Bytes;

use super::refuse::{Cause, Refusal};
use crate::budget::Share;

/// The largest export after inflating, in bytes: some 35,000 of our spans.
pub(super) const MAX_BYTES: usize = 16 << 20;
/// The largest window that a zstd frame may ask for, as a power of two: 8 MiB, which RFC 9659 lets every
/// receiver demand.
const MAX_WINDOW_LOG: u32 = 23;
/// Bytes asked of the budget at once.
const STEP: usize = 64 << 10;

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

impl Encoding {
    /// Those that are taken, as headers list them.
    pub(super) const TAKEN: &'static str = "gzip, zstd";

    /// The encoding of this name.
    pub(super) fn named(name: &str) -> Option<Encoding> {
        match name.trim() {
            "" | "identity" => Some(Encoding::Identity),
            gzip if gzip.eq_ignore_ascii_case("gzip") => Some(Encoding::Gzip),
            zstd if zstd.eq_ignore_ascii_case("zstd") => Some(Encoding::Zstd),
            _ => None,
        }
    }

    /// What `body` is without its compression. `share` holds what that takes.
    pub(super) fn undo(self, body: Bytes, share: &mut Share) -> Result<Bytes, Refusal> {
        match self {
            Encoding::Identity => Ok(body),
            Encoding::Gzip => read(flate2::read::MultiGzDecoder::new(&*body), "gzip", share),
            Encoding::Zstd => {
                let broken = |error| broken("zstd", &error);
                // A decoder has buffers of its own, of the window's size.
                share.grow(2 * STEP)?;
                let mut decoder =
                    zstd::stream::read::Decoder::with_buffer(&*body).map_err(broken)?;
                decoder.window_log_max(MAX_WINDOW_LOG).map_err(broken)?;
                read(decoder, "zstd", share)
            }
        }
    }
}

fn read(mut from: impl Read, name: &str, share: &mut Share) -> Result<Bytes, Refusal> {
    let mut inflated = Vec::new();
    loop {
        if inflated.len() == inflated.capacity() {
            // One byte past the limit tells what is too large.
            let more = inflated
                .capacity()
                .max(STEP)
                .min((MAX_BYTES + 1).saturating_sub(inflated.capacity()));
            share.grow(more)?;
            inflated.reserve_exact(more);
        }
        let room = inflated.capacity() - inflated.len();
        let before = inflated.len();
        match from.by_ref().take(room as u64).read_to_end(&mut inflated) {
            Ok(_) if inflated.len() > MAX_BYTES => return Err(too_large(name)),
            Ok(_) if inflated.len() - before < room => return Ok(inflated.into()),
            Ok(_) => {}
            Err(error) => return Err(broken(name, &error)),
        }
    }
}

fn too_large(name: &str) -> Refusal {
    Refusal::new(Cause::TooLarge, format!("more than {MAX_BYTES} bytes after undoing {name}"))
}

fn broken(name: &str, error: &std::io::Error) -> Refusal {
    Refusal::new(Cause::Malformed, format!("the body is no {name}: {error}"))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::budget::Budget;

    fn gzip(bytes: &[u8]) -> Bytes {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap().into()
    }

    fn undo(encoding: Encoding, body: impl Into<Bytes>) -> Result<Bytes, Refusal> {
        encoding.undo(body.into(), &mut Share::default())
    }

    #[test]
    fn what_was_compressed_comes_back() {
        for length in [0, 1, STEP - 1, STEP, STEP + 1, 3 * STEP, MAX_BYTES] {
            let bytes: Vec<_> = (0..length).map(|n| (n / 7) as u8).collect();
            assert_eq!(undo(Encoding::Identity, bytes.clone()).unwrap(), bytes);
            assert_eq!(undo(Encoding::Gzip, gzip(&bytes)).unwrap(), bytes);
            let zstd = zstd::encode_all(&*bytes, 1).unwrap();
            assert_eq!(undo(Encoding::Zstd, zstd).unwrap(), bytes);
        }
        let members = [gzip(b"one "), gzip(b"two")].concat();
        assert_eq!(undo(Encoding::Gzip, members).unwrap(), "one two");
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_inflated() {
        let zeros = vec![0; MAX_BYTES + 1];
        let zstd: Bytes = zstd::encode_all(&*zeros, 1).unwrap().into();
        for (encoding, bomb) in [(Encoding::Gzip, gzip(&zeros)), (Encoding::Zstd, zstd)] {
            assert_eq!(undo(encoding, bomb.clone()).unwrap_err().cause, Cause::TooLarge);
            // Where there is no memory for what it would be, the sender may come again.
            let budget = Budget::new(1 << 20);
            let refused = encoding.undo(bomb, &mut budget.share());
            assert_eq!(refused.unwrap_err().cause, Cause::Busy);
        }
        // A frame that asks for a window of 128 MiB.
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(27).unwrap();
        encoder.write_all(b"a").unwrap();
        let wide = encoder.finish().unwrap();
        assert_eq!(undo(Encoding::Zstd, wide).unwrap_err().cause, Cause::Malformed);
    }

    #[test]
    fn what_is_not_compressed_as_it_says_is_malformed() {
        for (encoding, name) in [(Encoding::Gzip, "gzip"), (Encoding::Zstd, "zstd")] {
            let refusal = undo(encoding, "plain text, and long enough to be one").unwrap_err();
            assert_eq!(refusal.cause, Cause::Malformed);
            assert!(refusal.detail.starts_with(&format!("the body is no {name}: ")));
        }
        let cut = gzip(&[7; 1_000]);
        assert!(undo(Encoding::Gzip, cut.slice(..cut.len() - 9)).is_err());
    }
}
