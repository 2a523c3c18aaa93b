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

/// How freed memory is kept.
#[derive(Debug, Clone, Copy)]
pub struct Allocator {
    /// Blocks from this size on are mapped by themselves, in bytes.
    map_from: &'static str,
    /// A heap with so much free at its end gives it back, in bytes.
    give_back_from: &'static str,
}

impl Allocator {
    /// For a program that has to keep to a bound of memory: smaller blocks come and go too often to be mapped each time.
    pub const FRUGAL: Allocator = Allocator { map_from: "1048576", give_back_from: "2097152" };
    /// For a program that answers one message of a megabyte after another.
    pub const READY: Allocator = Allocator { map_from: "4194304", give_back_from: "33554432" };

    /// Starts this program anew with these sizes, unless somebody has set one. To be called before anything else: what
    /// the process has done so far is lost.
    pub fn use_it(self) {
        let sizes = [
            ("MALLOC_MMAP_THRESHOLD_", self.map_from),
            ("MALLOC_TRIM_THRESHOLD_", self.give_back_from),
        ];
        if sizes.iter().any(|(name, _)| text(name).is_some()) {
            return;
        }
        let mut arguments = std::env::args_os();
        let (Ok(program), Some(name)) = (std::env::current_exe(), arguments.next()) else { return };
        // Only a failure returns; the program then runs as it is, which costs CPU or memory and nothing else.
        let _ = Command::new(program).arg0(name).args(arguments).envs(sizes).exec();
    }
}
