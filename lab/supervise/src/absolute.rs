//! Paths that mean the same in every folder: all that is told to another program.
//!
//! A program goes to a folder of its own (Grafana to its home, PostgreSQL to its data) and looks for a relative
//! path there. So the folder of a run is made absolute where it enters, and what lies in it is.

use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};

/// A path from the root, of text: environments and files of settings hold nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Absolute(PathBuf);

impl Absolute {
    /// `path` as seen from the folder that this process is in. It need not exist.
    ///
    /// # Errors
    /// If it is empty or no UTF-8, or this process's folder is gone.
    pub fn new(path: impl AsRef<Path>) -> io::Result<Absolute> {
        let path = std::path::absolute(path)?;
        match path.to_str() {
            Some(_) => Ok(Absolute(path)),
            None => {
                let why =
                    format!("{} is no UTF-8, and programs are told of it in text", path.display());
                Err(io::Error::new(io::ErrorKind::InvalidInput, why))
            }
        }
    }

    /// The path of `name` in this folder.
    #[must_use]
    pub fn join(&self, name: &str) -> Absolute {
        Absolute(self.0.join(name))
    }

    /// As text, for an environment variable or an argument.
    #[must_use]
    pub fn text(&self) -> String {
        self.0.to_string_lossy().into_owned()
    }
}

impl Deref for Absolute {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl AsRef<Path> for Absolute {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

/// The first of `words` that names something that is there by a relative path: a program would look for it
/// elsewhere. Words without a `/` are names of other things too.
pub(super) fn relative<'a>(words: impl IntoIterator<Item = &'a Path>) -> Option<&'a Path> {
    words
        .into_iter()
        .find(|word| word.is_relative() && word.components().nth(1).is_some() && word.exists())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    use super::*;

    #[test]
    fn a_path_is_seen_from_here_once_and_for_all() {
        let here = std::env::current_dir().unwrap();
        let out = Absolute::new("lab-runs/a run").unwrap();
        assert_eq!(&*out, here.join("lab-runs/a run"));
        assert_eq!(out.join("logs").text(), format!("{}/lab-runs/a run/logs", here.display()));
        assert_eq!(Absolute::new("/x").unwrap().text(), "/x");
        assert!(Absolute::new("").is_err());
        assert!(Absolute::new(OsStr::from_bytes(b"/a\xff")).is_err());
    }

    #[test]
    fn a_word_that_names_a_file_from_here_is_found() {
        // Unit tests run in the folder of their crate.
        let found = |words: &[&str]| relative(words.iter().map(Path::new)).map(Path::to_owned);
        assert_eq!(found(&["server", "src/lib.rs"]), Some("src/lib.rs".into()));
        assert_eq!(found(&["src", "/src/lib.rs", "http://127.0.0.1:1/src", "src/autogen"]), None);
    }
}
