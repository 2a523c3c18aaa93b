//! The environment as settings see it: a variable that is empty, or nothing but white space, is not set.
//!
//! Compose files, shells and unit files write `NAME=` for "I leave this to you". Nothing else in the workspace
//! reads a variable of ours (`.ci/structure` looks), so that there is one answer to what an empty one means.

use std::ffi::{OsStr, OsString};

use clap::builder::{OsStr as Name, Resettable};
use clap::{Arg, Command, Parser};

/// The value of the variable `name`, if it is set to anything.
#[must_use]
pub fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !is_blank(value))
}

/// As [`variable`], of one that is text. What is no text is kept as far as it is: whoever reads it as a setting
/// refuses it then.
#[must_use]
pub fn text(name: &str) -> Option<String> {
    variable(name).map(|value| value.to_string_lossy().into_owned())
}

fn is_blank(value: &OsStr) -> bool {
    value.to_str().is_some_and(|text| text.trim().is_empty())
}

/// The settings of this process. It ends here, with 0 or 2, if it was asked for help or something is refused.
#[must_use]
pub fn parse<P: Parser>() -> P {
    try_parse_from(std::env::args_os()).unwrap_or_else(|error| error.exit())
}

/// The settings that `arguments` and the environment spell out; the first argument is the program's name.
///
/// # Errors
/// As [`Parser::try_parse_from`].
pub fn try_parse_from<P: Parser>(
    arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>,
) -> Result<P, clap::Error> {
    let command = without_blank(P::command());
    let mut matches = command.try_get_matches_from(arguments)?;
    P::from_arg_matches_mut(&mut matches)
}

/// As [`try_parse_from`], for callers who know that the arguments are right.
///
/// # Panics
/// Never, but ends the process where they are not.
#[must_use]
pub fn parse_from<P: Parser>(
    arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>,
) -> P {
    try_parse_from(arguments).unwrap_or_else(|error| error.exit())
}

/// `command` without the variables that are blank, in all its subcommands.
#[must_use]
pub fn without_blank(command: Command) -> Command {
    let command = command.mut_args(|arg| {
        let blank = arg
            .get_env()
            .is_some_and(|name| std::env::var_os(name).is_some_and(|value| is_blank(&value)));
        if blank { arg.env(Resettable::<Name>::Reset) } else { arg }
    });
    command.mut_subcommands(without_blank)
}

/// What errors call the setting: `--listen (ECHO_LISTEN)`.
#[must_use]
pub fn named(arg: &Arg) -> String {
    let option = match arg.get_long() {
        Some(long) => format!("--{long}"),
        None => arg.get_id().to_string(),
    };
    match arg.get_env().and_then(OsStr::to_str) {
        Some(variable) => format!("{option} ({variable})"),
        None => option,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_white_space_is_blank() {
        for (value, blank) in [("", true), (" ", true), ("\t\n", true), ("0", false), (" x", false)]
        {
            assert_eq!(is_blank(OsStr::new(value)), blank, "{value:?}");
        }
    }

    #[test]
    fn a_setting_is_called_by_its_option_and_its_variable() {
        let arg = Arg::new("listen").long("listen");
        assert_eq!(named(&arg), "--listen");
        assert_eq!(named(&arg.env("ECHO_LISTEN")), "--listen (ECHO_LISTEN)");
    }
}
