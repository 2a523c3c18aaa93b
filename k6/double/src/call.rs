//! The command line, as far as `run-lab` and the documents use k6's.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::fault::Release;
use crate::log;
use crate::refused::{Refused, code};

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Version,
    Run(Run),
}

/// `k6 run` with what it was told.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) script: PathBuf,
    /// Where the JSON stream goes.
    pub(crate) json: Option<PathBuf>,
    /// Tags of every sample.
    pub(crate) tags: Vec<(String, String)>,
    /// Variables of the script, beside those of the environment.
    pub(crate) env: Vec<(String, String)>,
    pub(crate) address: Option<String>,
    pub(crate) config: Option<PathBuf>,
    pub(crate) log: String,
}

/// Flags that say something with a value.
const VALUED: [(&str, &str); 6] = [
    ("--out", "-o"),
    ("--tag", ""),
    ("--env", "-e"),
    ("--address", "-a"),
    ("--config", "-c"),
    ("--log-output", ""),
];
/// Flags that change nothing of what the double does.
const PLAIN: [(&str, &str); 3] = [("--quiet", "-q"), ("--no-color", ""), ("--no-usage-report", "")];

/// Reads the words behind the program's name.
pub(crate) fn parse(words: &[String], release: Release) -> Result<Call, Refused> {
    let usage = |text: String| Refused::new(code::USAGE, text);
    match words.first().map(String::as_str) {
        Some("version" | "--version") => return Ok(Call::Version),
        Some("run") => {}
        other => {
            let word = other.unwrap_or_default();
            return Err(usage(format!("unknown command \"{word}\" for \"k6\"")));
        }
    }
    let mut run = Run { log: "stderr".to_owned(), ..Run::default() };
    let (mut scripts, mut rest) = (Vec::new(), words[1..].iter());
    while let Some(word) = rest.next() {
        if !word.starts_with('-') {
            scripts.push(word);
            continue;
        }
        let (name, within) = match word.split_once('=') {
            Some((name, value)) if word.starts_with("--") => (name, Some(value.to_owned())),
            _ => (word.as_str(), None),
        };
        let named = |(long, short): &&(&str, &str)| *long == name || *short == name;
        if PLAIN.iter().any(|flag| named(&flag)) {
            continue;
        }
        // Gone with 2.0.
        if name == "--no-summary" && release == Release::One {
            continue;
        }
        let Some((long, _)) = VALUED.iter().find(named) else {
            return Err(usage(format!("unknown flag: {name}")));
        };
        let Some(value) = within.or_else(|| rest.next().cloned()) else {
            return Err(usage(format!("flag needs an argument: {name}")));
        };
        run.set(long, value)?;
    }
    let [script] = scripts[..] else {
        let given = scripts.len();
        return Err(usage(format!(
            "accepts 1 arg(s), received {given}: arg should either be \"-\", if reading script from stdin, or a path to a script file"
        )));
    };
    run.script = PathBuf::from(script);
    Ok(Call::Run(run))
}

impl Run {
    fn set(&mut self, flag: &str, value: String) -> Result<(), Refused> {
        let pair = |value: &str| {
            let pair =
                value.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
            pair.ok_or_else(|| Refused::new(code::USAGE, format!("invalid {flag} '{value}'")))
        };
        match flag {
            "--out" => match value.split_once('=') {
                Some(("json", path)) => self.json = Some(PathBuf::from(path)),
                // Taken, and nothing is sent there: what k6 writes is no business of the lab's.
                Some(("influxdb", _)) => {}
                _ => {
                    let text = format!(
                        "invalid output type '{value}', available types are: json, influxdb"
                    );
                    return Err(Refused::new(code::CONFIGURATION, text));
                }
            },
            "--tag" => self.tags.push(pair(&value)?),
            "--env" => self.env.push(pair(&value)?),
            "--address" => self.address = Some(value),
            "--config" => self.config = Some(PathBuf::from(value)),
            _ => self.log = value,
        }
        Ok(())
    }
}

/// k6 lets variables and a file in its user's home replace what a script says of its load. The double does not know
/// how, so it refuses to run where k6 would run something else than the script.
pub(crate) fn refuse_overrides(
    variables: &BTreeMap<String, String>,
    config: &Option<PathBuf>,
) -> Result<(), Refused> {
    let refused = |text: String| Err(Refused::new(code::CONFIGURATION, text));
    // What goes with an output only matters to the output.
    let harmless = |name: &str| name.starts_with("K6_INFLUXDB_") || name == log::VARIABLE;
    let found: Vec<&str> = variables
        .keys()
        .map(String::as_str)
        .filter(|name| name.starts_with("K6_") && !harmless(name))
        .collect();
    if !found.is_empty() {
        return refused(format!("the environment changes what is run: {}", found.join(", ")));
    }
    let home = || {
        let base = variables.get("XDG_CONFIG_HOME").map(PathBuf::from);
        let base = base.or_else(|| Some(Path::new(variables.get("HOME")?).join(".config")));
        base.map(|base| base.join("k6/config.json"))
    };
    let asked = config.is_some();
    let Some(path) = config.clone().or_else(home) else { return Ok(()) };
    match std::fs::read_to_string(&path) {
        Ok(text) if text.trim() == "{}" => Ok(()),
        Ok(_) => refused(format!("the file {} changes what is run", path.display())),
        Err(_) if !asked => Ok(()),
        Err(error) => refused(format!(
            "failed to load the configuration file from the local file system: {}: {error}",
            path.display()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn flags_come_in_both_forms() {
        let text =
            "run -q --no-color --out json=/pipe --tag=run=a -e SIZE=10 --log-output none x.js";
        let Ok(Call::Run(run)) = parse(&words(text), Release::Two) else { panic!("a run") };
        assert_eq!(
            (run.script.as_path(), run.json.as_deref()),
            (Path::new("x.js"), Some(Path::new("/pipe")))
        );
        assert_eq!(run.tags, [("run".to_owned(), "a".to_owned())]);
        assert_eq!((run.env.len(), run.log.as_str(), run.address), (1, "none", None));
        assert_eq!(parse(&words("version"), Release::Two), Ok(Call::Version));
    }

    #[test]
    fn what_is_not_known_is_refused_with_k6s_exit_code() {
        for (text, release, says) in [
            ("run --no-summary x.js", Release::Two, "unknown flag: --no-summary"),
            ("run --vus 3 x.js", Release::One, "unknown flag: --vus"),
            ("run x.js --tag", Release::Two, "flag needs an argument: --tag"),
            ("run", Release::Two, "accepts 1 arg(s), received 0"),
            ("walk", Release::Two, "unknown command \"walk\""),
        ] {
            let refused = parse(&words(text), release).expect_err(text);
            assert!(refused.code == code::USAGE && refused.text.starts_with(says), "{refused:?}");
        }
        assert!(parse(&words("run --no-summary x.js"), Release::One).is_ok());
    }
}
