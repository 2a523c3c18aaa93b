//! Secrets for the parts of one run: made anew, kept in files that nobody else can read.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Bytes of a secret. 128 bits cannot be guessed.
const BYTES: usize = 16;

/// A new secret: 32 hexadecimal digits, which no quoting can change.
///
/// # Errors
/// If the operating system's generator cannot be read.
pub(super) fn make() -> io::Result<String> {
    let mut bytes = [0; BYTES];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Makes a folder, and those above it, that nobody else can look into. One that is there stays as it is.
///
/// # Errors
/// If it cannot be made.
pub(super) fn folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Writes `secret` to a new file that only its owner can read.
///
/// # Errors
/// If the file is there already or cannot be written.
pub(super) fn keep(path: &Path, secret: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(secret.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn no_two_secrets_are_the_same_and_nobody_else_reads_them() {
        let (one, other) = (super::make().unwrap(), super::make().unwrap());
        assert!(one != other && one.len() == 32 && one.bytes().all(|b| b.is_ascii_hexdigit()));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        super::keep(&path, &one).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(super::keep(&path, &other).is_err());
    }
}
