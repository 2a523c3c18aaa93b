//! What the lab starts as processes of its own: the services, the sidecar, and shims of programs that are not ours.

use clap::Subcommand;
use relay::RelayConfig;
use settings::Allocator;
use sidecar::SidecarConfig;
use tokio::signal::unix::{SignalKind, signal};

use super::{Exit, Failure};
use crate::programs::ServiceCommand;
use lab_supervise::{ShimConfig, keep};

/// A part of the lab as a process of its own.
#[derive(Debug, Subcommand)]
pub(super) enum PartCommand {
    #[command(flatten)]
    Service(ServiceCommand),
    Relay(RelayConfig),
    /// Run the sidecar
    #[command(hide = true)]
    Sidecar(Box<SidecarConfig>),
    /// Start a program that is not ours, and stop it when standard input closes
    #[command(hide = true)]
    Shim(ShimConfig),
}

/// Runs the part until it is asked to stop.
pub(super) fn run(part: PartCommand) -> Result<Exit, Failure> {
    probe::log_to_stderr();
    let done = match part {
        PartCommand::Service(service) => {
            Allocator::READY.use_it();
            service.run()
        }
        PartCommand::Relay(config) => run_relay(config),
        PartCommand::Sidecar(config) => run_sidecar(*config),
        // The exit code is that of the program that was kept.
        PartCommand::Shim(config) => keep(&config).map(|code| std::process::exit(code)),
    };
    done.map(|()| Exit::Done).map_err(Failure::other)
}

/// One thread, so that no byte waits for another to wake up.
fn run_relay(config: RelayConfig) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let summary = runtime.block_on(async {
        let stop = stop_requested()?;
        Ok::<_, anyhow::Error>(relay::run(config, stop).await?)
    })?;
    eprintln!("relayed {summary}");
    Ok(())
}

/// Completes when the process is asked to stop.
fn stop_requested() -> std::io::Result<impl Future<Output = ()>> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! { _ = term.recv() => {} _ = int.recv() => {} }
    })
}

fn run_sidecar(config: SidecarConfig) -> anyhow::Result<()> {
    Allocator::FRUGAL.use_it();
    sidecar::runtime()?.block_on(async { Ok(sidecar::run(config, stop_requested()?).await?) })
}
