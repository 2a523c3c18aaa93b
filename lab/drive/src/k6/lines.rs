//! Lines out of a stream of bytes, in bounded memory whatever the stream holds.

/// Longest line that is read, in bytes; k6's own have some 500.
const LONGEST: usize = 64 * 1024;

/// Puts lines together from the pieces in which they come.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The beginning of a line whose end has not come.
    rest: Vec<u8>,
    /// The line under way is too long; what is left of it is skipped.
    skipping: bool,
    /// Lines that were too long.
    pub(super) too_long: u64,
}

impl Lines {
    /// Takes a piece of the stream and calls `each` for every line that ends in it.
    pub(super) fn take(&mut self, mut piece: &[u8], mut each: impl FnMut(&[u8])) {
        while let Some(end) = piece.iter().position(|&byte| byte == b'\n') {
            let (line, after) = (&piece[..end], &piece[end + 1..]);
            if self.rest.is_empty() && !self.skipping && line.len() <= LONGEST {
                each(line);
            } else {
                self.keep(line);
                if !self.skipping {
                    each(&self.rest);
                }
                self.rest.clear();
                self.skipping = false;
            }
            piece = after;
        }
        self.keep(piece);
    }

    /// Keeps a part of a line, unless the line is too long with it.
    fn keep(&mut self, part: &[u8]) {
        if self.skipping {
            return;
        }
        if self.rest.len() + part.len() > LONGEST {
            self.rest.clear();
            self.skipping = true;
            self.too_long += 1;
            return;
        }
        self.rest.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(pieces: &[&[u8]]) -> (Vec<Vec<u8>>, u64) {
        let (mut lines, mut read) = (Lines::default(), Vec::new());
        for piece in pieces {
            lines.take(piece, |line| read.push(line.to_vec()));
            assert!(lines.rest.len() <= LONGEST);
        }
        (read, lines.too_long)
    }

    proptest! {
        #[test]
        fn pieces_of_any_size_give_the_same_lines(
            text in prop::collection::vec(prop_oneof![3 => any::<u8>(), 1 => Just(b'\n')], 0..300),
            cuts in prop::collection::vec(1_usize..20, 1..50),
        ) {
            let mut pieces = Vec::new();
            let mut rest = text.as_slice();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                let (piece, after) = rest.split_at((*cut).min(rest.len()));
                pieces.push(piece);
                rest = after;
            }
            let mut expected: Vec<Vec<u8>> = text.split(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
            // What has no end is no line yet.
            expected.pop();
            prop_assert_eq!(read(&pieces), (expected, 0));
        }
    }

    #[test]
    fn a_line_without_end_is_skipped_and_the_next_one_read() {
        let long = vec![b'x'; LONGEST];
        assert_eq!(read(&[&long, b"x", &long, b"\nnext\n"]), (vec![b"next".to_vec()], 1));
        assert_eq!(read(&[&long, b"\n"]), (vec![long.clone()], 0));
        let whole = [&long[..], b"x\nnext\n"].concat();
        assert_eq!(read(&[&whole]), (vec![b"next".to_vec()], 1));
    }
}
