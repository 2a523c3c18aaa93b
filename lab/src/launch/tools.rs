//! The real parts that may be on this machine, and what stands in for each.
//!
//! Finding only. This version of the lab does not use them yet, and every line it prints says so.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use crate::model::Component;

/// How long a program may take to tell its version.
const PATIENCE: Duration = Duration::from_secs(5);

/// A real part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Tool {
    /// The load generator.
    K6,
    /// The time-series database.
    Influxdb,
    /// The relational database.
    Postgres,
    /// The dashboards.
    Grafana,
}

impl Tool {
    /// Every real part.
    pub const ALL: [Tool; 4] = [Tool::K6, Tool::Influxdb, Tool::Postgres, Tool::Grafana];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Tool::K6 => "k6",
            Tool::Influxdb => "InfluxDB",
            Tool::Postgres => "PostgreSQL",
            Tool::Grafana => "Grafana",
        }
    }

    /// What it is for.
    #[must_use]
    pub const fn role(self) -> &'static str {
        match self {
            Tool::K6 => "driver",
            Tool::Influxdb => "store",
            Tool::Postgres => "database",
            Tool::Grafana => "dashboards",
        }
    }

    /// The part of the lab that stands in for it, and what that does.
    #[must_use]
    pub const fn stand_in(self) -> (&'static str, &'static str) {
        match self {
            Tool::K6 => ("built-in driver", "constant arrival rate, open loop"),
            Tool::Influxdb => ("run file", "SQLite, one row per request and hop"),
            Tool::Postgres => ("none", "no plan of this version asks a database"),
            Tool::Grafana => ("HTML report", "one file, no server"),
        }
    }

    /// Its programs, and the argument that makes them tell their version.
    const fn programs(self) -> (&'static [&'static str], &'static str) {
        match self {
            Tool::K6 => (&["k6"], "version"),
            Tool::Influxdb => (&["influxd"], "version"),
            Tool::Postgres => (&["postgres"], "--version"),
            Tool::Grafana => (&["grafana", "grafana-server"], "-v"),
        }
    }

    /// Where it is, if it is on PATH or, for PostgreSQL, where Debian puts it.
    #[must_use]
    pub fn find(self) -> Option<PathBuf> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
        if self == Tool::Postgres {
            folders.extend(debian_postgres(Path::new("/usr/lib/postgresql")));
        }
        let programs = self.programs().0;
        folders
            .iter()
            .flat_map(|folder| programs.iter().map(|name| folder.join(name)))
            .find(|file| executable(file))
    }

    /// What the program at `path` says its version is: its first line.
    pub async fn version(self, path: &Path) -> Option<String> {
        let output = Command::new(path).arg(self.programs().1).kill_on_drop(true).output();
        let output = tokio::time::timeout(PATIENCE, output).await.ok()?.ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
    }

    /// The stand-in, as a part of a run.
    #[must_use]
    pub fn component(self) -> Component {
        let (name, what) = self.stand_in();
        let why = match self.find() {
            Some(path) => {
                format!("{} at {} is not used by this version", self.name(), path.display())
            }
            None => format!("{} is not on PATH", self.name()),
        };
        Component {
            role: self.role().to_owned(),
            name: name.to_owned(),
            version: if self == Tool::Postgres {
                String::new()
            } else {
                env!("CARGO_PKG_VERSION").to_owned()
            },
            address: None,
            real: false,
            note: format!("{what}; {why}"),
        }
    }
}

/// The program folders of Debian's PostgreSQL, newest version first.
fn debian_postgres(root: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(root) else {
        return Vec::new();
    };
    let mut versions: Vec<(u32, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin")))
        })
        .collect();
    versions.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    versions.into_iter().map(|(_, path)| path).collect()
}

fn executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_postgres_of_debian_comes_first() {
        let dir = tempfile::tempdir().unwrap();
        for version in ["9", "15", "17", "common"] {
            std::fs::create_dir_all(dir.path().join(version).join("bin")).unwrap();
        }
        let found = debian_postgres(dir.path());
        let expected: Vec<_> =
            ["17", "15", "9"].map(|version| dir.path().join(version).join("bin")).into();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_stand_in_says_what_it_stands_in_for() {
        for tool in Tool::ALL {
            let component = tool.component();
            assert!(!component.real && component.note.contains(tool.name()), "{component:?}");
        }
    }
}
