//! Where a run is made: the machine, the kernel, the compiler, the time.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use lab_model::Environment;

/// What this machine says of itself now.
#[must_use]
pub fn capture() -> Environment {
    Environment {
        lab_version: env!("CARGO_PKG_VERSION").to_owned(),
        cpu_model: field("/proc/cpuinfo", "model name").unwrap_or_else(unknown),
        cpus: std::thread::available_parallelism().map_or(0, usize::from),
        memory_bytes: field("/proc/meminfo", "MemTotal")
            .and_then(|text| kib(&text))
            .unwrap_or_default(),
        kernel: line("/proc/sys/kernel/osrelease"),
        governor: line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        rustc: env!("LAB_RUSTC").to_owned(),
        build: env!("LAB_BUILD").to_owned(),
        cargo_lock: env!("LAB_CARGO_LOCK").to_owned(),
        flake_lock: env!("LAB_FLAKE_LOCK").to_owned(),
        clocksource: line("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        started_at: Utc::now().rfc3339(),
    }
}

fn unknown() -> String {
    "unknown".to_owned()
}

fn line(path: &str) -> String {
    fs::read_to_string(path).map_or_else(|_| unknown(), |text| text.trim().to_owned())
}

/// The first `name : value` of a file.
fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let value =
        text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'))?;
    Some(value.trim().to_owned())
}

fn kib(text: &str) -> Option<u64> {
    text.strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// A date and time of day in UTC, to the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Utc {
    date: (i64, u32, u32),
    time: (u64, u64, u64),
}

impl Utc {
    /// The present.
    #[must_use]
    pub fn now() -> Utc {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Utc::at(since.map_or(0, |since| since.as_secs()))
    }

    /// `seconds` after the beginning of 1970.
    fn at(seconds: u64) -> Utc {
        // Days to civil date: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms",
        // civil_from_days. Years begin in March there, so that the leap day comes last.
        let days = (seconds / 86_400) as i64 + 719_468;
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153;
        let day = (day_of_year - (153 * shifted + 2) / 5 + 1) as u32;
        let month = (if shifted < 10 { shifted + 3 } else { shifted - 9 }) as u32;
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        let of_day = seconds % 86_400;
        Utc { date: (year, month, day), time: (of_day / 3_600, of_day / 60 % 60, of_day % 60) }
    }

    /// `2026-11-23T14:53:00Z`.
    #[must_use]
    pub fn rfc3339(&self) -> String {
        let ((year, month, day), (hour, minute, second)) = (self.date, self.time);
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }

    /// `20261123T145300Z`: sorts by time, and fits in file names.
    #[must_use]
    pub fn compact(&self) -> String {
        self.rfc3339().replace(['-', ':'], "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_right_across_leap_days_and_centuries() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_795_445_580, "2026-11-23T14:53:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(Utc::at(seconds).rfc3339(), text);
        }
        assert_eq!(Utc::at(1_795_445_580).compact(), "20261123T145300Z");
    }

    #[test]
    fn the_environment_is_captured() {
        let environment = capture();
        assert!(environment.rustc.starts_with("rustc "), "{}", environment.rustc);
        assert!(environment.cpus > 0 && environment.memory_bytes > 1 << 20);
        assert!(!environment.kernel.is_empty() && !environment.clocksource.is_empty());
        assert!(environment.build.contains("linux"), "{}", environment.build);
        for digest in [&environment.cargo_lock, &environment.flake_lock] {
            assert!(
                digest.len() == 64 && digest.chars().all(|c| c.is_ascii_hexdigit()),
                "{digest}"
            );
        }
    }
}
