//! Where a run is made and what takes part in it, as results name them.

use serde::{Deserialize, Serialize};

/// One part of the lab, real or standing in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// What it is for: `driver`, `store`, `database`, `dashboards`, `gateway`, …
    pub role: String,
    /// What does it: `built-in driver`, `k6`, `run file`, `influxd`, …
    pub name: String,
    /// Its version.
    pub version: String,
    /// Where it listens, if it does.
    pub address: Option<String>,
    /// False where an embedded part stands in for a real one.
    pub real: bool,
    /// One sentence: why it stands in and how to get the real one.
    pub note: String,
}

/// What the services of an arm were started from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArmProgram {
    /// Name of the arm.
    pub name: String,
    /// The program.
    pub program: String,
    /// What it says of its version.
    pub version: String,
    /// SHA-256 of its file, or `unknown`.
    pub sha256: String,
}

/// Where a run was made.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Environment {
    /// Version of the lab.
    pub lab_version: String,
    /// Commit that the lab was built from, with `-dirty` behind it if something was changed, or `unknown`.
    #[serde(default = "unknown")]
    pub commit: String,
    /// CPU model.
    pub cpu_model: String,
    /// Number of CPUs.
    pub cpus: usize,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Kernel release.
    pub kernel: String,
    /// CPU frequency governor, or `unknown`.
    pub governor: String,
    /// Compiler that built the lab.
    pub rustc: String,
    /// What it was built for, and how: target and profile.
    #[serde(default = "unknown")]
    pub build: String,
    /// SHA-256 of the Cargo.lock that it was built with, or `unknown`.
    #[serde(default = "unknown")]
    pub cargo_lock: String,
    /// SHA-256 of the flake.lock beside it, which pins the parts that are not ours, or `unknown`.
    #[serde(default = "unknown")]
    pub flake_lock: String,
    /// Whether cores run two threads each (`on`, `off`), or `unknown`.
    #[serde(default = "unknown")]
    pub smt: String,
    /// Whether cores may run above their base frequency for a while, as turbo modes do (`on`, `off`), or `unknown`.
    #[serde(default = "unknown")]
    pub turbo: String,
    /// Which CPUs the load generator and the services were kept to, e.g. `driver=0 services=1`; empty where the kernel chose.
    #[serde(default)]
    pub pinned: String,
    /// Clock source of the kernel.
    pub clocksource: String,
    /// When the run began, RFC 3339, UTC.
    pub started_at: String,
}

/// What results of earlier versions say where they say nothing.
fn unknown() -> String {
    "unknown".to_owned()
}
