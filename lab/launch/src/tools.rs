//! The real parts that may be on this machine: how each is called, and where it is looked for.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

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

/// A variable names a part that is not there.
#[derive(Debug, thiserror::Error)]
#[error("{variable}={}: not a program that can be run; name one, or unset the variable", value.display())]
pub struct NotAProgram {
    variable: &'static str,
    value: PathBuf,
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

    /// What it does where it is there.
    #[must_use]
    pub const fn use_of(self) -> &'static str {
        match self {
            Tool::K6 => "makes the load",
            Tool::Influxdb => "keeps points second by second, beside the run file",
            Tool::Postgres => "answers the questions of the plan `users`",
            Tool::Grafana => "shows what InfluxDB keeps",
        }
    }

    /// The part of the lab that stands in for it, and what that does.
    #[must_use]
    pub const fn stand_in(self) -> (&'static str, &'static str) {
        match self {
            Tool::K6 => ("built-in driver", "constant arrival rate, open loop"),
            Tool::Influxdb => ("run file", "SQLite, one row per request and hop"),
            Tool::Postgres => (NOTHING, "cells that ask it are left out"),
            Tool::Grafana => ("HTML report", "one file, no server"),
        }
    }

    /// How to come by it.
    #[must_use]
    pub const fn how_to_get(self) -> &'static str {
        match self {
            Tool::K6 => "from grafana.com/docs/k6 or your distribution, or nix develop",
            Tool::Influxdb => {
                "go install github.com/influxdata/influxdb/cmd/influxd@v1.8.10, or nix develop"
            }
            Tool::Postgres => "apt-get install postgresql, or nix develop",
            Tool::Grafana => "a package of grafana.com, or nix develop",
        }
    }

    /// The environment variable that names its program, where it is not the one on PATH.
    #[must_use]
    pub const fn variable(self) -> &'static str {
        match self {
            Tool::K6 => "LAB_K6",
            Tool::Influxdb => "LAB_INFLUXD",
            Tool::Postgres => "LAB_POSTGRES",
            Tool::Grafana => "LAB_GRAFANA",
        }
    }

    /// The environment variable that names one that runs already, where that can be used.
    #[must_use]
    pub const fn address_variable(self) -> Option<&'static str> {
        match self {
            Tool::Influxdb => Some("LAB_INFLUXDB_URL"),
            Tool::Postgres => Some("LAB_DATABASE_URL"),
            Tool::K6 | Tool::Grafana => None,
        }
    }

    /// Its programs, the one that is preferred first, and the arguments that make them tell their version: the
    /// first that one of them takes. InfluxDB 3 is looked for to be refused by its name.
    const fn programs(self) -> (&'static [&'static str], &'static [&'static str]) {
        match self {
            Tool::K6 => (&["k6"], &["version"]),
            Tool::Influxdb => (&["influxd", "influxdb3"], &["version", "--version"]),
            Tool::Postgres => (&["postgres"], &["--version"]),
            Tool::Grafana => (&["grafana", "grafana-server"], &["-v"]),
        }
    }

    /// Its program: the one that its variable names, one on PATH or, for PostgreSQL, where Debian puts it.
    ///
    /// # Errors
    /// If the variable names something that cannot be run.
    pub fn find(self) -> Result<Option<PathBuf>, NotAProgram> {
        // Seen from here: who starts it may be in another folder.
        let here = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
        if let Some(value) = settings::variable(self.variable()) {
            let value = PathBuf::from(value);
            return if executable(&value) {
                Ok(Some(here(value)))
            } else {
                Err(NotAProgram { variable: self.variable(), value })
            };
        }
        let path = settings::variable("PATH").unwrap_or_default();
        let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
        if self == Tool::Postgres {
            folders.extend(debian_postgres(Path::new("/usr/lib/postgresql")));
        }
        let programs = self.programs().0;
        Ok(programs
            .iter()
            .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
            .find(|file| executable(file))
            .map(here))
    }

    /// What the program at `path` says its version is: `v1.8.1`, `15.18`, `dev`; or `of an unknown version`, as a
    /// program that was built from its source without its repository has it.
    pub async fn version(self, path: &Path) -> Option<String> {
        for argument in self.programs().1 {
            let mut command = Command::new(path);
            // A log that goes elsewhere would fail it before it says anything.
            lab_supervise::not_inherited(crate::withheld)
                .for_each(|variable| _ = command.env_remove(variable));
            let output = command.arg(argument).kill_on_drop(true).output();
            let output = tokio::time::timeout(PATIENCE, output).await.ok()?.ok()?;
            let text = String::from_utf8_lossy(&output.stdout);
            if let Some(line) = text.lines().map(str::trim).find(|line| !line.is_empty()) {
                return Some(self.told(line).unwrap_or("of an unknown version").to_owned());
            }
        }
        None
    }

    /// The version in the line that the program writes: a number, or what it says in its place. What stands in
    /// parentheses after it is where and when it was built, except with PostgreSQL.
    fn told(self, line: &str) -> Option<&str> {
        let before = line.split('(').next().unwrap_or_default();
        let line = if self == Tool::Postgres { line } else { before };
        let words = || {
            line.split(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | ','))
                .filter(|word| !word.is_empty())
        };
        let number =
            |word: &&str| word.trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit());
        let name = |word: &&str| word.eq_ignore_ascii_case(self.name());
        words()
            .filter(|word| !name(word))
            .find(number)
            .or_else(|| words().nth(1).map(|word| word.strip_prefix('v').unwrap_or(word)))
            .filter(|word| *word != "unknown")
    }
}

/// What is called the stand-in where there is none.
pub const NOTHING: &str = "none";

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
    fn a_version_is_read_from_what_each_program_writes() {
        for (tool, line, version) in [
            (Tool::K6, "k6 v1.8.1 (go1.26.8, linux/amd64)", Some("v1.8.1")),
            (Tool::K6, "k6 v2.2.0 (commit/devel, go1.26.8, linux/amd64)", Some("v2.2.0")),
            (Tool::Influxdb, "InfluxDB v2.7.12 (git: none) build_date: 1970", Some("v2.7.12")),
            (Tool::Influxdb, "InfluxDB dev (git: none) build_date: 2026-11-25T1", Some("dev")),
            (Tool::Influxdb, "InfluxDB vunknown (git: unknown unknown)", None),
            (Tool::Influxdb, "influxdb3 3.0.1, revision 2026", Some("3.0.1")),
            (Tool::Influxdb, "InfluxDB 3 Core", Some("3")),
            (Tool::Postgres, "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", Some("15.18")),
            (Tool::Grafana, "Version 12.4.0 (commit: abc, branch: HEAD)", Some("12.4.0")),
        ] {
            assert_eq!(tool.told(line), version, "{line}");
        }
    }

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
}
