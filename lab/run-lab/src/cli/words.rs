//! The words of a command line, before clap reads them: a command is put in where there is none, and colour is known
//! early enough for clap's own help and errors.

use std::ffi::{OsStr, OsString};

use clap::{Arg, ColorChoice, Command, Parser};

/// The command that is meant where none is named.
const DEFAULT: &str = "run";

/// What `words` ask for; the first is the name of the program.
///
/// # Errors
/// As [`Parser::try_parse_from`].
pub(super) fn parse<P: Parser>(
    words: impl IntoIterator<Item = OsString>,
) -> Result<P, clap::Error> {
    let words: Vec<OsString> = words.into_iter().collect();
    let command = settings::without_blank(P::command()).color(colour(&words));
    let words = with_command(&command, words);
    P::from_arg_matches_mut(&mut command.try_get_matches_from(words)?)
}

/// What `--color` says, wherever it stands. What it may not say is refused when the words are read.
fn colour(words: &[OsString]) -> ColorChoice {
    let mut words = words.iter().filter_map(|word| word.to_str());
    let mut choice = None;
    while let Some(word) = words.next() {
        choice = match word.strip_prefix("--color") {
            Some("") => words.next(),
            Some(value) => value.strip_prefix('='),
            None => choice,
        };
    }
    choice.and_then(|word| word.parse().ok()).unwrap_or_default()
}

/// `words` with the default command before the first option that is not one of every command. `--help` and
/// `--version` are those of the program.
fn with_command(command: &Command, mut words: Vec<OsString>) -> Vec<OsString> {
    let mut at = 1;
    while let Some(takes) = words.get(at).and_then(|word| of_every_command(command, word)) {
        at += takes;
    }
    let named = words.get(at).is_some_and(|word| {
        let own = ["-h", "--help", "-V", "--version"];
        !word.to_string_lossy().starts_with('-') || own.iter().any(|own| word == own)
    });
    if !named {
        words.insert(at.min(words.len()), DEFAULT.into());
    }
    words
}

/// How many words the option that `word` begins takes with its value, if every command has it.
fn of_every_command(command: &Command, word: &OsStr) -> Option<usize> {
    let (name, value) = match word.to_str()?.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (word.to_str()?, None),
    };
    let called = |arg: &&Arg| {
        let long = arg.get_long().is_some_and(|long| name.strip_prefix("--") == Some(long));
        let short = arg.get_short().is_some_and(|short| name == format!("-{short}"));
        arg.is_global_set() && (long || short)
    };
    let arg = command.get_arguments().find(called)?;
    Some(if arg.get_action().takes_values() && value.is_none() { 2 } else { 1 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::CommandFactory as _;

    fn read(words: &str) -> String {
        let words = words.split(' ').map(OsString::from).collect();
        let words = with_command(&Cli::command(), words);
        words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_run_is_meant_where_no_command_is_named() {
        for (given, meant) in [
            ("run-lab", "run-lab run"),
            ("run-lab --plan smoke", "run-lab run --plan smoke"),
            ("run-lab -q --color never --plan smoke", "run-lab -q --color never run --plan smoke"),
            ("run-lab --color=always", "run-lab --color=always run"),
            ("run-lab -v doctor", "run-lab -v doctor"),
            ("run-lab doctor --json", "run-lab doctor --json"),
            ("run-lab --help", "run-lab --help"),
            ("run-lab -V", "run-lab -V"),
            ("run-lab frobnicate", "run-lab frobnicate"),
        ] {
            assert_eq!(read(given), meant);
        }
    }

    #[test]
    fn colour_is_known_before_the_words_are_read() {
        let of = |words: &str| colour(&words.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert_eq!(of("run-lab run --color never"), ColorChoice::Never);
        assert_eq!(of("run-lab --color=always doctor"), ColorChoice::Always);
        assert_eq!(of("run-lab run"), ColorChoice::Auto);
        assert_eq!(of("run-lab --color perhaps"), ColorChoice::Auto);
    }
}
