//! The log of a part: what it writes goes to a file, and the end of that file into errors.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Lines that an error quotes.
const LINES: usize = 12;
/// Bytes read from the end of the file to find them.
const BYTES: u64 = 8 * 1024;

/// Opens the log of a part for appending, and notes the command that is about to write to it.
pub(super) fn open(path: &Path, command: &str) -> io::Result<File> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    writeln!(file, "$ {command}")?;
    Ok(file)
}

/// The last lines of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tail {
    path: PathBuf,
    lines: Vec<String>,
}

impl Tail {
    /// Of the log at `path`; empty if it cannot be read.
    pub(super) fn of(path: &Path) -> Tail {
        let mut bytes = Vec::new();
        if let Ok(mut file) = File::open(path) {
            let length = file.metadata().map_or(0, |data| data.len());
            // A log that cannot be read is quoted as empty: the error it would explain goes first.
            let _ = file
                .seek(SeekFrom::Start(length.saturating_sub(BYTES)))
                .and_then(|_| file.read_to_end(&mut bytes));
        }
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<_> =
            text.lines().filter(|line| !line.starts_with("$ ")).map(str::to_owned).collect();
        let skip = lines.len().saturating_sub(LINES);
        Tail { path: path.to_owned(), lines: lines.into_iter().skip(skip).collect() }
    }
}

impl fmt::Display for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.lines.is_empty() {
            return write!(f, "  it wrote nothing to {}", self.path.display());
        }
        write!(f, "  the end of {}:", self.path.display())?;
        for line in &self.lines {
            write!(f, "\n  | {line}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_the_last_lines_without_the_command() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("echo.log");
        let mut file = open(&path, "run-lab echo").unwrap();
        for line in 0..100 {
            writeln!(file, "line {line}").unwrap();
        }
        let tail = Tail::of(&path).to_string();
        assert!(tail.contains("echo.log:\n  | line 88\n") && tail.ends_with("| line 99"), "{tail}");
    }

    #[test]
    fn an_empty_log_says_so() {
        assert!(Tail::of(Path::new("/nonexistent/x.log")).to_string().contains("wrote nothing"));
    }
}
