//! `run-lab completions` and `run-lab man`: what shells and `man` want to know of the command line, made from it.

use std::path::PathBuf;

use clap::{Args, Command, ValueHint};
use clap_complete::Shell;
use clap_mangen::Man;

use super::{Exit, Failure, terminal};

/// What the help of `completions` says after the options.
pub(super) const COMPLETIONS: &str = "\
Where they go:
  bash  run-lab completions bash > ~/.local/share/bash-completion/completions/run-lab
  zsh   run-lab completions zsh > \"${fpath[1]}/_run-lab\"
  fish  run-lab completions fish > ~/.config/fish/completions/run-lab.fish";

/// Whose completions.
#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Which pages.
#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// A folder: a page for run-lab and one for each command go there
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    out: Option<PathBuf>,
}

/// Prints the completions of `cli` for a shell.
pub(super) fn completions(arguments: &CompletionsArgs, cli: Command) -> Result<Exit, Failure> {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut visible(&cli), "run-lab", &mut text);
    terminal::print(String::from_utf8_lossy(&text))?;
    Ok(Exit::Done)
}

/// Prints the man page of `cli`, or writes all of its pages.
pub(super) fn man(arguments: &ManArgs, cli: Command) -> Result<Exit, Failure> {
    let cli = visible(&cli);
    let Some(out) = &arguments.out else {
        let mut page = Vec::new();
        let rendered = Man::new(cli).render(&mut page);
        rendered.map_err(|error| Failure::other(error.into()))?;
        terminal::print(String::from_utf8_lossy(&page))?;
        return Ok(Exit::Done);
    };
    let written = std::fs::create_dir_all(out).and_then(|()| clap_mangen::generate_to(cli, out));
    written.map_err(|error| {
        Failure::usage(format!("--out {}: cannot write the pages: {error}", out.display()))
    })?;
    Ok(Exit::Done)
}

/// `cli` without the parts of the lab: they are started by it, and nobody types them.
fn visible(cli: &Command) -> Command {
    let parts: Vec<&Command> = cli.get_subcommands().filter(|part| !part.is_hide_set()).collect();
    let mut alone = Command::new("run-lab")
        .version(env!("CARGO_PKG_VERSION"))
        .args(cli.get_arguments())
        .subcommands(parts);
    for (text, set) in [
        (cli.get_about(), Command::about as fn(Command, clap::builder::StyledStr) -> Command),
        (cli.get_long_about(), Command::long_about),
        (cli.get_after_long_help(), Command::after_long_help),
    ] {
        if let Some(text) = text {
            alone = set(alone, text.clone());
        }
    }
    alone
}
