//! How the C library keeps memory that was freed, which is a setting of a program as others are: by default it is no
//! good for one that handles messages of a megabyte.
//!
//! glibc maps large blocks by themselves, gives the end of a heap back, and raises the sizes from which it does either
//! whenever a mapped block is freed. So what a program costs depends on what it did first: a service maps and clears a
//! megabyte anew for each message (a third of its CPU at that size), and the sidecar keeps, after a few exports of
//! 16 MiB, tens of MiB in each of its heaps that nobody uses. The sizes can be held where they are by variables that are
//! read when a process starts (mallopt(3)), so a program that has them not starts itself anew, as the same process.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use crate::environment::text;

/// How memory is kept: variables of glibc's, with the values that they are to have.
#[derive(Debug, Clone, Copy)]
pub struct Allocator(&'static [(&'static str, &'static str)]);

/// Blocks from this size on are mapped by themselves, in bytes.
const MAP_FROM: &str = "MALLOC_MMAP_THRESHOLD_";
/// A heap with so much free at its end gives it back, in bytes.
const GIVE_BACK_FROM: &str = "MALLOC_TRIM_THRESHOLD_";
/// By how much more than is asked for the first heap grows, in bytes. Others grow by a page, each time by a system call.
const GROW_BY: &str = "MALLOC_TOP_PAD_";
/// How many heaps there are at most; each has free memory of its own.
const HEAPS: &str = "MALLOC_ARENA_MAX";

impl Allocator {
    /// For a program that has to keep to a bound of memory: smaller blocks come and go too often to be mapped each time.
    /// What one thread takes another gives back, so all have one heap, in which it is used again.
    pub const FRUGAL: Allocator = Allocator(&[
        (MAP_FROM, "1048576"),
        (GIVE_BACK_FROM, "2097152"),
        (GROW_BY, "1048576"),
        (HEAPS, "1"),
    ]);
    /// For a program that answers one message of a megabyte after another.
    pub const READY: Allocator = Allocator(&[(MAP_FROM, "4194304"), (GIVE_BACK_FROM, "33554432")]);

    /// Starts this program anew with these values, unless somebody has set one. To be called before anything else: what
    /// the process has done so far is lost.
    pub fn use_it(self) {
        if self.0.iter().any(|(name, _)| text(name).is_some()) {
            return;
        }
        let mut arguments = std::env::args_os();
        let (Ok(program), Some(name)) = (std::env::current_exe(), arguments.next()) else { return };
        // Only a failure returns; the program then runs as it is, which costs CPU or memory and nothing else.
        let _ =
            Command::new(program).arg0(name).args(arguments).envs(self.0.iter().copied()).exec();
    }
}
