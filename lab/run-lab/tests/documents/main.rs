//! The documents, held to what a reader may expect: short lines, small tables, links that lead somewhere, and commands
//! of which each is run by a test or is said not to be, and why.

mod attach;
mod commands;
mod figures;
#[path = "../process/lone_sidecar.rs"]
mod lone_sidecar;
mod page;
mod tour;

use std::collections::BTreeSet;

use page::{Page, pages};

/// Columns of a line of prose.
const WIDTH: usize = 120;
/// Words of a cell of a table.
const WORDS: usize = 25;

#[test]
fn lines_of_prose_and_cells_of_tables_are_short() {
    let mut complaints = Vec::new();
    for page in pages() {
        for (number, line) in page.prose() {
            let long = line.chars().count();
            if line.starts_with('|') {
                let most = cells(line).iter().map(|cell| cell.split_whitespace().count()).max();
                if most.is_some_and(|most| most > WORDS) {
                    complaints.push(format!("{}:{number}: a cell of {most:?} words", page.name));
                }
            } else if long > WIDTH && !line.trim_start().starts_with("![") {
                complaints.push(format!("{}:{number}: {long} characters", page.name));
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// The cells of a row; `\|` is no end of one.
fn cells(row: &str) -> Vec<String> {
    let row = row.replace("\\|", "\u{0}");
    row.trim_matches('|').split('|').map(|cell| cell.replace('\u{0}', "|")).collect()
}

#[test]
fn links_lead_somewhere() {
    let all = pages();
    let mut complaints = Vec::new();
    for page in &all {
        for (number, target) in page.links() {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target.as_str(), ""));
            let path = if file.is_empty() { page.path.clone() } else { page.folder().join(file) };
            if !path.exists() {
                complaints.push(format!("{}:{number}: there is no {target}", page.name));
                continue;
            }
            let anchors = Page::read(&path).map(|page| page.anchors()).unwrap_or_default();
            if !anchor.is_empty() && !anchors.contains(anchor) {
                complaints.push(format!("{}:{number}: no heading is {target}", page.name));
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn every_document_is_in_the_index() {
    let index = Page::named("docs/README.md");
    let named: BTreeSet<String> = index.links().into_iter().map(|(_, target)| target).collect();
    for page in pages() {
        let name = page.name.strip_prefix("docs/").filter(|name| *name != "README.md");
        if let Some(name) = name {
            assert!(named.contains(name), "docs/README.md does not name {name}");
        }
    }
}

#[test]
fn the_readme_is_short() {
    let lines = Page::named("README.md").text.lines().count();
    assert!(lines < 120, "README.md has {lines} lines");
}
