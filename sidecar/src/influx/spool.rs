//! Points on disk while InfluxDB is away: files of whole lines, numbered in order.
//!
//! A file of a killed sidecar is taken up by the next; a line that was cut off is removed. Nothing is synced
//! to the disk itself: the spool outlives the process, not a power failure. Past its limit the *oldest* file
//! goes, for later points of a window say more than earlier ones, and the newest are what a reader looks at.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// A file this large is not added to, in bytes.
const FILE_SIZE: u64 = 512 << 10;
/// Ending of the names of spool files.
const ENDING: &str = "lp";

/// What went wrong with a spool.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The system refused.
    #[error("cannot {action} the spool {}: {source}", .path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Another sidecar has it.
    #[error("cannot use the spool {}: another sidecar uses it", .0.display())]
    InUse(PathBuf),
    /// There is no room for it.
    #[error("cannot spool {bytes} bytes: --spool-limit is {limit} bytes")]
    Limit {
        /// How much was to be spooled.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
}

/// One file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) number: u64,
    pub(super) bytes: u64,
    pub(super) points: u64,
}

/// The files, oldest first.
#[derive(Debug)]
pub(crate) struct Spool {
    folder: PathBuf,
    limit: u64,
    segments: VecDeque<Segment>,
    /// The newest file, if it is being added to.
    open: Option<File>,
    next: u64,
    /// Points of files that were thrown away to keep the limit.
    overflowed: u64,
    /// Lines that were cut off when a sidecar was killed.
    torn: u64,
    /// Held as long as the spool is used.
    _lock: File,
}

impl Spool {
    /// Opens the spool in `folder`, which is made if it is not there, with what an earlier sidecar left.
    ///
    /// # Errors
    /// [`SpoolError`] if the folder cannot be used.
    pub(crate) fn open(folder: &Path, limit: u64) -> Result<Spool, SpoolError> {
        fs::create_dir_all(folder).map_err(|source| error("make", folder, source))?;
        let path = folder.join("lock");
        let lock = File::create(&path).map_err(|source| error("lock", &path, source))?;
        lock.try_lock().map_err(|failed| match failed {
            fs::TryLockError::WouldBlock => SpoolError::InUse(folder.to_owned()),
            fs::TryLockError::Error(source) => error("lock", &path, source),
        })?;
        let mut spool = Spool {
            folder: folder.to_owned(),
            limit,
            segments: VecDeque::new(),
            open: None,
            next: 1,
            overflowed: 0,
            torn: 0,
            _lock: lock,
        };
        spool.take_up()?;
        Ok(spool)
    }

    fn take_up(&mut self) -> Result<(), SpoolError> {
        let folder = self.folder.clone();
        let listed = fs::read_dir(&folder).map_err(|source| error("read", &folder, source))?;
        let paths = listed.flatten().map(|entry| entry.path());
        let files = paths.filter(|path| path.extension().is_some_and(|ending| ending == ENDING));
        let mut numbers: Vec<u64> =
            files.filter_map(|path| path.file_stem()?.to_str()?.parse().ok()).collect();
        numbers.sort_unstable();
        for number in numbers {
            let path = self.path(number);
            let text = fs::read(&path).map_err(|source| error("read", &path, source))?;
            let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
            if whole < text.len() {
                self.torn += 1;
                let file = OpenOptions::new().write(true).open(&path);
                let cut = file.and_then(|file| file.set_len(whole as u64));
                cut.map_err(|source| error("mend", &path, source))?;
            }
            let segment = Segment { number, bytes: whole as u64, points: count(&text[..whole]) };
            self.next = number + 1;
            if whole == 0 {
                let _ = fs::remove_file(&path);
            } else {
                self.segments.push_back(segment);
            }
        }
        Ok(())
    }

    /// The files, oldest first.
    pub(super) fn segments(&self) -> &VecDeque<Segment> {
        &self.segments
    }

    /// Bytes on disk.
    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// Points of files that were thrown away to keep the limit, since this was last asked.
    pub(super) fn take_overflowed(&mut self) -> u64 {
        std::mem::take(&mut self.overflowed)
    }

    /// Lines that were found cut off.
    pub(super) fn torn(&self) -> u64 {
        self.torn
    }

    /// A number for points that are on their way, before all that are spooled from now on.
    pub(super) fn reserve(&mut self) -> u64 {
        self.open = None;
        self.next += 1;
        self.next - 1
    }

    /// Adds whole lines after all others. File `kept` is not thrown away.
    pub(super) fn append(&mut self, text: &[u8], kept: Option<u64>) -> Result<(), SpoolError> {
        self.make_room(text.len() as u64, kept)?;
        let newest = self.segments.back().copied();
        let (mut segment, file) = match (newest, &mut self.open) {
            (Some(newest), Some(file)) if newest.bytes < FILE_SIZE => (newest, file),
            _ => {
                self.open = None;
                let path = self.path(self.next);
                let made = OpenOptions::new().append(true).create_new(true).open(&path);
                let file = self.open.insert(made.map_err(|source| error("add to", &path, source))?);
                let segment = Segment { number: self.next, bytes: 0, points: 0 };
                self.next += 1;
                self.segments.push_back(segment);
                (segment, file)
            }
        };
        if let Err(source) = file.write_all(text) {
            // Of a full disk a part may have been written: lines stay whole.
            let mended = file.set_len(segment.bytes);
            let path = self.path(segment.number);
            if mended.is_err() || segment.bytes == 0 {
                self.open = None;
            }
            if segment.bytes == 0 {
                self.segments.pop_back();
                let _ = fs::remove_file(&path);
            }
            return Err(error("add to", &path, source));
        }
        segment.bytes += text.len() as u64;
        segment.points += count(text);
        if let Some(newest) = self.segments.back_mut() {
            *newest = segment;
        }
        Ok(())
    }

    /// Stores lines before all others, under a number that was reserved for them. They are the oldest: no
    /// other file makes room for them.
    pub(super) fn put_first(&mut self, number: u64, text: &[u8]) -> Result<(), SpoolError> {
        let bytes = text.len() as u64;
        if self.bytes() + bytes > self.limit {
            return Err(SpoolError::Limit { bytes, limit: self.limit });
        }
        let path = self.path(number);
        if let Err(source) = fs::write(&path, text) {
            let _ = fs::remove_file(&path);
            return Err(error("add to", &path, source));
        }
        let segment = Segment { number, bytes, points: count(text) };
        self.segments.push_front(segment);
        Ok(())
    }

    /// Reads the oldest file, which is not added to from now on.
    pub(super) fn read_first(&mut self) -> Option<(Segment, Result<Vec<u8>, SpoolError>)> {
        let first = *self.segments.front()?;
        if self.segments.len() == 1 {
            self.open = None;
        }
        let path = self.path(first.number);
        Some((first, fs::read(&path).map_err(|source| error("read", &path, source))))
    }

    /// Removes a file.
    pub(super) fn remove(&mut self, number: u64) {
        if self.segments.back().is_some_and(|newest| newest.number == number) {
            self.open = None;
        }
        self.segments.retain(|segment| segment.number != number);
        let _ = fs::remove_file(self.path(number));
    }

    /// Ends the use of the spool; an empty one leaves nothing behind.
    pub(super) fn close(&mut self) {
        self.open = None;
        if self.segments.is_empty() {
            let _ = fs::remove_file(self.folder.join("lock"));
            let _ = fs::remove_dir(&self.folder);
        }
    }

    /// Throws away the oldest files until `bytes` more fit.
    fn make_room(&mut self, bytes: u64, kept: Option<u64>) -> Result<(), SpoolError> {
        let staying = |segment: &&Segment| Some(segment.number) == kept;
        let fixed: u64 = self.segments.iter().filter(staying).map(|segment| segment.bytes).sum();
        if fixed + bytes > self.limit {
            return Err(SpoolError::Limit { bytes, limit: self.limit });
        }
        while self.bytes() + bytes > self.limit {
            let oldest = self.segments.iter().find(|segment| Some(segment.number) != kept);
            let Some(&oldest) = oldest else { break };
            self.overflowed += oldest.points;
            self.remove(oldest.number);
        }
        Ok(())
    }

    fn path(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number:020}.{ENDING}"))
    }
}

fn error(action: &'static str, path: &Path, source: io::Error) -> SpoolError {
    SpoolError::Io { action, path: path.to_owned(), source }
}

/// Points in whole lines.
pub(super) fn count(text: &[u8]) -> u64 {
    text.iter().filter(|&&byte| byte == b'\n').count() as u64
}
