//! Where the programs of parts are on this machine. Each is looked for once.

use std::fmt;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::part::{Part, Place};

/// A program, and what it says its version is.
#[derive(Debug, Clone)]
pub struct Found {
    /// Where it is.
    pub program: PathBuf,
    /// The first line of what it says.
    pub said: String,
}

/// A variable names something that is not the part.
#[derive(Debug, Clone)]
pub struct NotAProgram(String);

impl fmt::Display for NotAProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Part {
    /// Its program, if it is here.
    ///
    /// # Errors
    /// If its variable names something that cannot be run, or is another part.
    pub fn find(self) -> &'static Result<Option<Found>, NotAProgram> {
        static FOUND: [OnceLock<Result<Option<Found>, NotAProgram>>; Part::ALL.len()] =
            [const { OnceLock::new() }; Part::ALL.len()];
        FOUND[self as usize].get_or_init(|| look_for(self))
    }

    /// Its program.
    ///
    /// # Panics
    /// If it is not here: a test says first that it needs the part.
    #[must_use]
    pub fn program(self) -> &'static Path {
        match self.find() {
            Ok(Some(found)) => &found.program,
            Ok(None) => panic!("{} is not here: {}", self.name(), self.how_to_get()),
            Err(error) => panic!("{error}"),
        }
    }
}

fn look_for(part: Part) -> Result<Option<Found>, NotAProgram> {
    for place in part.places() {
        let must = matches!(place, Place::Named(_));
        for program in candidates(*place) {
            let found = ask(part, &program);
            match (found, place) {
                (Some(found), _) if part.is(&program, &found.said) => return Ok(Some(found)),
                (None, Place::Named(variable) | Place::NamedPerhaps(variable)) => {
                    let value = program.display();
                    let text = format!("{variable}={value}: not a program that can be run");
                    return Err(NotAProgram(text));
                }
                (Some(found), Place::Named(variable)) if must => {
                    let (value, name) = (program.display(), part.name());
                    let text = format!("{variable}={value} is no {name}: it says {:?}", found.said);
                    return Err(NotAProgram(text));
                }
                _ => {}
            }
        }
    }
    Ok(None)
}

fn candidates(place: Place) -> Vec<PathBuf> {
    match place {
        Place::Named(variable) | Place::NamedPerhaps(variable) => {
            // An empty variable is one that is not set.
            let value = std::env::var_os(variable).filter(|value| !value.is_empty());
            value.into_iter().map(PathBuf::from).collect()
        }
        Place::OnPath(name) => {
            let path = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&path).map(|folder| folder.join(name)).collect()
        }
        Place::InTarget(name) => {
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
            root.into_iter().map(|root| root.join("target/parts").join(name)).collect()
        }
        Place::At(path) => vec![path.into()],
        Place::OfDebian(name) => of_debian(Path::new("/usr/lib/postgresql"), name),
    }
}

/// The program in each version's folder, newest version first.
fn of_debian(root: &Path, name: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    let mut versions: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin").join(name)))
        })
        .collect();
    versions.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    versions.into_iter().map(|(_, program)| program).collect()
}

/// What the program at `program` says of its version; `None` if it is none.
fn ask(part: Part, program: &Path) -> Option<Found> {
    let data = program.metadata().ok()?;
    if !data.is_file() || data.permissions().mode() & 0o111 == 0 {
        return None;
    }
    let mut command = Command::new(program);
    let output = command.arg(part.version_argument()).stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    Some(Found { program: program.to_owned(), said: said.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_postgres_of_debian_comes_first() {
        let root = tempfile::tempdir().unwrap();
        for version in ["9", "15", "17", "common"] {
            std::fs::create_dir(root.path().join(version)).unwrap();
        }
        let expected = ["17", "15", "9"].map(|version| root.path().join(version).join("bin/x"));
        assert_eq!(of_debian(root.path(), "x"), expected);
    }
}
