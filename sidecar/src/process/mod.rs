//! CPU, memory, switches and run-queue wait of every process of the lab, sampled from `/proc`.

mod claim;
mod sampler;
mod threads;
mod watched;

pub(crate) use claim::Claim;
pub(crate) use sampler::Sampler;
pub(crate) use watched::{WatchError, Watched};

/// Resident memory of this process, in bytes; 0 where `/proc` cannot be read.
pub(crate) fn own_rss_bytes() -> u64 {
    procfs::process::Process::myself()
        .and_then(|process| process.statm())
        .map_or(0, |memory| memory.resident * procfs::page_size())
}
