//! Every setting of every program, as one page. The page is made from the settings themselves, and a test
//! holds `docs/configuration.md` to it.

use std::ffi::OsString;
use std::fmt::Write as _;

use clap::{Arg, Command, CommandFactory as _};

use super::{Cli, words};
use lab_launch::Tool;
use lab_model::{SERVICES, Service};

/// Commands of `run-lab` with settings, before and after those of the services.
const COMMANDS: [&[&str]; 2] =
    [&["run", "gate", "up", "certify", "report", "trace", "compare"], &["sidecar", "doctor"]];

/// Every command with settings: its words after `run-lab`, and what the page calls it. Services and the sidecar are
/// programs of their own, too, and may have commands themselves.
fn commands(cli: &Command) -> Vec<(String, String)> {
    let [before, after] = COMMANDS.map(|names| names.iter().map(|name| (*name).to_owned()));
    let of_service = |service: &Service| {
        let name = service.name;
        let command = cli.find_subcommand(name);
        let commands = command.into_iter().flat_map(Command::get_subcommands);
        let own: Vec<_> = commands.map(|own| own.get_name()).filter(|own| *own != "help").collect();
        let own = own.into_iter().map(move |own| format!("{name} {own}"));
        std::iter::once(name.to_owned()).chain(own).collect::<Vec<_>>()
    };
    let services: Vec<String> = SERVICES.iter().flat_map(of_service).collect();
    let own_program = |words: &String| *words == "sidecar" || services.contains(words);
    let all = before.chain(services.iter().cloned()).chain(after);
    all.map(|words| {
        let title = if own_program(&words) { words.clone() } else { format!("run-lab {words}") };
        (words, title)
    })
    .collect()
}

/// Environment variables that no option stands for.
const VARIABLES: [(&str, &str); 9] = [
    ("LAB_PROBES", "`off` turns the probes of a service off: no tap, no spans, no header"),
    (
        "LAB_INFLUXDB_URL",
        "an InfluxDB that runs already, `http://HOST:PORT`: points go there, none is started",
    ),
    ("LAB_INFLUXDB_ORG", "its organisation (2.x) [default: `lab`]"),
    (
        "LAB_INFLUXDB_BUCKET",
        "its bucket, or `DATABASE/RETENTION-POLICY` (1.8) [default: `autogen` of the database]",
    ),
    (
        "LAB_INFLUXDB_DATABASE",
        "its database, for InfluxQL and k6 [default: that of the bucket, or `lab`]",
    ),
    ("LAB_INFLUXDB_TOKEN", "its token; `USER:PASSWORD` (1.8). Never given as an argument"),
    (
        "LAB_INFLUXDB_READER_TOKEN",
        "a token that may only read, for Grafana: where there is a token and not this one, Grafana is not started, since whoever opens it may ask with its token",
    ),
    (
        "LAB_DATABASE_URL",
        "a PostgreSQL that runs already, `postgres://USER:PASSWORD@HOST:PORT/DATABASE`: the users table is made there, none is started",
    ),
    ("LAB_GRAFANA_HOME", "Grafana's home, where it cannot be told from the place of its program"),
];

/// Every environment variable that any of the programs reads, with the words for `run-lab` that make it do so.
#[must_use]
pub fn variables() -> Vec<(String, String)> {
    let mut cli = Cli::command();
    cli.build();
    let of_options = commands(&cli).into_iter().flat_map(|(words, _)| {
        let args = command(&cli, &words).into_iter().flat_map(Command::get_arguments);
        let variables: Vec<_> = args
            .filter_map(|arg| Some((words.clone(), arg.get_env()?.to_string_lossy().into_owned())))
            .collect();
        variables
    });
    let own = Tool::ALL.map(Tool::variable).into_iter().chain(VARIABLES.map(|(name, _)| name));
    of_options.chain(own.map(|name| ("doctor".to_owned(), name.to_owned()))).collect()
}

/// What `arguments` and the environment say, as it has been read: for whoever wants to see.
///
/// # Errors
/// If something in them is refused.
pub fn read_back(arguments: &[&str]) -> Result<String, clap::Error> {
    let words = std::iter::once(&"run-lab").chain(arguments).map(OsString::from);
    Ok(format!("{:#?}", words::parse::<Cli>(words)?))
}

fn command<'a>(cli: &'a Command, words: &str) -> Option<&'a Command> {
    words.split(' ').try_fold(cli, |command, word| command.find_subcommand(word))
}

/// The page.
#[must_use]
pub fn configuration() -> String {
    let mut page = String::from(
        "# Configuration\n\nMade from the programs' own settings: `UPDATE_EXPECT=1 cargo test --workspace --test \
         configuration` writes it anew.\nAn option comes before its environment variable, that before the default. \
         Sizes are bytes, or end in kB, MB, KiB, MiB;\ndurations are numbers with ns, us, ms, s, m or h: 500ms, 1m30s. \
         Each service is a program of its own and a subcommand of\n`run-lab` of the same name.\n",
    );
    let mut cli = Cli::command();
    cli.build();
    for (words, title) in commands(&cli) {
        if let Some(command) = command(&cli, &words) {
            section(command, &title, &mut page);
        }
    }
    of_every_command(&cli, &mut page);
    own_variables(&mut page);
    page
}

/// The options that every command of `run-lab` takes.
fn of_every_command(cli: &Command, page: &mut String) {
    page.push_str("\n## Every command of `run-lab`\n\n");
    list(cli.get_arguments().filter(|arg| arg.is_global_set()), page);
}

/// One program's settings. Writing to a string cannot fail.
fn section(command: &Command, title: &str, page: &mut String) {
    let own =
        |arg: &&Arg| !arg.is_global_set() && !matches!(arg.get_id().as_str(), "help" | "version");
    if !command.get_arguments().any(|arg| own(&arg)) {
        return;
    }
    let _ = writeln!(page, "\n## `{title}`\n");
    if let Some(about) = command.get_about() {
        let _ = writeln!(page, "{about}.\n");
    }
    list(command.get_arguments().filter(own), page);
}

/// Columns of a line.
const WIDTH: usize = 118;

/// Options, an item each.
fn list<'a>(args: impl Iterator<Item = &'a Arg>, page: &mut String) {
    let mut items: Vec<String> = args.map(item).collect();
    items.sort();
    items.iter().for_each(|item| page.push_str(item));
}

fn item(arg: &Arg) -> String {
    let value = arg
        .get_value_names()
        .filter(|_| arg.get_action().takes_values())
        .map(|names| names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(" "))
        .unwrap_or_default();
    let name = match arg.get_long() {
        Some(long) => format!("--{long} {value}"),
        None => value,
    };
    let variable = arg.get_env().map(|name| format!("`{}`", name.to_string_lossy()));
    let defaults: Vec<String> = arg
        .get_default_values()
        .iter()
        .filter(|_| arg.get_action().takes_values())
        .map(|value| format!("`{}`", value.to_string_lossy()))
        .collect();
    let default = (!defaults.is_empty()).then(|| format!("default {}", defaults.join(", ")));
    let aside: Vec<String> = variable.into_iter().chain(default).collect();
    let aside = if aside.is_empty() { String::new() } else { format!(" ({})", aside.join("; ")) };
    let meaning = arg.get_help().map(ToString::to_string).unwrap_or_default();
    wrapped(&format!("- **`{}`**{aside}: {meaning}.", name.trim_end()))
}

/// An item of a list in lines, every one but the first under its text.
fn wrapped(text: &str) -> String {
    let (mut lines, mut used) = (String::new(), 0);
    for word in text.split_whitespace() {
        let long = word.chars().count();
        let joint = match used {
            0 => "",
            _ if used + 1 + long > WIDTH => "\n  ",
            _ => " ",
        };
        used = if joint.starts_with('\n') { 2 + long } else { used + joint.len() + long };
        lines.push_str(joint);
        lines.push_str(word);
    }
    lines.push('\n');
    lines
}

/// Variables that `run-lab` reads itself.
fn own_variables(page: &mut String) {
    page.push_str("\n## Variables of `run-lab`\n\n");
    for tool in Tool::ALL {
        let (variable, name) = (tool.variable(), tool.name());
        let text =
            format!("- **`{variable}`**: the program of {name}, instead of the one on PATH.");
        page.push_str(&wrapped(&text));
    }
    for (name, meaning) in VARIABLES {
        page.push_str(&wrapped(&format!("- **`{name}`**: {meaning}.")));
    }
}
