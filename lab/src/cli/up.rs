//! `run-lab up`: the services and the sidecar, for somebody else's load.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::run::{new_folder, overlay_settings, own_folder};
use super::{Exit, Failure, terminal};
use crate::event::{LabEvent, Reporter};
use crate::plan;
use crate::run::{Interrupt, LOGS, RUN_FILE, Rig, RunError, Utc};

/// What to start.
#[derive(Debug, Args)]
pub(super) struct UpArgs {
    /// Folder for the run file and the logs; it must not exist [default: lab-runs/up-TIME]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Where the gateway is to listen; port 0 takes any free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    gateway: SocketAddr,
    /// Set a knob of the services (repeatable), e.g. stream_window=64KiB
    #[arg(long, value_name = "KNOB=VALUE")]
    set: Vec<String>,
    /// Inject delays, e.g. gateway:handler=5ms
    #[arg(long, value_name = "STAGE=DURATION", value_delimiter = ',')]
    inject: Vec<String>,
}

/// Says where parts listen.
struct Addresses;

impl Reporter for Addresses {
    fn on(&mut self, event: &LabEvent) {
        if let LabEvent::Ready { part, address, pid } = event {
            // Whoever does not read addresses may use the services all the same.
            let _ = terminal::print(format_args!("{part:<8} http://{address} (process {pid})\n"));
        }
    }
}

/// Starts everything, prints addresses, and stops everything on Ctrl-C.
pub(super) async fn up(arguments: UpArgs) -> Result<Exit, Failure> {
    let knobs = plan::read_knobs(&overlay_settings(&arguments.set, &arguments.inject)?)
        .map_err(Failure::usage)?;
    let interrupt = Interrupt::listen().map_err(|error| Failure::other(error.into()))?;
    let out = match arguments.out {
        Some(out) => new_folder(out)?,
        None => own_folder(&format!("up-{}", Utc::now().compact()))?.1,
    };
    let executable = std::env::current_exe().map_err(|error| Failure::other(error.into()))?;
    let (rig, mut deaths) = Rig::set_up(&out, &executable, &interrupt).await?;
    let mut rig = rig.listening(arguments.gateway);
    let mut died = None;
    match rig.serve(&knobs, &mut Addresses).await {
        Err(error) => died = Some(error),
        Ok(_) => {
            let (pid, otlp, control) = rig.sidecar().map_err(RunError::from)?;
            let _ = terminal::print(format_args!(
                "sidecar  http://{otlp} takes spans, http://{control} tells counters (process {pid})\n\
                 run file {}, logs in {}\nstop with Ctrl-C\n",
                out.join(RUN_FILE).display(),
                out.join(LOGS).display()
            ));
            tokio::select! {
                () = interrupt.stop.cancelled() => {}
                death = deaths.recv() => died = death.map(RunError::Part),
            }
        }
    }
    let closed = rig.close().await;
    match died {
        Some(error) => Err(error.into()),
        None => match closed.map_err(RunError::from)? {
            (_, Some(unwritten)) => Err(RunError::from(unwritten).into()),
            _ => Ok(Exit::Done),
        },
    }
}
