//! Numbers with their units, as reports and verdicts write them. Results themselves hold plain numbers.

/// Microseconds in the unit that fits: `87.3 µs`, `1.24 ms`, `2.22 s`.
#[must_use]
pub fn time(us: f64) -> String {
    let (value, unit) = match us.abs() {
        // What would be rounded up to 1,000 of a unit is 1 of the next.
        size if size < 999.5 => (us, "µs"),
        size if size < 999_500.0 => (us / 1e3, "ms"),
        _ => (us / 1e6, "s"),
    };
    format!("{} {unit}", three_digits(value))
}

/// An interval, its ends as `write` has them: `[84.3, 203 µs]`. Where both have one unit it stands once.
pub fn interval((low, high): (f64, f64), write: impl Fn(f64) -> String) -> String {
    let ends = [low, high].map(write);
    match ends.each_ref().map(|end| end.split_once(' ')) {
        [Some((low, unit)), Some((high, same))] if unit == same => {
            format!("[{low}, {high} {unit}]")
        }
        _ => format!("[{}, {}]", ends[0], ends[1]),
    }
}

/// The same without zeros that say nothing, as the ticks of an axis are written: `1 ms`, `500 µs`.
#[must_use]
pub fn round_time(us: f64) -> String {
    let text = time(us);
    match text.split_once(' ') {
        Some((number, unit)) if number.contains('.') => {
            format!("{} {unit}", number.trim_end_matches('0').trim_end_matches('.'))
        }
        _ => text,
    }
}

/// A share as per cent: `0.3 %`, `71 %`.
#[must_use]
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent.abs() {
        0.0 => "0 %".to_owned(),
        size if size < 0.05 => "<0.1 %".replace('<', if percent < 0.0 { ">-" } else { "<" }),
        size if size < 9.95 => format!("{percent:.1} %"),
        size if size > 99.0 && size < 100.0 => format!("{percent:.1} %"),
        _ => format!("{percent:.0} %"),
    }
}

/// Bytes, exactly: `100,000 B`.
#[must_use]
pub fn exact_bytes(bytes: u64) -> String {
    format!("{} B", count(bytes))
}

/// A payload as plans name it: `10 B`, `10 kB`, `1 MB`, `1 MiB`; exact where no unit divides it.
#[must_use]
pub fn payload(bytes: u64) -> String {
    const UNITS: [(u64, &str); 4] =
        [(1 << 20, "MiB"), (1_000_000, "MB"), (1 << 10, "KiB"), (1_000, "kB")];
    UNITS.into_iter().find(|&(size, _)| bytes > 0 && bytes.is_multiple_of(size)).map_or_else(
        || exact_bytes(bytes),
        |(size, unit)| format!("{} {unit}", count(bytes / size)),
    )
}

/// Memory: `12.3 MiB`.
#[must_use]
pub fn memory(bytes: u64) -> String {
    let mebibytes = bytes as f64 / f64::from(1 << 20);
    if mebibytes < 1024.0 {
        format!("{} MiB", three_digits(mebibytes))
    } else {
        format!("{} GiB", three_digits(mebibytes / 1024.0))
    }
}

/// A rate without its `/s`: `100`, `11.8`, `1,240`.
#[must_use]
pub fn rate(per_second: f64) -> String {
    if per_second >= 99.95 { count(per_second.round() as u64) } else { trimmed(per_second) }
}

/// A whole number with thousands set apart.
#[must_use]
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A mean of counts or bytes: whole where it is whole, else with one decimal.
#[must_use]
pub fn mean(value: f64) -> String {
    let tenths = (value.abs() * 10.0).round() as u64;
    let sign = if value < 0.0 && tenths > 0 { "-" } else { "" };
    match tenths % 10 {
        0 => format!("{sign}{}", count(tenths / 10)),
        rest => format!("{sign}{}.{rest}", count(tenths / 10)),
    }
}

/// An HTTP version as results hold it (11, 20): `HTTP/1.1`, `HTTP/2`.
#[must_use]
pub fn http(version: u64) -> String {
    match (version / 10, version % 10) {
        (major, 0) => format!("HTTP/{major}"),
        (major, minor) => format!("HTTP/{major}.{minor}"),
    }
}

/// A number for people: three digits, without zeros that say nothing.
#[must_use]
pub fn trimmed(value: f64) -> String {
    let text = three_digits(value);
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

fn three_digits(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size < 9.995 => format!("{value:.2}"),
        size if size < 99.95 => format!("{value:.1}"),
        size if size < 999.5 => format!("{value:.0}"),
        size => format!("{}{}", if value < 0.0 { "-" } else { "" }, count(size.round() as u64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_names_its_unit_once_unless_its_ends_have_two() {
        let of = |low, high| interval((low, high), time);
        assert_eq!(of(84.3, 203.0), "[84.3, 203 µs]");
        assert_eq!(of(-84.3, 1_030.0), "[-84.3 µs, 1.03 ms]");
        assert_eq!(interval((1.16, 1.2), |ratio| format!("{ratio:.2}")), "[1.16, 1.20]");
    }

    #[test]
    fn numbers_read_well() {
        let times =
            [0.0, 0.42, 87.34, 999.6, 1_243.0, 12_340.0, 999_600.0, 2_220_000.0, -1.5].map(time);
        assert_eq!(
            times,
            [
                "0 µs",
                "0.42 µs",
                "87.3 µs",
                "1.00 ms",
                "1.24 ms",
                "12.3 ms",
                "1.00 s",
                "2.22 s",
                "-1.50 µs"
            ]
        );
        let shares = [0.0, 0.0001, -0.0001, 0.003, 0.0996, 0.71, 0.996, 1.0].map(percent);
        assert_eq!(
            shares,
            ["0 %", "<0.1 %", ">-0.1 %", "0.3 %", "10 %", "71 %", "99.6 %", "100 %"]
        );
        assert_eq!(
            [0, 10, 10_000, 100_001, 1_000_000, 1 << 20, 65_536].map(payload),
            ["0 B", "10 B", "10 kB", "100,001 B", "1 MB", "1 MiB", "64 KiB"]
        );
        assert_eq!([100.0, 11.8, 20.0, 1_240.4].map(rate), ["100", "11.8", "20", "1,240"]);
        assert_eq!([0.0, 202.96, 100_237.5].map(mean), ["0", "203", "100,237.5"]);
        assert_eq!([12_897_484, 3 << 30].map(memory), ["12.3 MiB", "3.00 GiB"]);
    }
}
