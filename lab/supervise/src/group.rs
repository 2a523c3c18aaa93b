//! What a part leaves if nobody stops it: processes, and a folder. Both go when this is dropped.

use std::path::PathBuf;

use rustix::process::{Pid, Signal, kill_process_group};

/// A child and whatever it started. Dropped, all of it is killed: what a child left behind when it ended, and all where
/// the runtime is being torn down.
#[derive(Debug)]
pub(super) struct Group {
    /// The process that leads it.
    pub(super) id: u32,
    /// Goes after all that may write there has been killed.
    _leftovers: Leftovers,
}

/// A folder that goes when this is dropped.
#[derive(Debug)]
pub(super) struct Leftovers(pub(super) Option<PathBuf>);

impl Drop for Leftovers {
    fn drop(&mut self) {
        if let Some(folder) = &self.0 {
            // Its shim may have done it, and what cannot be removed harms nobody.
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

impl Group {
    /// The process group `id`; `leftovers` go when it has been killed.
    pub(super) fn new(id: u32, leftovers: Leftovers) -> Group {
        Group { id, _leftovers: leftovers }
    }

    /// Kills all that is left of it.
    pub(super) fn kill(&self) {
        if let Some(group) = i32::try_from(self.id).ok().and_then(Pid::from_raw) {
            // Fails only if nobody is left in it.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}
