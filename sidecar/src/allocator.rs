//! Has the C library give large blocks of memory back when they are freed.
//!
//! glibc maps large blocks by themselves, but raises the size from which it does so whenever one is freed: after a few
//! exports of 16 MiB each of its arenas keeps tens of MiB that nobody uses, and the memory that is resident is far more
//! than `--memory-limit`. Its limits can be held where they are by variables that are read when a process starts
//! (mallopt(3)), so a program that has them not starts itself anew, as the same process.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// The variables, and their values in bytes: smaller blocks come and go too often to be mapped each time.
const LIMITS: [(&str, &str); 2] =
    [("MALLOC_MMAP_THRESHOLD_", "1048576"), ("MALLOC_TRIM_THRESHOLD_", "2097152")];

/// Starts this program anew with the limits, unless somebody has set them. To be called before anything else: what
/// the process has done so far is lost.
pub fn give_back_memory() {
    if LIMITS.iter().any(|(name, _)| settings::text(name).is_some()) {
        return;
    }
    let mut arguments = std::env::args_os();
    let (Ok(program), Some(name)) = (std::env::current_exe(), arguments.next()) else { return };
    // Only a failure returns; the program then runs as it is, and keeps more memory than it needs.
    let _ = Command::new(program).arg0(name).args(arguments).envs(LIMITS).exec();
}
