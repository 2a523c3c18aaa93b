//! Moments of the wall clock as dates in UTC: the one place that writes and reads them.
//!
//! Only for people, names of runs, and what other programs tell: see [`crate::wall`] for what dates are not used for.

use jiff::Timestamp;

/// `2026-11-23T14:53:00Z`, of a moment in nanoseconds since 1970.
#[must_use]
pub fn rfc3339(wall_ns: u64) -> String {
    to_the_second(wall_ns).to_string()
}

/// The same to the nanosecond: `2026-11-23T14:53:00.123456789Z`.
#[must_use]
pub fn exact(wall_ns: u64) -> String {
    Timestamp::from_nanosecond(wall_ns.into()).unwrap_or(Timestamp::MAX).to_string()
}

/// `20261123T145300Z`: sorts by time, and fits in names of files and runs.
#[must_use]
pub fn compact(wall_ns: u64) -> String {
    to_the_second(wall_ns).strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// Nanoseconds since 1970 of `2026-11-24T23:53:23.123456789Z`, or the same with an offset such as `+01:00`; `None` of
/// anything else, and of times before 1970 or after 2262, which 64 bits with a sign cannot count.
#[must_use]
pub fn parse(text: &str) -> Option<u64> {
    let ns = text.parse::<Timestamp>().ok()?.as_nanosecond();
    i64::try_from(ns).ok().and_then(|ns| u64::try_from(ns).ok())
}

/// The second that `wall_ns` lies in. Every number of 64 bits is before the year 2555, which the calendar has.
fn to_the_second(wall_ns: u64) -> Timestamp {
    Timestamp::from_second((wall_ns / 1_000_000_000).cast_signed()).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn dates_are_right_across_leap_days_and_centuries() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_795_445_580, "2026-11-23T14:53:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(seconds * SECOND + 999_999_999), text);
            assert_eq!(parse(text), Some(seconds * SECOND), "{text}");
        }
        assert_eq!(exact(1_795_445_580_000_012_000), "2026-11-23T14:53:00.000012Z");
        assert_eq!(compact(1_795_445_580 * SECOND), "20261123T145300Z");
        assert_eq!(rfc3339(u64::MAX), "2554-07-21T23:34:33Z");
    }

    #[test]
    fn times_are_read_to_the_nanosecond_and_with_their_offset() {
        for (text, ns) in [
            ("2026-11-25T00:21:39.108411268Z", 1_795_566_099_108_411_268),
            ("2026-11-25T01:21:39.1+01:00", 1_795_566_099_100_000_000),
            ("2024-02-29T23:59:59-00:30", 1_709_252_999_000_000_000),
            ("2023-11-21T09:25:34.853Z", 1_700_558_734_853_000_000),
        ] {
            assert_eq!(parse(text), Some(ns), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "T",
            "xTyZ",
            "2026-11-25",
            "2026-11-25T00:21:39",
            "2026-13-25T00:21:39Z",
            "2026-02-29T00:21:39Z",
            "2026-11-25T24:21:39Z",
            "2026-11-25T00:21:39.1234567890Z",
            "2026-11-25T00:21:39.-1Z",
            "+026-11-25T00:21:39Z",
            "1969-12-31T23:59:59Z",
            "2263-01-01T00:00:00Z",
            "2026-11-25T00:21:39Zé",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_reading_panic(text in "\\PC{0,40}", digits in "[0-9TZ:.+-]{0,40}") {
            let _ = (parse(&text), parse(&digits));
        }

        #[test]
        fn what_is_written_is_read_again(seconds in 0..i64::MAX as u64 / SECOND) {
            prop_assert_eq!(parse(&rfc3339(seconds * SECOND)), Some(seconds * SECOND));
        }
    }
}
