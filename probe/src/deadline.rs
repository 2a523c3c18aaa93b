//! Until when the answer to the request in hand is of use: `grpc-timeout`, in and out.
//!
//! Source: <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>, "Timeout".

use std::time::Duration;

use http::HeaderValue;
use ledger::clock;

/// Name of the header.
pub(crate) const GRPC_TIMEOUT: &str = "grpc-timeout";

/// The units that a timeout may have, shortest first, in nanoseconds.
const UNITS: [(u8, u64); 6] = [
    (b'n', 1),
    (b'u', 1_000),
    (b'm', 1_000_000),
    (b'S', 1_000_000_000),
    (b'M', 60_000_000_000),
    (b'H', 3_600_000_000_000),
];
/// A value has at most so many digits.
const MOST_DIGITS: usize = 8;

tokio::task_local! {
    static DEADLINE: Deadline;
}

/// A time of [`ledger::clock`], in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Deadline(u64);

impl Deadline {
    /// The deadline of the request that the current task is working on, if it has one.
    pub(crate) fn current() -> Option<Deadline> {
        DEADLINE.try_with(|deadline| *deadline).ok()
    }

    pub(crate) fn after(limit: Duration) -> Deadline {
        let limit = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
        Deadline(clock::now().saturating_add(limit))
    }

    /// What is left until then.
    pub(crate) fn left(self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(clock::now()))
    }

    /// Runs `work` below this deadline.
    pub(crate) async fn scope<F: Future>(self, work: F) -> F::Output {
        DEADLINE.scope(self, work).await
    }
}

/// Runs `work` below the deadline, if there is one.
pub(crate) async fn below<F: Future>(deadline: Option<Deadline>, work: F) -> F::Output {
    match deadline {
        Some(deadline) => deadline.scope(work).await,
        None => work.await,
    }
}

/// Reads the value of the header.
pub(crate) fn parse(value: &[u8]) -> Option<Duration> {
    let (&unit, digits) = value.split_last()?;
    let (_, ns) = UNITS.into_iter().find(|(letter, _)| *letter == unit)?;
    if digits.is_empty() || digits.len() > MOST_DIGITS || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    // The longest timeouts are longer than 64 bits of nanoseconds, which is for ever all the same.
    Some(Duration::from_nanos(number.saturating_mul(ns)))
}

/// The header's value for what is left, in the finest unit that holds it.
pub(crate) fn value(left: Duration) -> HeaderValue {
    let ns = u64::try_from(left.as_nanos()).unwrap_or(u64::MAX);
    let fits = |(_, unit): &&(u8, u64)| ns / unit < 10_u64.pow(MOST_DIGITS as u32);
    let (letter, unit) = UNITS.iter().find(fits).copied().unwrap_or(UNITS[UNITS.len() - 1]);
    let text = format!("{}{}", ns / unit, char::from(letter));
    let mut value = HeaderValue::from_str(&text).expect("digits and a letter");
    // New in each request: HPACK would keep it for nothing.
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_read_in_every_unit_and_malformed_ones_are_none() {
        for (text, limit) in [
            ("1n", Duration::from_nanos(1)),
            ("250u", Duration::from_micros(250)),
            ("99999999m", Duration::from_millis(99_999_999)),
            ("3S", Duration::from_secs(3)),
            ("2M", Duration::from_secs(120)),
            ("1H", Duration::from_secs(3_600)),
            ("99999999H", Duration::from_nanos(u64::MAX)),
        ] {
            assert_eq!(parse(text.as_bytes()), Some(limit), "{text}");
        }
        for text in ["", "m", "5", "5s", "-5m", "1.5S", "100000000m", "5 m", " 5m"] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn what_is_left_is_never_written_as_more_and_reads_back_to_a_hundred_thousandth() {
        for ns in [0, 1, 99_999_999, 100_000_000, 123_456_789_012, 7_200_000_000_000_000] {
            let left = Duration::from_nanos(ns);
            let read = parse(value(left).as_bytes()).unwrap();
            assert!(read <= left && left - read <= left / 100_000, "{left:?} became {read:?}");
        }
    }
}
