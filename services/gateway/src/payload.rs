//! Where payloads come from: a pool, or a fresh random string per request.

use std::sync::Arc;

use rand::rngs::OsRng;
use rand::{Rng as _, TryRngCore as _};
use tokio::sync::{Mutex, OwnedMutexGuard};

/// Letters and digits: all that a payload may hold.
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/// Size of the pool in bytes. Longer payloads go round it more than once.
const POOL: usize = 4 << 20;

/// How the gateway comes by its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum PayloadSource {
    /// A slice of a pool of random letters made at start-up.
    #[default]
    Pool,
    /// A random string made for each request under one lock, its letters drawn from the operating
    /// system's generator.
    PerRequest,
}

/// Makes payloads.
#[derive(Debug)]
pub(crate) struct Generator {
    pool: Arc<str>,
    lock: Option<Arc<Mutex<()>>>,
}

/// The right to make one payload: with a lock, at most one is out at a time.
pub(crate) struct Turn {
    pool: Arc<str>,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Generator {
    pub(crate) fn new(source: PayloadSource) -> Self {
        let lock = (source == PayloadSource::PerRequest).then(Arc::default);
        let size = if lock.is_some() { 0 } else { POOL };
        let mut rng = rand::rng();
        let pool: String =
            (0..size).map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())])).collect();
        Generator { pool: pool.into(), lock }
    }

    /// Waits for a turn. That is queueing, so it happens before the handler begins.
    pub(crate) async fn turn(&self) -> Turn {
        let guard = match &self.lock {
            Some(lock) => Some(Arc::clone(lock).lock_owned().await),
            None => None,
        };
        Turn { pool: Arc::clone(&self.pool), guard }
    }
}

impl Turn {
    /// Makes a payload of exactly `size` letters and digits.
    ///
    /// # Errors
    /// The operating system's generator failed, or the runtime is shutting down.
    pub(crate) async fn make(self, size: usize) -> Result<String, String> {
        let Some(guard) = self.guard else {
            return Ok(slice(&self.pool, size));
        };
        let made = tokio::task::spawn_blocking(move || {
            let made = drawn(size);
            drop(guard);
            made
        });
        made.await.map_err(|error| error.to_string())?
    }
}

/// `size` bytes of the pool from a random place, going round.
fn slice(pool: &str, size: usize) -> String {
    let mut start = rand::rng().random_range(0..pool.len());
    let mut payload = String::with_capacity(size);
    while payload.len() < size {
        let run = (size - payload.len()).min(pool.len() - start);
        payload.push_str(&pool[start..start + run]);
        start = 0;
    }
    payload
}

/// `size` letters, a few at a time from the operating system's generator: about a tenth of a second
/// of one core for a megabyte.
fn drawn(size: usize) -> Result<String, String> {
    let mut payload = String::with_capacity(size);
    while payload.len() < size {
        let mut word = [0; 4];
        OsRng.try_fill_bytes(&mut word).map_err(|error| error.to_string())?;
        for byte in word {
            // Six bits choose among 64; the two past the alphabet are drawn again.
            match ALPHABET.get(usize::from(byte & 0x3f)) {
                Some(&letter) if payload.len() < size => payload.push(char::from(letter)),
                _ => {}
            }
        }
    }
    Ok(payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn payloads_are_exactly_as_long_as_asked_and_of_letters_and_digits() {
        for source in [PayloadSource::Pool, PayloadSource::PerRequest] {
            let generator = Generator::new(source);
            for size in [0, 1, 10, 100_000] {
                let payload = generator.turn().await.make(size).await.unwrap();
                assert_eq!(payload.len(), size);
                assert!(payload.bytes().all(|byte| byte.is_ascii_alphanumeric()));
            }
        }
        assert_eq!(slice("abc", 7).len(), 7);
    }
}
