//! Times as k6 writes them: RFC 3339 in UTC, a second's fraction without the zeros at its end.

use std::time::{SystemTime, UNIX_EPOCH};

/// `2026-11-25T16:36:53.277782882Z`.
pub(crate) fn precise(at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = to_the_second(since.as_secs());
    let digits = format!("{:09}", since.subsec_nanos());
    match digits.trim_end_matches('0') {
        "" => format!("{seconds}Z"),
        fraction => format!("{seconds}.{fraction}Z"),
    }
}

/// `2026-11-25T16:36:53Z`.
pub(crate) fn coarse(at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{}Z", to_the_second(since.as_secs()))
}

/// Years are counted off one by one: a double has the time.
fn to_the_second(seconds: u64) -> String {
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let (mut day, second) = (seconds / 86_400, seconds % 86_400);
    let mut year = 1970;
    while day >= 365 + u64::from(leap(year)) {
        day -= 365 + u64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while day >= lengths[month] {
        day -= lengths[month];
        month += 1;
    }
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year}-{:02}-{:02}T{hour:02}:{minute:02}:{second:02}", month + 1, day + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

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
