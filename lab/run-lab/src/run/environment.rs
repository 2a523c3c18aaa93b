//! Where and how a run is made: the machine, the kernel, the compiler, the time, the command.

use std::fs;

use lab_model::Environment;
use ledger::{date, wall};

/// What this machine says of itself now.
#[must_use]
pub fn capture() -> Environment {
    Environment {
        lab_version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: env!("LAB_COMMIT").to_owned(),
        cpu_model: field("/proc/cpuinfo", "model name").unwrap_or_else(unknown),
        cpus: std::thread::available_parallelism().map_or(0, usize::from),
        memory_bytes: field("/proc/meminfo", "MemTotal")
            .and_then(|text| kib(&text))
            .unwrap_or_default(),
        kernel: line("/proc/sys/kernel/osrelease"),
        governor: line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        smt: smt(),
        turbo: turbo(),
        pinned: String::new(),
        rustc: env!("LAB_RUSTC").to_owned(),
        build: env!("LAB_BUILD").to_owned(),
        cargo_lock: env!("LAB_CARGO_LOCK").to_owned(),
        flake_lock: env!("LAB_FLAKE_LOCK").to_owned(),
        clocksource: line("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        started_at: date::rfc3339(wall::now()),
    }
}

fn unknown() -> String {
    "unknown".to_owned()
}

fn line(path: &str) -> String {
    fs::read_to_string(path).map_or_else(|_| unknown(), |text| text.trim().to_owned())
}

/// Whether cores run two threads each: then two busy threads of one core are slower than of two.
fn smt() -> String {
    match line("/sys/devices/system/cpu/smt/active").as_str() {
        "1" => "on".to_owned(),
        "0" => "off".to_owned(),
        _ => unknown(),
    }
}

/// Whether cores may go faster than they can for long: then what runs first runs faster. Drivers of processors say so in
/// two places, and one of them the other way round.
fn turbo() -> String {
    let intel = line("/sys/devices/system/cpu/intel_pstate/no_turbo");
    let others = line("/sys/devices/system/cpu/cpufreq/boost");
    match (intel.as_str(), others.as_str()) {
        ("0", _) | (_, "1") => "on".to_owned(),
        ("1", _) | (_, "0") => "off".to_owned(),
        _ => unknown(),
    }
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

/// The command that this process was started by, so that a shell takes it again.
pub(crate) fn this_command() -> String {
    let words: Vec<String> = std::env::args().collect();
    shlex::try_join(words.iter().map(String::as_str)).unwrap_or_else(|_| words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_captured() {
        let environment = capture();
        assert!(environment.rustc.starts_with("rustc "), "{}", environment.rustc);
        assert!(environment.cpus > 0 && environment.memory_bytes > 1 << 20);
        assert!(!environment.kernel.is_empty() && !environment.clocksource.is_empty());
        assert!(!environment.commit.is_empty());
        assert!(environment.build.contains("linux"), "{}", environment.build);
        for digest in [&environment.cargo_lock, &environment.flake_lock] {
            assert!(
                digest.len() == 64 && digest.chars().all(|c| c.is_ascii_hexdigit()),
                "{digest}"
            );
        }
    }
}
