//! The one clock of the lab: `CLOCK_MONOTONIC` in absolute nanoseconds.
//!
//! `std::time::Instant` does not expose its reading, and wall time can step, so neither can be
//! compared between processes. All processes of one boot share this clock.

/// Reads `CLOCK_MONOTONIC`, in nanoseconds since the boot of the machine.
///
/// Two readings may be subtracted if and only if both processes have the same [`identity`].
#[must_use]
pub fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    // The monotonic clock starts at zero at boot: both fields are never negative.
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Names the clock that [`now`] reads: the boot of the kernel and the time namespace of the process.
///
/// Two containers on one machine share it; two machines never do. Empty where `/proc` cannot be
/// read, and an empty identity equals no other.
#[must_use]
pub fn identity() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let namespace = std::fs::read_link("/proc/self/ns/time")
        .map(|link| link.to_string_lossy().into_owned())
        .unwrap_or_default();
    if boot.is_empty() {
        return String::new();
    }
    format!("{} {namespace}", boot.trim()).trim_end().to_owned()
}

/// Names the namespace in which this process knows others by their ids: a pid that another program names is the
/// same process only where this is the same. Empty where `/proc` cannot be read, and that equals no other.
#[must_use]
pub fn processes() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let namespace = std::fs::read_link("/proc/self/ns/pid");
    namespace.map_or_else(|_| String::new(), |link| format!("{} {}", boot.trim(), link.display()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_clock_never_goes_back() {
        let mut last = super::now();
        for _ in 0..1_000 {
            let next = super::now();
            assert!(next >= last);
            last = next;
        }
    }
}
