//! k6's log: one line a message, of which the lab asks for errors only.

use std::fs::File;
use std::io::Write as _;
use std::sync::Mutex;
use std::time::SystemTime;

use crate::refused::{Refused, code};
use crate::time;

/// Where messages go; the standard error, if nothing else is said.
#[derive(Debug, Default)]
pub(crate) struct Log {
    file: Option<Mutex<File>>,
    errors_only: bool,
}

impl Log {
    /// Opens what `--log-output` names: `stderr`, `none` or `file=PATH[,level=LEVEL]`.
    pub(crate) fn open(output: &str) -> Result<Log, Refused> {
        let mut parts = output.split(',');
        let place = parts.next().unwrap_or_default();
        let errors_only = parts.any(|part| part == "level=error");
        let path = match place.split_once('=') {
            None if place == "stderr" => return Ok(Log { file: None, errors_only }),
            None if place == "none" => "/dev/null",
            Some(("file", path)) => path,
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
        Ok(Log { file: Some(Mutex::new(file)), errors_only })
    }

    pub(crate) fn error(&self, text: &str, hint: &str) {
        self.line("error", text, hint);
    }

    pub(crate) fn warning(&self, text: &str) {
        if !self.errors_only {
            self.line("warning", text, "");
        }
    }

    /// Nobody is told if it cannot be written: there is nobody else to tell.
    fn line(&self, level: &str, text: &str, hint: &str) {
        let hint = if hint.is_empty() { String::new() } else { format!(" hint={hint:?}") };
        let at = time::coarse(SystemTime::now());
        let line = format!("time=\"{at}\" level={level} msg={text:?}{hint}\n");
        let _ = match &self.file {
            Some(file) => match file.lock() {
                Ok(mut file) => file.write_all(line.as_bytes()),
                Err(_) => Ok(()),
            },
            None => std::io::stderr().write_all(line.as_bytes()),
        };
    }
}
