//! Records what the lab is built from and for: results name it.

use std::path::Path;
use std::process::Command;

use sha2::{Digest as _, Sha256};

fn main() {
    println!("cargo::rerun-if-env-changed=RUSTC");
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let version = Command::new(&rustc)
        .arg("-V")
        .output()
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .unwrap_or_else(unknown);
    println!("cargo::rustc-env=LAB_RUSTC={}", version.trim());
    let variable = |name| std::env::var(name).unwrap_or_else(|_| unknown());
    println!("cargo::rustc-env=LAB_BUILD={} {}", variable("TARGET"), variable("PROFILE"));
    println!("cargo::rustc-env=LAB_COMMIT={}", commit());
    println!("cargo::rustc-env=LAB_CARGO_LOCK={}", digest("Cargo.lock"));
    println!("cargo::rustc-env=LAB_FLAKE_LOCK={}", digest("flake.lock"));
}

fn unknown() -> String {
    "unknown".to_owned()
}

/// The commit that is checked out: as a build without a repository is told (`LAB_COMMIT`), else as git says.
fn commit() -> String {
    println!("cargo::rerun-if-env-changed=LAB_COMMIT");
    if let Some(told) = std::env::var("LAB_COMMIT").ok().filter(|told| !told.is_empty()) {
        return told;
    }
    // Another commit, or another checkout, writes a line there.
    let Some(log) = git(&["rev-parse", "--path-format=absolute", "--git-path", "logs/HEAD"]) else {
        return unknown();
    };
    if Path::new(&log).exists() {
        println!("cargo::rerun-if-changed={log}");
    }
    println!("cargo::rerun-if-changed=build.rs");
    // What is not committed makes another build: then git has to be asked again.
    let sources = ["ledger", "probe", "proto", "services", "settings", "sidecar", "k6", "lab"];
    for folder in sources.map(|name| Path::new("../..").join(name)) {
        if folder.exists() {
            println!("cargo::rerun-if-changed={}", folder.display());
        }
    }
    git(&["describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]).unwrap_or_else(unknown)
}

/// What git answers; nothing where there is none, or no repository.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|text| output.status.success() && !text.is_empty())
}

/// SHA-256 of a file of the workspace, as `sha256sum` writes it.
fn digest(name: &str) -> String {
    let path = Path::new("../..").join(name);
    let Ok(bytes) = std::fs::read(&path) else {
        return unknown();
    };
    println!("cargo::rerun-if-changed={}", path.display());
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
