//! The modules of a crate, as its files, and which file uses which.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// A path of names, without `crate`.
type Names = Vec<String>;

/// The files of a crate by the module that each of them is.
pub(crate) struct Modules {
    files: BTreeMap<Names, String>,
    texts: BTreeMap<Names, String>,
}

impl Modules {
    /// Those below the folder `src`, but for tests.
    pub(crate) fn read(src: &Path) -> Modules {
        let mut files = Vec::new();
        collect(src, "", &mut files);
        Modules::of(files)
    }

    /// Those of `files`, each with its path below `src` and its text.
    pub(crate) fn of(files: Vec<(String, String)>) -> Modules {
        let mut modules = Modules { files: BTreeMap::new(), texts: BTreeMap::new() };
        for (path, text) in files {
            let stem = path.trim_end_matches(".rs").trim_end_matches("/mod");
            let names: Names = match stem {
                "lib" | "mod" => Vec::new(),
                other => other.split('/').map(str::to_owned).collect(),
            };
            modules.texts.insert(names.clone(), code(&text));
            modules.files.insert(names, path);
        }
        modules
    }

    /// Which file uses which others.
    pub(crate) fn uses(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut uses = BTreeMap::new();
        for (module, text) in &self.texts {
            let targets = paths(text).into_iter().filter_map(|path| self.resolve(module, &path, 0));
            // A folder's own file is for all in it.
            let others = targets.filter(|target| !module.starts_with(target));
            let others = others.map(|target| self.files[&target].clone()).collect();
            uses.insert(self.files[module].clone(), others);
        }
        uses
    }

    /// The module whose file declares what `path` names, seen from `from`.
    fn resolve(&self, from: &Names, path: &[String], depth: usize) -> Option<Names> {
        let mut at = from.clone();
        let mut rest = path;
        match rest.first()?.as_str() {
            "crate" => {
                at.clear();
                rest = &rest[1..];
            }
            "self" => rest = &rest[1..],
            "super" => {
                while rest.first().is_some_and(|name| name == "super") {
                    at.pop()?;
                    rest = &rest[1..];
                }
            }
            // A name by itself is a child's, or of another crate.
            name => {
                at.push(name.to_owned());
                if !self.files.contains_key(&at) {
                    return None;
                }
                rest = &rest[1..];
            }
        }
        while let Some(name) = rest.first() {
            at.push(name.clone());
            if !self.files.contains_key(&at) {
                at.pop();
                break;
            }
            rest = &rest[1..];
        }
        let passed_on = rest.first().filter(|_| depth < 8).and_then(|name| {
            let passes = exports(self.texts.get(&at)?);
            let path = passes.into_iter().find(|path| path.last() == Some(name))?;
            self.resolve(&at, &path, depth + 1).filter(|module| *module != at)
        });
        passed_on.or_else(|| self.files.contains_key(&at).then_some(at))
    }
}

fn collect(folder: &Path, prefix: &str, into: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).expect("the checkout can be read").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        if entry.file_type().expect("the checkout can be read").is_dir() {
            if name != "tests" && name != "spec" && name != "bin" {
                collect(&entry.path(), &format!("{path}/"), into);
            }
        } else if name.ends_with(".rs")
            && !["main.rs", "tests.rs", "spec.rs"].contains(&name.as_str())
        {
            into.push((path, fs::read_to_string(entry.path()).expect("the checkout can be read")));
        }
    }
}

/// `text` without comments and without its tests, which stand last.
fn code(text: &str) -> String {
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    let code: Vec<&str> = lines.take_while(|line| !line.starts_with("#[cfg(test)]")).collect();
    code.join("\n")
}

/// Every path in `code` that begins in this crate, `use` trees spelled out.
fn paths(code: &str) -> Vec<Names> {
    let mut found = Vec::new();
    for (statement, _) in statements(code) {
        tree(&statement, &[], &mut found);
    }
    for root in ["crate::", "super::", "self::"] {
        for (at, _) in code.match_indices(root) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            let end = |c: char| !(c.is_alphanumeric() || c == '_' || c == ':');
            let path = code[at..].split(end).next().unwrap_or_default();
            // The beginning of a tree, which is read above.
            if path.ends_with("::") {
                continue;
            }
            let names: Names =
                path.split("::").filter(|name| !name.is_empty()).map(str::to_owned).collect();
            found.push(names);
        }
    }
    // `child::name` where no `use` is needed.
    let words = code.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
    let whole =
        |word: &&str| word.contains("::") && !word.starts_with("::") && !word.ends_with("::");
    for word in words.filter(whole) {
        found.push(word.split("::").filter(|name| !name.is_empty()).map(str::to_owned).collect());
    }
    found
}

/// What `code` passes on to others: paths of its `pub use`.
fn exports(code: &str) -> Vec<Names> {
    let mut found = Vec::new();
    for (statement, _) in statements(code).into_iter().filter(|(_, public)| *public) {
        tree(&statement, &[], &mut found);
    }
    found
}

/// The trees of all `use` statements, and whether each is more than private.
fn statements(code: &str) -> Vec<(String, bool)> {
    let mut found: Vec<(String, bool)> = Vec::new();
    for piece in code.split_inclusive([';', '{', '}']) {
        let piece = piece.trim_start();
        if let Some(at) = piece.find("use ").filter(|at| *at == 0 || piece.starts_with("pub")) {
            found.push((piece[at + 4..].to_owned(), at > 0));
        } else if let Some((last, _)) = found.last_mut().filter(|(last, _)| !last.ends_with(';')) {
            // A tree goes on behind its brace.
            last.push_str(piece);
        }
    }
    found
        .into_iter()
        .map(|(tree, public)| (tree.trim_end_matches(';').to_owned(), public))
        .collect()
}

/// The paths of the `use` tree `text` below `prefix`.
fn tree(text: &str, prefix: &[String], into: &mut Vec<Names>) {
    let text = text.trim();
    let Some((head, rest)) = text.split_once('{') else {
        let name = text.split(" as ").next().unwrap_or_default();
        let names =
            name.split("::").map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned);
        let path: Names = prefix.iter().cloned().chain(names).collect();
        if !path.is_empty() {
            into.push(path);
        }
        return;
    };
    let names = head.split("::").map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned);
    let prefix: Names = prefix.iter().cloned().chain(names).collect();
    let inside = rest.rsplit_once('}').map_or(rest, |(inside, _)| inside);
    let (mut depth, mut from) = (0_usize, 0);
    for (at, c) in inside.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                tree(&inside[from..at], &prefix, into);
                from = at + 1;
            }
            _ => {}
        }
    }
    if !inside[from..].trim().is_empty() {
        tree(&inside[from..], &prefix, into);
    }
}
