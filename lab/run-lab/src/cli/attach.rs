//! `--target` and `--sidecar`: a system that runs already, in place of one that the lab starts.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum as _};
use settings::PeerUrl;

use super::Failure;
use crate::run::Attachment;
use lab_launch::{Token, Tool};
use lab_model::{Component, System};

/// Where a system is that runs already.
#[derive(Debug, Default, Args)]
pub(super) struct AttachArgs {
    /// Drive what runs at http://HOST:PORT instead of starting services; needs --sidecar. Nothing of it is started,
    /// restarted or changed
    #[arg(long, value_name = "URL", requires = "sidecar")]
    target: Option<PeerUrl>,
    /// The control address of the sidecar that this system sends its spans to, http://HOST:PORT (4319 by default)
    #[arg(long, value_name = "URL", requires = "target")]
    sidecar: Option<PeerUrl>,
    /// The token that this sidecar asks for (its own --token-file)
    #[arg(long, value_name = "FILE", requires = "sidecar")]
    token_file: Option<PathBuf>,
    /// Where this sidecar takes spans, http://HOST:PORT, if not by the port that it says on the host of --sidecar: behind
    /// a port that is passed on, for example
    #[arg(long, value_name = "URL", requires = "sidecar")]
    otlp: Option<PeerUrl>,
}

/// The token in the file at `path`, if one is named.
pub(super) fn token(path: Option<&Path>) -> Result<Option<Token>, Failure> {
    let token = path.map(|path| {
        let read = std::fs::read_to_string(path);
        read.map(|text| Token(text.trim().to_owned())).map_err(|error| {
            Failure::usage(format!("--token-file {}: cannot read it: {error}", path.display()))
        })
    });
    token.transpose()
}

impl AttachArgs {
    /// Where the system is, as it is written.
    pub(super) fn target(&self) -> Option<String> {
        self.target.as_ref().map(PeerUrl::to_string)
    }

    /// The system that they name, if they do.
    pub(super) fn attachment(&self) -> Result<Option<Attachment>, Failure> {
        let (Some(target), Some(sidecar)) = (&self.target, &self.sidecar) else { return Ok(None) };
        let token = token(self.token_file.as_deref())?;
        let (target, sidecar, otlp) = (target.clone(), sidecar.clone(), self.otlp.clone());
        Ok(Some(Attachment { target, sidecar, token, otlp }))
    }
}

/// The real parts that the lab starts beside services of its own, and for no others.
pub(super) const NOT_STARTED: [Tool; 3] = [Tool::Influxdb, Tool::Grafana, Tool::Postgres];

/// The parts of a run of a system that runs already: the load generator is the lab's, the others were there.
pub(super) fn components(driver: Component, system: &System) -> Vec<Component> {
    let System::Attached { target, sidecar } = system else { return vec![driver] };
    let there = |role: &str, address: &str, note: &str| Component {
        role: role.to_owned(),
        name: "attached".to_owned(),
        version: String::new(),
        address: Some(address.to_owned()),
        real: true,
        note: note.to_owned(),
    };
    vec![
        driver,
        there("target", target, "it ran already: the lab neither starts, restarts nor changes it"),
        there("sidecar", sidecar, "it keeps the rows of the run"),
    ]
}

/// Something to leave out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LeftOut {
    /// The lab's own services.
    Services,
    /// A real part.
    Part(Tool),
}

/// `services`, or a real part.
pub(super) fn left_out(text: &str) -> Result<LeftOut, String> {
    if text == "services" {
        return Ok(LeftOut::Services);
    }
    let names = || Tool::value_variants().iter().filter_map(Tool::to_possible_value);
    Tool::from_str(text, false).map(LeftOut::Part).map_err(|_| {
        let names: Vec<_> = names().map(|name| name.get_name().to_owned()).collect();
        format!("there are services, {}", names.join(", "))
    })
}

/// A process and its name.
pub(super) fn watched(text: &str) -> Result<(String, u32), String> {
    let wrong = || format!("{text:?} is not NAME=PID");
    let (name, pid) = text.split_once('=').ok_or_else(wrong)?;
    let pid = pid.parse().ok().filter(|&pid| pid != 0).ok_or_else(wrong)?;
    if name.is_empty() { Err(wrong()) } else { Ok((name.to_owned(), pid)) }
}
