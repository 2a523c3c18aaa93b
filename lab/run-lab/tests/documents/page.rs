//! A document in Markdown: its prose, its blocks of code, its headings and links.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A document.
pub(crate) struct Page {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// The same from the top of the checkout.
    pub(crate) name: String,
    pub(crate) text: String,
}

/// A block of code.
pub(crate) struct Block {
    /// The line on which it begins.
    pub(crate) line: usize,
    /// What is written after the fence.
    pub(crate) language: String,
    pub(crate) text: String,
}

/// The top of the checkout.
pub(crate) fn root() -> PathBuf {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR"));
    crates.ancestors().nth(2).expect("the checkout").to_owned()
}

/// README, CONTRIBUTING, and everything in `docs/`.
pub(crate) fn pages() -> Vec<Page> {
    let entries = std::fs::read_dir(root().join("docs")).expect("docs/");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    paths.extend([root().join("README.md"), root().join("CONTRIBUTING.md")]);
    paths.sort();
    paths.iter().filter_map(|path| Page::read(path)).collect()
}

impl Page {
    pub(crate) fn named(name: &str) -> Page {
        Page::read(&root().join(name)).expect("a document")
    }

    /// The page at `path`, if it is one.
    pub(crate) fn read(path: &Path) -> Option<Page> {
        if path.extension().is_none_or(|extension| extension != "md") {
            return None;
        }
        let text = std::fs::read_to_string(path).ok()?;
        let name = path.strip_prefix(root()).unwrap_or(path).display().to_string();
        Some(Page { path: path.to_owned(), name, text })
    }

    pub(crate) fn folder(&self) -> &Path {
        self.path.parent().expect("a folder")
    }

    /// Its lines outside of blocks of code, with their numbers.
    pub(crate) fn prose(&self) -> Vec<(usize, &str)> {
        let mut inside = false;
        let mut lines = Vec::new();
        for (number, line) in self.text.lines().enumerate() {
            if line.trim_start().starts_with("```") {
                inside = !inside;
            } else if !inside && !line.starts_with("    ") {
                lines.push((number + 1, line));
            }
        }
        lines
    }

    /// Its blocks of code.
    pub(crate) fn blocks(&self) -> Vec<Block> {
        let mut blocks: Vec<Block> = Vec::new();
        let mut inside = false;
        for (number, line) in self.text.lines().enumerate() {
            match (line.trim_start().strip_prefix("```"), inside) {
                (Some(language), false) => {
                    inside = true;
                    let language = language.trim().to_owned();
                    blocks.push(Block { line: number + 1, language, text: String::new() });
                }
                (Some(_), true) => inside = false,
                (None, true) => {
                    let block = blocks.last_mut().expect("it has begun");
                    block.text.push_str(line);
                    block.text.push('\n');
                }
                (None, false) => {}
            }
        }
        assert!(!inside, "{}: a block has no end", self.name);
        blocks
    }

    /// What it links to, with the number of the line. A link may go on over the end of a line.
    pub(crate) fn links(&self) -> Vec<(usize, String)> {
        let prose = self.prose();
        let mut links = Vec::new();
        for (number, line) in &prose {
            let mut rest = *line;
            while let Some(at) = rest.find("](") {
                rest = &rest[at + 2..];
                let Some(end) = rest.find(')') else { break };
                links.push((*number, rest[..end].to_owned()));
                rest = &rest[end..];
            }
        }
        links
    }

    /// The anchors of its headings, as GitHub makes them.
    pub(crate) fn anchors(&self) -> BTreeSet<String> {
        let headings = self.prose().into_iter().filter(|(_, line)| line.starts_with('#'));
        headings
            .map(|(_, line)| {
                let text = line.trim_start_matches('#').trim().to_lowercase();
                let kept = text.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
                kept.map(|c| if c == ' ' { '-' } else { c }).collect()
            })
            .collect()
    }
}
