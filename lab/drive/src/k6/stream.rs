//! The pipe through which k6 tells its samples.
//!
//! A named pipe in a private folder: k6 takes it for the file that it was asked to write, nothing touches a disk,
//! and k6 waits where it is not read. It is opened here for writing too, so that it never ends: when k6 has
//! ended, what is left in it is read and that is all.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, mkfifoat};
use tempfile::TempDir;
use tokio::net::unix::pipe::{OpenOptions, Receiver};

use super::lines::Lines;

/// Bytes read at once: what a pipe holds by default (pipe(7)).
const PIECE: usize = 64 * 1024;
/// Pieces read in a row before others get a turn.
const TURN: usize = 16;

/// The reading end, and the folder that holds the pipe.
#[derive(Debug)]
pub(super) struct Stream {
    path: PathBuf,
    receiver: Receiver,
    piece: Vec<u8>,
    lines: Lines,
    // Removes the pipe when dropped; named so that it lives as long.
    _folder: TempDir,
}

impl Stream {
    /// A new pipe that nobody else can open.
    pub(super) fn new() -> io::Result<Stream> {
        let private = Permissions::from_mode(0o700);
        let folder =
            tempfile::Builder::new().prefix("run-lab-k6-").permissions(private).tempdir()?;
        let path = folder.path().join("samples");
        mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR)?;
        let receiver = OpenOptions::new().read_write(true).open_receiver(&path)?;
        let (piece, lines) = (vec![0; PIECE], Lines::default());
        Ok(Stream { path, receiver, piece, lines, _folder: folder })
    }

    /// Where the pipe is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Lines that were too long to be read.
    pub(super) fn too_long(&self) -> u64 {
        self.lines.too_long
    }

    /// Waits for bytes and calls `each` for every line among them.
    pub(super) async fn read(&mut self, each: impl FnMut(&[u8])) -> io::Result<()> {
        self.receiver.readable().await?;
        self.drain(TURN, each).map(|_| ())
    }

    /// Reads what is there, whatever that is.
    pub(super) fn rest(&mut self, mut each: impl FnMut(&[u8])) -> io::Result<()> {
        while self.drain(TURN, &mut each)? {}
        Ok(())
    }

    /// Reads at most so many pieces; whether there may be more.
    fn drain(&mut self, pieces: usize, mut each: impl FnMut(&[u8])) -> io::Result<bool> {
        for _ in 0..pieces {
            match self.receiver.try_read(&mut self.piece) {
                Ok(0) => return Ok(false),
                Ok(count) => self.lines.take(&self.piece[..count], &mut each),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[tokio::test]
    async fn what_a_program_writes_as_to_a_file_is_read_line_by_line() {
        let mut stream = Stream::new().unwrap();
        let path = stream.path().to_owned();
        assert_eq!(path.parent().unwrap().metadata().unwrap().permissions().mode() & 0o77, 0);
        let to = path.clone();
        let writer = std::thread::spawn(move || {
            // As k6 opens its file.
            let mut file = std::fs::File::options()
                .read(true)
                .write(true)
                .create(true)
                .truncate(true)
                .open(to)
                .unwrap();
            for line in 0..20_000 {
                writeln!(file, "line {line}").unwrap();
            }
        });
        let (mut count, mut last) = (0, String::new());
        while count < 20_000 {
            stream
                .read(|line| {
                    count += 1;
                    last = String::from_utf8_lossy(line).into_owned();
                })
                .await
                .unwrap();
        }
        writer.join().unwrap();
        stream.rest(|_| count += 1).unwrap();
        assert_eq!((count, last.as_str(), stream.too_long()), (20_000, "line 19999", 0));
        drop(stream);
        assert!(!path.exists());
    }
}
