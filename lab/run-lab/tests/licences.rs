//! k6 and Grafana are under the AGPL and their users' own: no file of this repository installs them.
//!
//! Compose, Dockerfiles and manifests may name their official images, which a user's own build pulls, and the flake
//! may name nixpkgs' packages. Nothing else may bring them.

use std::fs;
use std::path::{Path, PathBuf};

/// What fetches or installs a program, in a script or a recipe.
const VERBS: [&str; 18] = [
    "go install",
    "go get",
    "go run",
    "apt-get install",
    "apt install",
    "apk add",
    "dnf install",
    "yum install",
    "brew install",
    "snap install",
    "npm install",
    "npm i ",
    "npx ",
    "pip install",
    "cargo install",
    "curl ",
    "wget ",
    "git clone",
];
/// Where they can be fetched from; in pieces, so that a search for them finds what installs them and not this.
const SOURCES: [&str; 6] = [
    concat!("go.k6.io", "/k6"),
    concat!("github.com", "/grafana/k6"),
    concat!("github.com", "/grafana/grafana"),
    "dl.k6.io",
    "dl.grafana.com",
    "apt.grafana.com",
];
/// Folders that are not the repository's.
const NOT_OURS: [&str; 5] = ["target", ".git", "lab-runs", "node_modules", "result"];

/// What in `line` would install k6 or Grafana, if anything.
fn installs(line: &str) -> Option<&'static str> {
    let line = line.to_ascii_lowercase();
    // The operator of k6 is another program, and under another licence.
    let line = line.replace("github.com/grafana/k6-operator", "");
    if let Some(source) = SOURCES.iter().find(|source| line.contains(*source)) {
        return Some(source);
    }
    let named = line
        .split(|c: char| !c.is_ascii_alphanumeric())
        .any(|word| word == "k6" || word == "grafana");
    // At the beginning of a word: `cargo run` is no `go run`.
    let begins = |at: usize| !line[..at].ends_with(|c: char| c.is_ascii_alphanumeric());
    VERBS.iter().find(|verb| named && line.match_indices(*verb).any(|(at, _)| begins(at))).copied()
}

/// Every file of the repository below `folder` that is text.
fn texts(folder: &Path, into: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(folder).expect("the checkout can be read").flatten() {
        let (path, kind) = (entry.path(), entry.file_type().expect("the checkout can be read"));
        if kind.is_dir() && !NOT_OURS.iter().any(|name| entry.file_name() == *name) {
            texts(&path, into);
        } else if kind.is_file()
            && let Ok(text) = fs::read_to_string(&path)
        {
            into.push((path, text));
        }
    }
}

#[test]
fn nothing_installs_k6_or_grafana() {
    let root =
        Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the checkout can be read");
    let mut files = Vec::new();
    texts(root, &mut files);
    assert!(files.iter().any(|(path, _)| path.ends_with(".ci/run")), "the checkout was read");
    let mut found = Vec::new();
    for (path, text) in files.iter().filter(|(path, _)| !path.ends_with(file!())) {
        // A command may go on behind a backslash.
        let text = text.replace("\\\n", " ");
        found.extend(text.lines().filter_map(|line| {
            let what = installs(line)?;
            Some(format!("{}: {what}: {}", path.display(), line.trim()))
        }));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn an_installation_is_found_however_it_is_written() {
    for line in [
        concat!("GOBIN=$programs go", " install go.k6.io", "/k6@v1.8.1"),
        concat!("program k6 go.k6.io", "/k6@v1.8.1"),
        "RUN apt-get update && apt-get install -y grafana",
        "curl -fsSL https://example.org/k6.tar.gz | tar xz",
        "wget https://dl.grafana.com/oss/release/grafana.tar.gz",
        "npm install k6",
        "RUN apk add --no-cache K6",
    ] {
        assert!(installs(line).is_some(), "{line}");
    }
    for line in [
        "image: ${K6_IMAGE:-grafana/k6:1.8.1}",
        "COPY --from=k6 /usr/bin/k6 /usr/local/bin/",
        "realParts = stores ++ [ pkgs.k6 pkgs.grafana ];",
        "[k6 operator](https://github.com/grafana/k6-operator)",
        "curl -fsS http://127.0.0.1:8080/healthz",
        "cargo run --release -- run --without k6,grafana",
        "apt-get install -y postgresql",
    ] {
        assert_eq!(installs(line), None, "{line}");
    }
}
