//! Who may name a service: the tables that say which there are. Everybody else asks what a system can do.

use std::fs;
use std::path::{Path, PathBuf};

/// The table of services, that of the programs that run under their names, and that of settings, which says whose each
/// setting is.
const TABLES: [&str; 3] =
    ["lab/model/src/services.rs", "lab/run-lab/src/programs.rs", "lab/model/src/plan/knobs/mod.rs"];

/// Whether a line of code has `name` as a text of its own: what is compared, or looked for.
fn has(line: &str, name: &str) -> bool {
    !line.trim_start().starts_with("//") && line.contains(&format!("\"{name}\""))
}

/// Lines of the code of `file`, but of its tests, that name one of `names`.
pub(crate) fn named(text: &str, names: &[&str]) -> Vec<String> {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = code.lines().filter(|line| names.iter().any(|name| has(line, name)));
    lines.map(|line| line.trim().to_owned()).collect()
}

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the checkout can be read").flatten() {
        let path = entry.path();
        let code = !["tests", "examples", "target"].iter().any(|other| entry.file_name() == *other);
        if path.is_dir() && code {
            sources(&path, into);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            into.push(path);
        }
    }
}

#[test]
fn nothing_in_the_lab_asks_a_services_name_to_decide_what_is_valid() {
    let root =
        Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the checkout can be read");
    let names = lab_model::Service::names();
    let (mut files, mut complaints) = (Vec::new(), Vec::new());
    sources(&root.join("lab"), &mut files);
    assert!(files.len() > 100, "the checkout was read: {files:?}");
    for file in files {
        let name = file.strip_prefix(root).expect("it is below").display().to_string();
        if TABLES.contains(&name.as_str()) {
            continue;
        }
        let text = fs::read_to_string(&file).expect("the checkout can be read");
        complaints.extend(named(&text, &names).into_iter().map(|line| format!("{name}: {line}")));
    }
    assert!(complaints.is_empty(), "services are named in\n{}", complaints.join("\n"));
}

#[test]
fn a_name_is_found_where_it_is_compared_and_not_where_it_is_told() {
    let names = ["gateway"];
    assert_eq!(named("if name == \"gateway\" {", &names).len(), 1);
    assert_eq!(named("// \"gateway\"\nformat!(\"the gateway's handler\")", &names).len(), 0);
    assert_eq!(named("#[cfg(test)]\nmod tests { \"gateway\" }", &names).len(), 0);
}
