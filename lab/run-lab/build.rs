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
    println!("cargo::rustc-env=LAB_CARGO_LOCK={}", digest("Cargo.lock"));
    println!("cargo::rustc-env=LAB_FLAKE_LOCK={}", digest("flake.lock"));
}

fn unknown() -> String {
    "unknown".to_owned()
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
