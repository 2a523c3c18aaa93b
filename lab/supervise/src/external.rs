//! Programs that are not ours: what to start, for whom, and when they are ready.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::part::{Part, Supervisor, Terms};
use super::{PartError, StopSignal};

/// A program that is not ours, to be started under a shim. It may go to a folder of its own: whatever names a
/// path is an [`Absolute`](super::Absolute) one when it gets there.
#[derive(Debug, Clone)]
pub struct External<'a> {
    /// The part's name, in logs and errors.
    pub name: &'a str,
    /// The program.
    pub program: PathBuf,
    /// A command that has to succeed first, under the same shim; none if empty.
    pub first: Vec<OsString>,
    /// Its arguments. Other users of the machine can read them: secrets belong into `env`.
    pub arguments: Vec<OsString>,
    /// Environment variables it gets besides ours.
    pub env: Vec<(&'a str, String)>,
    /// Where it will listen, if it does: it is ready when it accepts connections there. One that cannot pick a port and
    /// say which is given a [`Port`](super::Port), held until it is ready.
    pub address: Option<SocketAddr>,
    /// A path that answers 200 once it is ready.
    pub health: Option<&'a str>,
    /// User and group to run it as, for programs that refuse root.
    pub user: Option<(u32, u32)>,
    /// What asks it to stop.
    pub stop: StopSignal,
    /// It ends by itself when its work is done: its end is no death.
    pub finite: bool,
    /// How long it may take to be ready: first starts make databases of their own.
    pub patience: Duration,
    /// A folder that goes when it has ended, however it and run-lab end.
    pub remove: Option<PathBuf>,
}

/// How long a program that is not ours may take to be ready, unless it says otherwise.
const PATIENCE: Duration = Duration::from_secs(60);

impl<'a> External<'a> {
    /// A program that is ready at once, gets no arguments, and stops with SIGTERM.
    #[must_use]
    pub fn new(name: &'a str, program: PathBuf) -> External<'a> {
        External {
            name,
            program,
            first: Vec::new(),
            arguments: Vec::new(),
            env: Vec::new(),
            address: None,
            health: None,
            user: None,
            stop: StopSignal::Term,
            finite: false,
            patience: PATIENCE,
            remove: None,
        }
    }
}

impl Supervisor {
    /// Starts a program that is not ours and waits until it is ready; given up as [`Supervisor::start`] is. It ends with
    /// run-lab, even if that is killed.
    ///
    /// # Errors
    /// If it does not start, ends, or is not ready in time.
    pub async fn keep(&self, foreign: External<'_>) -> Result<Part, PartError> {
        let mut arguments: Vec<OsString> = vec!["shim".into()];
        let mut option = |name: &str, value: String| {
            arguments.extend([OsString::from(name), OsString::from(value)]);
        };
        if let Some(address) = foreign.address {
            option("--address", address.to_string());
        }
        if let Some(path) = foreign.health {
            option("--health", path.to_owned());
        }
        if let Some((user, group)) = foreign.user {
            option("--user", format!("{user}:{group}"));
        }
        if foreign.stop == StopSignal::Int {
            option("--stop", "int".to_owned());
        }
        let remove = foreign.remove.as_deref().map(here).transpose()?;
        if let Some(folder) = &remove {
            arguments.extend([OsString::from("--remove"), folder.clone().into_os_string()]);
        }
        for word in foreign.first {
            // In one piece: a word may look like an option.
            let mut first = OsString::from("--first=");
            first.push(word);
            arguments.push(first);
        }
        arguments.push("--".into());
        arguments.push(here(&foreign.program)?.into_os_string());
        arguments.extend(foreign.arguments);
        let env: Vec<_> = foreign.env.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let External { finite, patience, .. } = foreign;
        self.begin(foreign.name, &arguments, &env, Terms { finite, patience, remove }).await
    }
}

/// `path` as seen from the folder that run-lab is in: its shim may be in another.
fn here(path: &Path) -> Result<PathBuf, PartError> {
    std::path::absolute(path).map_err(|error| PartError::Setup {
        part: path.display().to_string(),
        attempt: "find out where it is".to_owned(),
        reason: error.to_string(),
    })
}
