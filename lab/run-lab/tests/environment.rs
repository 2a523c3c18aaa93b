//! An empty environment variable is one that is not set: every one, of every program.

use std::process::Command;

use run_lab::cli::{read_back, variables};

/// Holds the words of the command line that the child below is to read.
const WORDS: &str = "ENVIRONMENT_TEST_WORDS";

#[test]
fn a_child_tells_what_it_has_read() {
    let Ok(words) = std::env::var(WORDS) else { return };
    let words: Vec<_> = words.split(' ').collect();
    match read_back(&words) {
        Ok(settings) => println!("read {settings}"),
        Err(error) => println!("refused {error}"),
    }
}

/// What the command `words` reads where all of `names` are set to `value`.
fn read(words: &str, names: &[&str], value: Option<&str>) -> String {
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command.args(["--exact", "a_child_tells_what_it_has_read", "--nocapture", "--test-threads=1"]);
    command.env(WORDS, words);
    for (_, name) in variables() {
        command.env_remove(name);
    }
    command.envs(value.into_iter().flat_map(|value| names.iter().map(move |name| (name, value))));
    let output = command.output().expect("it starts");
    let text = String::from_utf8(output.stdout).expect("text");
    let told = text.find("read ").or_else(|| text.find("refused "));
    let end = text.rfind("\ntest result").unwrap_or(text.len());
    text[told.unwrap_or_else(|| panic!("{words}: {text}"))..end].to_owned()
}

#[test]
fn every_variable_that_is_empty_is_as_good_as_not_set() {
    let all = variables();
    assert!(all.len() > 25, "{all:?}");
    for (words, name) in &all {
        let unset = read(words, &[name], None);
        assert!(unset.starts_with("read "), "{words}: {unset}");
        for blank in ["", " "] {
            assert_eq!(read(words, &[name], Some(blank)), unset, "{words} with {name}={blank:?}");
        }
    }
    // And all at once.
    let names: Vec<_> = all.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(read("sidecar", &names, Some("")), read("sidecar", &names, None));
}

/// Otherwise the test above could not fail.
#[test]
fn a_variable_that_is_set_is_read() {
    let unset = read("gateway", &[], None);
    let set = read("gateway", &["OTEL_EXPORTER_OTLP_ENDPOINT"], Some("http://127.0.0.1:4317"));
    assert!(set.contains("PeerUrl(http://127.0.0.1:4317)") && set != unset, "{set}");
    let refused = read("gateway", &["OTEL_EXPORTER_OTLP_ENDPOINT"], Some("http://h:99999"));
    for word in
        ["refused", "--otlp (OTEL_EXPORTER_OTLP_ENDPOINT)", "http://h:99999", "http://HOST:PORT"]
    {
        assert!(refused.contains(word), "{word}: {refused}");
    }
    let refused = read("gateway", &["GATEWAY_PEERS"], Some("echo=http://h:99999"));
    for word in ["refused", "--peer", "echo", "http://h:99999", "http://HOST:PORT"] {
        assert!(refused.contains(word), "{word}: {refused}");
    }
}

#[test]
fn what_run_lab_itself_reads_may_be_empty_too() {
    let doctor = |value: Option<&str>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_run-lab"));
        command.arg("doctor").env("PATH", "/nonexistent");
        for (_, name) in variables() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let output = command.output().expect("it starts");
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    assert_eq!(doctor(Some("")), doctor(None));
}
