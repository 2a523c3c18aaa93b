//! `docs/tour.md`, followed: every command is run, and prints what the page says, but for numbers and what is left out.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use test_parts::Port;

use super::commands::commands;
use super::page::Page;

/// Blocks that are not run: how each begins, and why.
const NOT_RUN: [(&str, &str); 1] =
    [("cargo build --release", "the program under test has been built")];

/// Ports that the page names. Somebody may have them, so others are used in place of them.
const PORTS: [&str; 3] = ["14317", "14319", "18081"];

/// What is run in place of a command that would take minutes: the same cells, for less time.
const SHORTER: (&str, &str) = (
    "run-lab",
    "run-lab run --duration 200ms --warmup 0s --rounds 1 --no-certify --traces-per-second 50",
);

/// How long a step may take on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(300);

#[test]
fn the_tour_prints_what_it_says() {
    let page = Page::named("docs/tour.md");
    let blocks = page.blocks();
    let dir = tempfile::tempdir().expect("a folder");
    let mut followed = 0;
    for (at, block) in blocks.iter().enumerate().filter(|(_, block)| block.language == "sh") {
        let steps = commands(&block.text);
        if NOT_RUN.iter().any(|(start, _)| steps[0].starts_with(start)) {
            continue;
        }
        let steps =
            steps.iter().map(|step| if step == SHORTER.0 { SHORTER.1 } else { step.as_str() });
        let mut script = steps.collect::<Vec<_>>().join("\n");
        let free = PORTS.map(|named| (named, Port::of_loopback().expect("a free port")));
        for (named, port) in &free {
            script = script.replace(named, &port.number().to_string());
        }
        let printed = run(&script, dir.path(), &[]);
        let shown = blocks.get(at + 1).filter(|next| next.language == "text");
        let shown = shown.unwrap_or_else(|| panic!("line {}: what does it print?", block.line));
        if let Err(missing) = holds(&printed, &shown.text) {
            panic!("docs/tour.md:{}: {script}\nshould print {missing:?}:\n{printed}", shown.line);
        }
        followed += 1;
    }
    assert!(followed >= 8, "{followed} steps");
}

#[test]
fn a_wrong_comparison_is_found_to_be_wrong() {
    let dir = tempfile::tempdir().expect("a folder");
    // For a moment: what is wrong does not take long.
    let plan = "run-lab run --plan blog-as-published --duration 300ms";
    let printed = run(&format!("{plan}; echo exit code $?"), dir.path(), &[]);
    for said in
        ["INVALID", "payload_bytes: declared 10 B, the wire carried 100,000 B", "exit code 3"]
    {
        assert!(plain(&printed).contains(&plain(said)), "{said}: {printed}");
    }
}

/// Runs a script in `dir`, and returns what it printed. What stays until it is told to stop is told when it has said all.
pub(crate) fn run(script: &str, dir: &Path, env: &[(&str, &str)]) -> String {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_run-lab"));
    let programs = program.parent().expect("a folder");
    let mut command = Command::new("bash");
    // Parts that whoever runs the tests has named are theirs, and not the reader's.
    for (name, _) in
        std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("LAB_"))
    {
        command.env_remove(name);
    }
    let stays = script.starts_with("run-lab up");
    // What stays is to be the process that is told to stop, and no child of it.
    let becomes = if stays { "exec " } else { "" };
    command.arg("-c").arg(format!("exec 2>&1\n{becomes}{script}")).current_dir(dir);
    command.env("PATH", format!("{}:/usr/bin:/bin", programs.display()));
    command.env("LAB_K6", programs.join("examples/k6_double")).envs(env.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("bash");
    let printed = read(&mut child, stays);
    child.wait().expect("it ends");
    printed
}

/// What `child` prints until its end. One that stays is interrupted once it has said how.
fn read(child: &mut Child, stays: bool) -> String {
    let mut out = child.stdout.take().expect("a pipe");
    let (told, parts) = mpsc::channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = out.read(&mut buffer) {
            if told.send(String::from_utf8_lossy(&buffer[..read]).into_owned()).is_err() {
                break;
            }
        }
    });
    let mut printed = String::new();
    let mut stopped = false;
    while let Ok(part) = parts.recv_timeout(PATIENCE) {
        printed.push_str(&part);
        if stays && !stopped && printed.contains("stop with Ctrl-C") {
            let shell = Pid::from_child(child);
            kill_process(shell, Signal::INT).expect("it is there");
            stopped = true;
        }
    }
    printed
}

/// Whether `printed` has what is `shown`, in its order; `…` stands for anything. Else the first piece that is not there.
pub(crate) fn holds(printed: &str, shown: &str) -> Result<(), String> {
    let printed = plain(printed);
    let mut rest = printed.as_str();
    for piece in shown.split('…').map(plain).filter(|piece| !piece.is_empty()) {
        match rest.find(&piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return Err(piece),
        }
    }
    Ok(())
}

/// Words with one space between: numbers are `#`, a bar is `BAR` and what it is made of is left out, for all of that is
/// otherwise in each run. What is INVALID stays so.
fn plain(text: &str) -> String {
    const UNITS: [&str; 9] = ["µs", "ms", "s", "%", "B", "kB", "MB", "min", "KiB"];
    let mut words: Vec<&str> = Vec::new();
    let mut in_row = false;
    for word in text.split_whitespace() {
        let is_bar = word.len() >= 20 && word.chars().all(|letter| "gqsfckndub".contains(letter));
        let verdict = ["VALID", "UNCHECKED", "SUSPECT"].contains(&word);
        if is_bar {
            in_row = true;
            words.push("BAR");
        } else if verdict || word == "INVALID" {
            in_row = false;
            words.push(if verdict { "VERDICT" } else { word });
        } else if in_row {
            continue;
        } else if words.last() == Some(&"code") {
            words.push(word);
        } else if word == "-" || word.contains(|letter: char| letter.is_ascii_digit()) {
            words.push("#");
        } else if !(UNITS.contains(&word.trim_end_matches([',', ';', ':']))
            && words.last() == Some(&"#"))
        {
            words.push(word);
        }
    }
    words.join(" ")
}

#[test]
fn what_is_not_printed_is_missed() {
    let printed =
        "a 12 ms b\n  1 kB REST 100 → 98.9 52.3 ms ggggggggggqnnnnnnnnnnnnnn load 40 SUSPECT\nend";
    assert_eq!(holds(printed, "a 3 s b\n…\nend"), Ok(()));
    let row = "1 kB REST 100 → 100 1 ms gggggggggggggggggggggnnnn net 3 VALID";
    assert_eq!(holds(printed, row), Ok(()));
    assert_eq!(holds(printed, "end … a"), Err("a".to_owned()));
    assert!(holds(printed, &row.replace("VALID", "INVALID")).is_err());
    assert!(holds(printed, "1 kB gRPC").is_err());
}
