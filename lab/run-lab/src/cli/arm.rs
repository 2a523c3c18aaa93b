//! An arm as the command line spells it: another `run-lab`, settings, or both.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest as _, Sha256};
use toml::{Table, Value};

use super::Failure;
use lab_model::plan::{self, ArmSettings, KNOBS, Plan};
use lab_model::{Arm, ArmProgram};

/// What the arm called `name` is, from the words that were given for it.
pub(super) fn read(name: &str, words: &[String]) -> Result<ArmSettings, Failure> {
    let refused = |word: &str, reason: String| Failure::usage(format!("--{name} {word}: {reason}"));
    let mut arm =
        ArmSettings { arm: Arm { name: name.to_owned(), program: None }, knobs: Table::new() };
    for word in words {
        let path = Path::new(word);
        if word.contains('=') && !path.exists() {
            setting(&mut arm.knobs, word).map_err(|reason| refused(word, reason))?;
        } else if path.extension().is_some_and(|extension| extension == "toml") {
            let text = std::fs::read_to_string(path)
                .map_err(|error| refused(word, format!("cannot read it: {error}")))?;
            let table: Table =
                toml::from_str(&text).map_err(|error| refused(word, error.to_string()))?;
            arm.knobs.extend(table);
        } else if arm
            .arm
            .program
            .replace(program(path).map_err(|reason| refused(word, reason))?)
            .is_some()
        {
            return Err(refused(word, "an arm has one program".to_owned()));
        }
    }
    // Refused now, the error names the option; refused with the plan, it would name the plan's file.
    plan::read_knobs(&arm.knobs).map_err(|error| refused(&words.join(" "), error.to_string()))?;
    Ok(arm)
}

/// Reads a setting (`nagle=true`) or a delay (`echo:reply_encode=50us`) into `knobs`.
fn setting(knobs: &mut Table, word: &str) -> Result<(), String> {
    let name = word.split('=').next().unwrap_or_default().trim();
    if KNOBS.iter().any(|knob| knob.name == name) {
        let (knob, value) = plan::assignment(word).map_err(|error| error.to_string())?;
        return match knobs.insert(knob, value) {
            None => Ok(()),
            Some(_) => Err(format!("{name} is set twice")),
        };
    }
    let (place, delay) = plan::injection(word).map_err(|error| {
        let known = KNOBS.map(|knob| knob.name).join(", ");
        format!("{error}; settings are {known}")
    })?;
    let delays = knobs.entry("inject").or_insert_with(|| Value::Table(Table::new()));
    let delays = delays.as_table_mut().ok_or("delays are set twice")?;
    match delays.insert(place, delay) {
        None => Ok(()),
        Some(_) => Err(format!("a delay into {name} is asked for twice")),
    }
}

/// The absolute path of a `run-lab`.
fn program(path: &Path) -> Result<PathBuf, String> {
    let found = path.canonicalize().map_err(|error| {
        format!("neither a setting (KNOB=VALUE, STAGE=DURATION), nor a file: {error}")
    })?;
    version(&found).map(|_| found)
}

/// What the `run-lab` at `path` says of its version.
fn version(path: &Path) -> Result<String, String> {
    let output = Command::new(path).arg("--version").stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("cannot start it: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.trim().strip_prefix("run-lab ").filter(|_| output.status.success());
    version.map(str::to_owned).ok_or_else(|| {
        let first = text.lines().next().unwrap_or_default();
        format!("it is no run-lab: asked for its --version, it says {first:?}")
    })
}

/// What the arms of `plan` are started from, for the result to name.
///
/// # Errors
/// If the program of one is no `run-lab`.
pub(super) fn programs(plan: &Plan, own: &Path) -> Result<Vec<ArmProgram>, Failure> {
    let mut arms: Vec<&Arm> = Vec::new();
    for arm in plan.cells.iter().filter_map(|cell| cell.arm.as_deref()) {
        if !arms.contains(&arm) {
            arms.push(arm);
        }
    }
    let one = |arm: &Arm| {
        let path = arm.program.as_deref().unwrap_or(own);
        let version = version(path).map_err(|reason| {
            Failure::usage(format!("arm {}: {}: {reason}", arm.name, path.display()))
        })?;
        let digest = std::fs::read(path).map(Sha256::digest);
        Ok(ArmProgram {
            name: arm.name.clone(),
            program: path.display().to_string(),
            version,
            sha256: digest.map_or_else(
                |_| "unknown".to_owned(),
                |digest| digest.iter().map(|byte| format!("{byte:02x}")).collect(),
            ),
        })
    };
    arms.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Result<ArmSettings, Failure> {
        read("new", &words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn an_arm_is_settings_and_delays_of_any_number() {
        let arm = words(&["nagle=true", "echo:reply_encode=50us", "handler=1ms"]).unwrap();
        let knobs = plan::read_knobs(&arm.knobs).unwrap();
        assert!(knobs.nagle && arm.arm.program.is_none());
        assert_eq!(knobs.inject["echo:reply_encode"], 50_000);
        assert_eq!(knobs.inject["gateway:handler"], 1_000_000);
    }

    #[test]
    fn what_is_no_arm_is_refused_by_its_option_and_word() {
        for (word, named) in [
            ("no-such-file", "neither a setting"),
            ("window=1", "stream_window"),
            ("/bin/true", "no run-lab"),
            ("frame_size=1", "16384"),
            ("nowhere.toml", "cannot read"),
        ] {
            let error = words(&[word]).unwrap_err().error.to_string();
            assert!(error.contains(&format!("--new {word}")) && error.contains(named), "{error}");
        }
        assert!(words(&["nagle=true", "nagle=false"]).is_err());
        assert!(words(&["handler=1ms", "gateway:handler=2ms"]).is_err());
    }
}
