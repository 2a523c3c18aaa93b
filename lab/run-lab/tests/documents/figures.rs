//! Every figure names its command: a number with a unit that is not round was measured, and its section says by what:
//! *Measured by*, and the command in backticks, which has to be there.
//!
//! Limits, settings and definitions are round (5 s, 64 KiB, 95 %), what a clock or a counter says is not (63.7 µs). So a
//! reader finds for each number that was measured what to run to measure it again, and whoever writes one down without
//! is told here. Blocks of code are not looked at: they show what a command printed.

use std::path::Path;

use super::page::{Page, pages, root};

/// What begins the sentence that names the command.
const MEASURED: &str = "Measured by `";

/// Units of what is measured.
const UNITS: [&str; 20] = [
    "kB",
    "KB",
    "MB",
    "GB",
    "µs",
    "us",
    "ms",
    "s",
    "min",
    "%",
    "KiB",
    "MiB",
    "GiB",
    "×",
    "/s",
    "times",
    "requests/s",
    "requests a second",
    "requests per second",
    "spans per CPU second",
];

/// What makes bare numbers below it figures, in the head of a table.
const HEADS: [&str; 7] = ["µs", "ms", "/s", "%", "MiB", "ratio", "mean"];

/// What is not round and was not measured here: the page, the figure or the heading of its section, and why.
const NOT_MEASURED: [(&str, &str, &str); 4] = [
    ("docs/attach.md", "12 s", "a limit"),
    ("docs/influxdb.md", "61 s", "a limit: a minute and a second of grace"),
    ("docs/influxdb.md", "24 MiB", "a limit"),
    (
        "docs/the-wrong-comparison.md",
        "# The wrong comparison",
        "others have published it, or their code was run, which is not here",
    ),
];

/// A part of a page from one heading to the next, without blocks of code.
#[derive(Default)]
struct Section<'a> {
    heading: &'a str,
    /// Its lines with their numbers.
    lines: Vec<(usize, &'a str)>,
}

#[test]
fn every_figure_that_was_measured_names_its_command() {
    let mut complaints = Vec::new();
    let mut used = [false; NOT_MEASURED.len()];
    for page in pages() {
        for section in sections(&page) {
            match command(&section) {
                Some(command) if is_here(&command) => continue,
                Some(command) => {
                    complaints.push(format!("{}: nothing here is `{command}`", page.name));
                }
                None => {}
            }
            for (line, figure) in figures(&section) {
                let known = |(on, what, _): &(&str, &str, &str)| {
                    *on == page.name && (*what == figure || *what == section.heading)
                };
                match NOT_MEASURED.iter().position(known) {
                    Some(at) => used[at] = true,
                    None => complaints.push(format!(
                        "{}:{line}: {figure}: its section does not say {MEASURED}COMMAND`",
                        page.name
                    )),
                }
            }
        }
    }
    for ((page, figure, _), used) in std::iter::zip(NOT_MEASURED, used) {
        if !used {
            complaints.push(format!("{page} has no {figure}: take it out of {}", file!()));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

fn sections(page: &Page) -> Vec<Section<'_>> {
    let mut sections = vec![Section::default()];
    for (number, line) in page.prose() {
        if line.starts_with('#') {
            sections.push(Section { heading: line, lines: Vec::new() });
        } else if let Some(section) = sections.last_mut() {
            section.lines.push((number, line));
        }
    }
    sections
}

/// The command that a section says its figures come from.
fn command(section: &Section<'_>) -> Option<String> {
    let text = section.lines.iter().map(|(_, line)| line.trim()).collect::<Vec<_>>().join(" ");
    let (_, rest) = text.split_once(MEASURED)?;
    Some(rest.split_once('`')?.0.to_owned())
}

/// Whether there is such a command: a program of the lab, a test, an example, a script.
fn is_here(command: &str) -> bool {
    let words: Vec<&str> = command.split_whitespace().collect();
    match words[..] {
        ["run-lab", order, ..] => root().join(format!("lab/run-lab/src/cli/{order}.rs")).exists(),
        ["cargo", "run", "--release", ..] => true,
        ["cargo", "test", ..] => {
            let name = words.windows(2).find(|pair| pair[0] == "--test").map(|pair| pair[1]);
            name.is_some_and(|name| source(root().as_path(), "tests", name, 4))
        }
        [program, ..] => match program.strip_prefix("target/release/examples/") {
            Some(name) => source(root().as_path(), "examples", name, 4),
            None => root().join(program).is_file(),
        },
        [] => false,
    }
}

/// Whether some crate has the target `name` in its folder `kind`; crates are at most so many folders below `folder`.
fn source(folder: &Path, kind: &str, name: &str, depth: u32) -> bool {
    let targets = folder.join(kind);
    if targets.join(name).join("main.rs").exists() || targets.join(format!("{name}.rs")).exists() {
        return true;
    }
    let Some(depth) = depth.checked_sub(1) else { return false };
    let inner = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let folders = inner.filter(|entry| entry.file_name() != "target" && entry.path().is_dir());
    folders.map(|entry| entry.path()).any(|inner| source(&inner, kind, name, depth))
}

/// The figures of a section that are not round, each with the number of its line.
fn figures(section: &Section<'_>) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut head = None;
    for (number, line) in &section.lines {
        // The first row of a table is its head.
        head = line.starts_with('|').then(|| head.unwrap_or(*line));
        let words = |head: &str| {
            let head = head.to_lowercase();
            let mut words = head.split(|c: char| c.is_whitespace() || "|,[]".contains(c));
            words.any(|word| HEADS.iter().any(|unit| word == *unit || word.ends_with("/s")))
        };
        let bare = head.is_some_and(|head| head != *line && words(head));
        found.extend(of_line(line, bare).into_iter().map(|figure| (*number, figure)));
    }
    found
}

/// The figures of a line that are not round; `bare`: also those without a unit.
fn of_line(line: &str, bare: bool) -> Vec<String> {
    // What stands in backticks is written to be typed.
    let text: String = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
    let mut figures = Vec::new();
    let mut rest = text.as_str();
    let mut before = ' ';
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        before = rest[..at].chars().next_back().unwrap_or(before);
        let end = rest[at..].find(|c: char| !(c.is_ascii_digit() || ",.".contains(c)));
        let (number, after) = rest[at..].split_at(end.unwrap_or(rest.len() - at));
        let number = number.trim_end_matches([',', '.']);
        rest = after;
        // A digit of a name, such as p99 or 1.8.10, is no figure.
        let name =
            before.is_alphanumeric() || "_-.`".contains(before) || number.matches('.').count() > 1;
        before = ' ';
        let unit = unit(after);
        if !name && !is_round(number) && (bare || unit.is_some()) {
            let unit = unit.map(|unit| format!(" {unit}")).unwrap_or_default();
            figures.push(format!("{number}{unit}"));
        }
    }
    figures
}

/// The unit that `text` begins with, the longest that fits.
fn unit(text: &str) -> Option<&'static str> {
    let text = text.strip_prefix(' ').unwrap_or(text);
    let fits = |unit: &&&str| {
        let after = text.strip_prefix(**unit);
        after.is_some_and(|after| !after.starts_with(|c: char| c.is_alphanumeric()))
    };
    UNITS.iter().filter(fits).max_by_key(|unit| unit.len()).copied()
}

/// Whether people choose such a number: one digit and zeros, a power of two, a half or a quarter, a usual level.
fn is_round(number: &str) -> bool {
    let number = number.replace(',', "");
    if number.parse::<u64>().is_ok_and(|number| number == 0 || number.is_power_of_two()) {
        return true;
    }
    let digits = number.replace('.', "");
    let digits = digits.trim_matches('0');
    digits.len() <= 1 || ["15", "25", "75", "95", "99", "999"].contains(&digits)
}

#[test]
fn a_figure_is_what_is_not_round_and_has_a_unit() {
    let line = "in 5 s, at 64 KiB, with 95 %: 63.7 µs, 1,011 us, 1.18 times; `976 us`, p99 of 12 cells, 1.8.10";
    assert_eq!(of_line(line, false), ["63.7 µs", "1,011 us", "1.18 times"]);
    assert_eq!(
        of_line("| REST, 10 B | 63.7 | 0.60 [0.55, 0.65] |", true),
        ["63.7", "0.55", "0.65"]
    );
    let lines =
        vec![(1, "| cell | ours, µs |"), (2, "|---|---|"), (3, "| REST | 63.7 |"), (4, "63.7")];
    assert_eq!(figures(&Section { heading: "", lines }), [(3, "63.7".to_owned())]);
}

#[test]
fn a_command_is_one_that_is_here() {
    let lines = vec![(1, "Measured by `run-lab"), (2, "certify --pairs 6`, on two cores.")];
    assert_eq!(
        command(&Section { heading: "", lines }).as_deref(),
        Some("run-lab certify --pairs 6")
    );
    for here in
        ["run-lab certify", "peers/compare --pairs 6", "cargo test --workspace --test documents"]
    {
        assert!(is_here(here), "{here}");
    }
    for away in
        ["run-lab nosuch", "peers/nosuch", "cargo test --test nosuch", "cargo test", "perf record"]
    {
        assert!(!is_here(away), "{away}");
    }
}
