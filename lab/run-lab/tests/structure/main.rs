//! The shape of the code: no file uses a file that uses it, arrows between crates point one way, and services are named in
//! tables alone.
//!
//! Reads sources as text, so it sees what is written and not what a macro makes of it. A file may use what its own
//! folder's `mod.rs` (or the crate's `lib.rs`) declares: that is where a folder keeps what its files share.

mod circles;
mod modules;
mod names;

use std::path::{Path, PathBuf};

use circles::circles;
use modules::Modules;

/// The crates of the checkout, as folders that hold a manifest and sources.
fn crates(below: &Path, into: &mut Vec<PathBuf>) {
    if below.join("Cargo.toml").is_file() && below.join("src").is_dir() {
        into.push(below.to_owned());
    }
    for entry in std::fs::read_dir(below).expect("the checkout can be read").flatten() {
        let name = entry.file_name();
        let ours = !["target", "src", "tests", "node_modules"].iter().any(|other| name == *other);
        if entry.file_type().expect("the checkout can be read").is_dir()
            && ours
            && !name.to_string_lossy().starts_with('.')
        {
            crates(&entry.path(), into);
        }
    }
}

#[test]
fn no_file_uses_a_file_that_uses_it() {
    let root =
        Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the checkout can be read");
    let mut found = Vec::new();
    crates(root, &mut found);
    assert!(found.len() > 10, "the checkout was read: {found:?}");
    let mut complaints = Vec::new();
    for folder in &found {
        let modules = Modules::read(&folder.join("src"));
        for circle in circles(&modules.uses()) {
            let name = folder.strip_prefix(root).expect("the checkout can be read").display();
            complaints.push(format!("{name}: {}", circle.join(" – ")));
        }
    }
    assert!(complaints.is_empty(), "files that use each other:\n{}", complaints.join("\n"));
}

#[test]
fn a_circle_is_found_however_it_is_written() {
    let modules = |files: &[(&str, &str)]| {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
        circles(&Modules::of(files.collect()).uses())
    };
    let pair = |a: &str, b: &str| {
        modules(&[("lib.rs", "mod a; mod b; pub use b::{B, C};"), ("a.rs", a), ("b.rs", b)])
    };
    let circle = vec![vec!["a.rs".to_owned(), "b.rs".to_owned()]];
    assert_eq!(pair("use crate::b::B;", "use crate::a::A;"), circle);
    assert_eq!(pair("use super::{x, b::{B, C as D}};", "fn f() { crate::a::g() }"), circle);
    // Through a name that the crate's root passes on.
    assert_eq!(pair("use crate::B;", "use super::a;"), circle);
    assert_eq!(pair("use crate::b::B;", "// use crate::a::A;"), Vec::<Vec<String>>::new());
    assert_eq!(
        pair("use crate::b::B;", "#[cfg(test)]\nmod tests {\n use crate::a::A;\n}\n"),
        Vec::<Vec<String>>::new()
    );
    // What a folder's own file declares is there for the files of the folder.
    let own = modules(&[
        ("lib.rs", "mod a;"),
        ("a/mod.rs", "mod b; struct S; fn f() { b::g() }"),
        ("a/b.rs", "use super::S;"),
    ]);
    assert_eq!(own, Vec::<Vec<String>>::new());
    let three = modules(&[
        ("lib.rs", "mod a; mod b; mod c;"),
        ("a.rs", "use crate::b::B;"),
        ("b.rs", "use crate::c::C;"),
        ("c/mod.rs", "use crate::a::A;"),
    ]);
    assert_eq!(three, [["a.rs", "b.rs", "c/mod.rs"]]);
}
