//! The k6 that tests run: the double, told to misbehave or not, or the real one.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use lab_drive::k6::{K6, Release};
use lab_launch::Tool;

/// A program that is k6, or answers as it does.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    /// The first line of what it says of its version.
    pub(crate) said: String,
}

impl Program {
    /// The double, which `cargo test` builds as an example of the lab.
    pub(crate) fn double() -> Program {
        let own = std::env::current_exe().expect("a path");
        let folder = own.parent().and_then(Path::parent).expect("the folder of what was built");
        let path = folder.join("examples/k6_double");
        Program::at(path).unwrap_or_else(|| {
            panic!("the double is not built: cargo build -p run-lab --example k6_double")
        })
    }

    /// The double, told `faults`, by a script in `dir` that writes down its words and its environment.
    pub(crate) fn told(dir: &Path, faults: &str) -> Program {
        let (double, path) = (Program::double(), dir.join(format!("k6 {faults}")));
        let script = format!(
            "#!/bin/sh\nprintf '%s\\n' \"$*\" >> '{0}/words'\nenv >> '{0}/environment'\n\
             DOUBLE_OF_K6='{faults}' exec '{1}' \"$@\"\n",
            dir.display(),
            double.path.display()
        );
        std::fs::write(&path, script).expect("a script");
        let mode = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(&path, mode).expect("a program");
        // Only to say what it is: what it is told now is no call of the lab's.
        let said = Program::at(path.clone()).expect("the double").said;
        std::fs::remove_file(dir.join("words")).expect("what it was told");
        std::fs::remove_file(dir.join("environment")).expect("what was around it");
        Program { path, said }
    }

    /// The real one: where `LAB_K6` or PATH say; else why there is none.
    pub(crate) fn real() -> Result<Program, String> {
        let found = Tool::K6.find().map_err(|error| error.to_string())?;
        let path = found.ok_or("k6 is neither named by LAB_K6 nor on PATH")?;
        let program = Program::at(path.clone())
            .ok_or_else(|| format!("{} does not say its version", path.display()))?;
        if program.said.contains("double") {
            return Err(format!("{} is a double of k6", path.display()));
        }
        Ok(program)
    }

    fn at(path: PathBuf) -> Option<Program> {
        let output = Command::new(&path).arg("version").output().ok()?;
        let said = String::from_utf8_lossy(&output.stdout).lines().next()?.to_owned();
        Some(Program { path, said })
    }

    /// It, for a run whose folder is `out`.
    pub(crate) fn k6(&self, out: &Path) -> K6 {
        let version = self.said.split_whitespace().nth(1).unwrap_or_default();
        K6::new(self.path.clone(), Release::of(version), out.to_owned(), "test")
    }
}
