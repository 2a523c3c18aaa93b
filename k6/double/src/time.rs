//! Times as k6 writes them: RFC 3339 in UTC, a second's fraction without the zeros at its end.

use std::time::SystemTime;

use jiff::Timestamp;

/// `2026-11-25T16:36:53.277782882Z`.
pub(crate) fn precise(at: SystemTime) -> String {
    timestamp(at).to_string()
}

/// `2026-11-25T16:36:53Z`.
pub(crate) fn coarse(at: SystemTime) -> String {
    format!("{:.0}", timestamp(at))
}

fn timestamp(at: SystemTime) -> Timestamp {
    Timestamp::try_from(at).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn times_are_those_of_the_calendar() {
        for (ns, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400_500_000_000, "2000-02-29T00:00:00.5Z"),
            (1_795_624_613_277_782_882, "2026-11-25T16:36:53.277782882Z"),
            (4_102_444_799_000_000_010, "2099-12-31T23:59:59.00000001Z"),
        ] {
            assert_eq!(precise(UNIX_EPOCH + Duration::from_nanos(ns)), text);
        }
        let at = UNIX_EPOCH + Duration::from_millis(1_795_624_613_277);
        assert_eq!(coarse(at), "2026-11-25T16:36:53Z");
    }
}
