//! k6's log: one line a message, on the standard error, in a file, or pushed to a Loki.

use std::fs::File;
use std::io::Write as _;
use std::sync::Mutex;
use std::time::SystemTime;

use crate::loki::Loki;
use crate::refused::{Refused, code};
use crate::time;

/// Says where the log goes, unless the command line does.
pub(crate) const VARIABLE: &str = "K6_LOG_OUTPUT";

/// Where messages go; the standard error, if nothing else is said.
#[derive(Debug, Default)]
pub(crate) struct Log {
    to: Place,
    errors_only: bool,
}

#[derive(Debug, Default)]
enum Place {
    #[default]
    Stderr,
    File(Mutex<File>),
    Loki(Loki),
}

impl Log {
    /// Opens what `--log-output` names: `stderr`, `none`, `file=PATH[,level=LEVEL]` or `loki=URL[,…]`. Where it says
    /// nothing, the variable does.
    pub(crate) fn open(asked: &str) -> Result<Log, Refused> {
        let variable = std::env::var(VARIABLE).ok().filter(|text| !text.is_empty());
        let output = match variable {
            Some(variable) if asked == "stderr" => variable,
            _ => asked.to_owned(),
        };
        let mut parts = output.split(',');
        let place = parts.next().unwrap_or_default();
        let errors_only = parts.any(|part| part == "level=error");
        let path = match place.split_once('=') {
            None if place == "stderr" => return Ok(Log { to: Place::Stderr, errors_only }),
            None if place == "none" => "/dev/null",
            Some(("file", path)) => path,
            Some(("loki", _)) => {
                let loki = Loki::start(&output)?;
                return Ok(Log { to: Place::Loki(loki), errors_only });
            }
            _ => {
                return Err(Refused::new(
                    code::USAGE,
                    format!("unsupported log output '{output}'"),
                ));
            }
        };
        let file = File::options().append(true).create(true).open(path);
        let file = file.map_err(|error| {
            Refused::new(code::USAGE, format!("failed to open logfile {path}: {error}"))
        })?;
        Ok(Log { to: Place::File(Mutex::new(file)), errors_only })
    }

    pub(crate) fn error(&self, text: &str, hint: &str) {
        self.line("error", text, hint, "");
    }

    pub(crate) fn warning(&self, text: &str) {
        if !self.errors_only {
            self.line("warning", text, "", "");
        }
    }

    /// What a script says by `console`.
    pub(crate) fn console(&self, level: &'static str, text: &str) {
        if !self.errors_only || level == "error" {
            self.line(level, text, "", "console");
        }
    }

    /// Waits until everything that was said is where it goes.
    pub(crate) fn drain(&self) {
        if let Place::Loki(loki) = &self.to {
            loki.drain();
        }
    }

    /// Nobody is told if it cannot be written: there is nobody else to tell.
    fn line(&self, level: &'static str, text: &str, hint: &str, source: &'static str) {
        if let Place::Loki(loki) = &self.to {
            return loki.push(level, source, text);
        }
        let hint = if hint.is_empty() { String::new() } else { format!(" hint={hint:?}") };
        let source = if source.is_empty() { String::new() } else { format!(" source={source}") };
        let at = time::coarse(SystemTime::now());
        let line = format!("time=\"{at}\" level={level} msg={text:?}{hint}{source}\n");
        let _ = match &self.to {
            Place::File(file) => match file.lock() {
                Ok(mut file) => file.write_all(line.as_bytes()),
                Err(_) => Ok(()),
            },
            _ => std::io::stderr().write_all(line.as_bytes()),
        };
    }
}
