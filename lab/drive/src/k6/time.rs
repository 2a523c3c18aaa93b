//! The times of k6's lines: RFC 3339 with up to nine digits of a second.

/// Nanoseconds since 1970 of `2026-11-24T23:53:23.123456789Z` or the same with an offset such as `+01:00`;
/// `None` for anything else, and for times before 1970 or after 2261.
pub(super) fn parse(text: &str) -> Option<u64> {
    let (date, rest) = text.split_once('T')?;
    let (year, month, day) = triple(date, '-', [4, 2, 2])?;
    let zone = rest.find(['Z', '+', '-'])?;
    let (time, offset) = (rest.get(..zone)?, offset_seconds(rest.get(zone..)?)?);
    let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
    let (hour, minute, second) = triple(time, ':', [2, 2, 2])?;
    let possible = (1970..=2261).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (hour < 24 && minute < 60 && second <= 60);
    if !possible {
        return None;
    }
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    let ns = (seconds - offset).checked_mul(1_000_000_000)?.checked_add(nanoseconds(fraction)?)?;
    u64::try_from(ns).ok()
}

/// Three numbers of so many digits each.
fn triple(text: &str, separator: char, digits: [usize; 3]) -> Option<(i64, i64, i64)> {
    let mut parts = text.split(separator);
    let mut next = |digits: usize| number(parts.next()?).filter(|(_, length)| *length == digits);
    let triple = (next(digits[0])?.0, next(digits[1])?.0, next(digits[2])?.0);
    parts.next().is_none().then_some(triple)
}

/// A number of one to nine digits and nothing else, and how many they are.
fn number(text: &str) -> Option<(i64, usize)> {
    let digits = (1..=9).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().map(|number| (number, text.len()))
}

/// The digits behind the point, as nanoseconds.
fn nanoseconds(fraction: &str) -> Option<i64> {
    if fraction.is_empty() {
        return Some(0);
    }
    let (number, length) = number(fraction)?;
    Some(number * 10_i64.pow(9 - u32::try_from(length).ok()?))
}

/// `Z`, `+01:00` or `-01:00`, in seconds.
fn offset_seconds(zone: &str) -> Option<i64> {
    let (sign, time) = match zone.split_at_checked(1)? {
        ("Z", "") => return Some(0),
        ("+", time) => (1, time),
        ("-", time) => (-1, time),
        _ => return None,
    };
    let (hours, minutes) = time.split_once(':')?;
    Some(sign * (number(hours)?.0 % 100 * 3_600 + number(minutes)?.0 % 100 * 60))
}

/// Days from 1970-01-01 to a day of the Gregorian calendar: years begin in March, so that the leap day is
/// the last of its year (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", days_from_civil).
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_times_are_read() {
        for (text, ns) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2026-11-25T00:21:39.108411268Z", 1_795_566_099_108_411_268),
            ("2026-11-25T01:21:39.1+01:00", 1_795_566_099_100_000_000),
            ("2024-02-29T23:59:59-00:30", 1_709_252_999_000_000_000),
        ] {
            assert_eq!(parse(text), Some(ns), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "T",
            "2026-11-25",
            "2026-11-25T00:21:39",
            "2026-13-25T00:21:39Z",
            "2026-11-25T24:21:39Z",
            "2026-11-25T00:21:39.1234567890Z",
            "2026-11-25T00:21:39.-1Z",
            "+026-11-25T00:21:39Z",
            "1969-12-31T23:59:59Z",
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
        fn the_day_after_is_a_day_later(day in 0_i64..190_000) {
            // The algorithm run backwards by counting: months have the days that calendars give them.
            let (mut year, mut month, mut rest) = (1970, 1, day);
            loop {
                let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
                let days = match month { 2 => 28 + i64::from(leap), 4 | 6 | 9 | 11 => 30, _ => 31 };
                if rest < days { break; }
                rest -= days;
                (year, month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
            }
            prop_assert_eq!(days_since_1970(year, month, rest + 1), day);
        }
    }
}
