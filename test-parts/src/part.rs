//! The real parts that tests may need: how each is called, where it may be, and how to get it.

use std::path::Path;

/// A program that is not ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// InfluxDB 1.8.
    Influxdb,
    /// InfluxDB 2.x.
    Influxdb2,
    /// PostgreSQL, with the programs that belong to it.
    Postgres,
    /// A pooler of connections to PostgreSQL.
    Pgbouncer,
    /// The load generator. It is the user's own: nothing here starts or installs it.
    K6,
    /// What runs k6's scripts where there is no k6.
    Node,
}

/// A place where a program may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Named by an environment variable: then it has to be this part.
    Named(&'static str),
    /// Named by an environment variable that may as well name another part.
    NamedPerhaps(&'static str),
    /// By this name in a folder of PATH.
    OnPath(&'static str),
    /// By this name in `target/parts` of the workspace.
    InTarget(&'static str),
    /// By this name where Debian puts the versions of PostgreSQL.
    OfDebian(&'static str),
    /// Here, where Debian puts servers: on PATH of root alone.
    At(&'static str),
}

impl Part {
    /// Every part.
    pub const ALL: [Part; 6] =
        [Part::Influxdb, Part::Influxdb2, Part::Postgres, Part::Pgbouncer, Part::K6, Part::Node];

    /// Its name, as in `LAB_REQUIRE_PARTS`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Part::Influxdb => "influxdb",
            Part::Influxdb2 => "influxdb2",
            Part::Postgres => "postgres",
            Part::Pgbouncer => "pgbouncer",
            Part::K6 => "k6",
            Part::Node => "node",
        }
    }

    /// What it is, in a sentence, and how to come by it.
    pub(crate) const fn how_to_get(self) -> &'static str {
        match self {
            Part::Influxdb => {
                "influxd 1.8: .ci/parts, or go install \
                 github.com/influxdata/influxdb/cmd/influxd@v1.8.10; on PATH, in target/parts or named \
                 by LAB_INFLUXD"
            }
            Part::Influxdb2 => {
                "influxd 2.x: .ci/parts, or https://docs.influxdata.com/influxdb/v2/install; on PATH, in \
                 target/parts (as influxd-2.7.12) or named by LAB_INFLUXD_2"
            }
            Part::Postgres => {
                "PostgreSQL: apt-get install postgresql, or nix develop; on PATH or named by LAB_POSTGRES"
            }
            Part::Pgbouncer => {
                "PgBouncer: .ci/parts, or apt-get install pgbouncer; on PATH or named by LAB_PGBOUNCER"
            }
            Part::K6 => {
                "k6, of your own: https://grafana.com/docs/k6/latest/set-up/install-k6; on PATH or \
                 named by LAB_K6"
            }
            Part::Node => "Node 18 or newer: apt-get install nodejs, or any other way; on PATH",
        }
    }

    /// Where it is looked for, in this order.
    pub(crate) const fn places(self) -> &'static [Place] {
        use Place::{At, InTarget, Named, NamedPerhaps, OfDebian, OnPath};
        match self {
            Part::Influxdb => {
                &[NamedPerhaps("LAB_INFLUXD"), OnPath("influxd"), InTarget("influxd")]
            }
            Part::Influxdb2 => &[
                Named("LAB_INFLUXD_2"),
                NamedPerhaps("LAB_INFLUXD"),
                OnPath("influxd-2.7.12"),
                OnPath("influxd"),
                InTarget("influxd-2.7.12"),
            ],
            Part::Postgres => &[Named("LAB_POSTGRES"), OnPath("postgres"), OfDebian("postgres")],
            Part::Pgbouncer => {
                &[Named("LAB_PGBOUNCER"), OnPath("pgbouncer"), At("/usr/sbin/pgbouncer")]
            }
            Part::K6 => &[Named("LAB_K6"), OnPath("k6")],
            Part::Node => &[OnPath("node")],
        }
    }

    /// The argument that makes it tell its version.
    pub(crate) const fn version_argument(self) -> &'static str {
        match self {
            Part::Postgres | Part::Pgbouncer | Part::Node => "--version",
            Part::Influxdb | Part::Influxdb2 | Part::K6 => "version",
        }
    }

    /// Whether a program at `program` that says `said` of its version is this part.
    pub(crate) fn is(self, program: &Path, said: &str) -> bool {
        match self {
            Part::Influxdb => influxdb_major(said) == Some(1),
            Part::Influxdb2 => influxdb_major(said) == Some(2),
            // The link of PATH may lead to a folder with all of them.
            Part::Postgres => {
                program.canonicalize().is_ok_and(|server| server.with_file_name("initdb").exists())
            }
            Part::Pgbouncer => said.starts_with("PgBouncer "),
            Part::K6 => true,
            Part::Node => said.starts_with('v'),
        }
    }
}

/// The first number of an InfluxDB's version. One that was built from its source says `vunknown` (1.x) or `dev` (2.x)
/// for it, but only a 2.x tells when it was built.
fn influxdb_major(said: &str) -> Option<u32> {
    let mut words = said.split_ascii_whitespace();
    words.find(|word| *word == "InfluxDB")?;
    let version = words.next()?.trim_start_matches('v');
    let major = version.split('.').next()?.parse().ok();
    major.or_else(|| Some(if said.contains("build_date") { 2 } else { 1 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generation_of_an_influxdb_is_what_it_says_itself() {
        for (said, major) in [
            ("InfluxDB v1.8.10 (git: 1.8 688e697c51fd)", Some(1)),
            ("InfluxDB vunknown (git: unknown unknown)", Some(1)),
            ("InfluxDB v2.7.12 (git: ec9dcde5d6) build_date: 2025-05-20T22:48:59Z", Some(2)),
            ("InfluxDB dev (git: none) build_date: 2026-11-25T17:49:27Z", Some(2)),
            ("InfluxDB 3.1.0", Some(3)),
            ("something else", None),
        ] {
            assert_eq!(influxdb_major(said), major, "{said}");
        }
    }

    #[test]
    fn names_and_ways_to_get_them_are_told_apart() {
        for part in Part::ALL {
            let same = |other: &&Part| other.name() == part.name();
            assert_eq!(Part::ALL.iter().filter(same).count(), 1);
            assert!(!part.how_to_get().is_empty());
        }
    }
}
