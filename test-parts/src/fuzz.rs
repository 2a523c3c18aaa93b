//! Inputs that nobody would write: a corpus is replayed, and changed at random for as long as is asked for.
//!
//! `FUZZ_SECONDS` says for how long, for each target; without it the corpus alone is replayed. `FUZZ_SEED` begins another
//! sequence of changes. An input that is a finding is kept in a file, which the panic names: it belongs into the corpus.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

/// Changed inputs are no longer than this.
const LONGEST: usize = 64 * 1024;
/// An input that takes longer is a finding, too: all are short.
const SLOW: Duration = Duration::from_secs(10);
/// Bytes that lengths, flags and limits are made of.
const TELLING: [u8; 12] = [0, 1, 0x7f, 0x80, 0xff, 0xfe, b'\r', b'\n', b':', b' ', 0x40, 0x20];

/// Tries `target` with every file of the folder `corpus`, and with what can be made of them.
///
/// # Panics
/// The corpus is empty, or the target panicked or took too long.
pub fn fuzz(name: &str, corpus: &Path, target: impl Fn(&[u8])) {
    let entries = std::fs::read_dir(corpus);
    let entries = entries.unwrap_or_else(|error| panic!("{}: {error}", corpus.display()));
    let mut paths: Vec<_> =
        entries.map(|entry| entry.expect("a file of the corpus").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", corpus.display());
    let mut inputs: Vec<Vec<u8>> =
        paths.iter().map(|path| std::fs::read(path).expect("a file of the corpus")).collect();
    for input in &inputs {
        attempt(name, input, &target);
    }
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let Some(seconds) = number("FUZZ_SECONDS") else { return };
    let seed = number("FUZZ_SEED").unwrap_or(1);
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let (end, mut tried) = (Instant::now() + Duration::from_secs(seconds), 0_u64);
    while Instant::now() < end {
        let mut input = inputs[random.below(inputs.len())].clone();
        for _ in 0..=random.below(6) {
            change(&mut input, &inputs, &mut random);
        }
        input.truncate(LONGEST);
        attempt(name, &input, &target);
        tried += 1;
        // Some changes are kept, so that they add up.
        if tried.is_multiple_of(1_000) && inputs.len() < 1_000 {
            inputs.push(input);
        }
    }
    println!("{name}: {tried} inputs in {seconds} s from seed {seed}, no finding");
}

fn attempt(name: &str, input: &[u8], target: &impl Fn(&[u8])) {
    let began = Instant::now();
    let result = catch_unwind(AssertUnwindSafe(|| target(input)));
    if result.is_ok() && began.elapsed() < SLOW {
        return;
    }
    let kept = std::env::temp_dir().join(format!("fuzz-{name}-{}", std::process::id()));
    let said = std::fs::write(&kept, input);
    eprintln!("{name}: a finding is kept in {} ({said:?})", kept.display());
    match result {
        Err(panic) => resume_unwind(panic),
        Ok(()) => panic!("{name}: an input of {} bytes took {:?}", input.len(), began.elapsed()),
    }
}

/// Changes an input in one place.
fn change(input: &mut Vec<u8>, others: &[Vec<u8>], random: &mut Random) {
    let at = random.below(input.len() + 1);
    match random.below(8) {
        0 if at < input.len() => input[at] ^= 1 << random.below(8),
        1 if at < input.len() => input[at] = TELLING[random.below(TELLING.len())],
        2 => input.insert(at, random.next() as u8),
        3 => drop(input.drain(at..(at + random.below(16)).min(input.len()))),
        4 => input.truncate(at),
        5 => {
            let end = (at + random.below(64)).min(input.len());
            let piece = input[at..end].to_vec();
            input.splice(at..at, piece);
        }
        6 => {
            let other = &others[random.below(others.len())];
            let from = random.below(other.len() + 1);
            input.splice(at.., other[from..].iter().copied());
        }
        _ => {
            let run = random.below(300);
            let byte = TELLING[random.below(TELLING.len())];
            input.splice(at..at, std::iter::repeat_n(byte, run));
        }
    }
}

/// Marsaglia's xorshift of 64 bits: the same sequence on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_the_target_is_a_finding() {
        let corpus = tempfile::tempdir().expect("a folder");
        std::fs::write(corpus.path().join("a"), b"abc").expect("a file");
        fuzz("fine", corpus.path(), |input| assert_eq!(input, b"abc"));
        let found =
            catch_unwind(|| fuzz("finding", corpus.path(), |input| assert!(input.is_empty())));
        assert!(found.is_err());
    }
}
