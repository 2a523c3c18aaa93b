//! The sidecar as a program of its own: read the settings, start logging, run, map the error.

use std::process::ExitCode;

use clap::Parser;
use sidecar::{SidecarConfig, SidecarError};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Receives OpenTelemetry spans, joins them into closed ledgers, and samples CPU and memory of the
/// lab's processes.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    config: SidecarConfig,
}

fn main() -> anyhow::Result<ExitCode> {
    settings::Allocator::FRUGAL.use_it();
    sidecar::runtime()?.block_on(serve())
}

async fn serve() -> anyhow::Result<ExitCode> {
    let config = settings::parse::<Arguments>().config;
    let filter = EnvFilter::new(settings::text("RUST_LOG").as_deref().unwrap_or("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    let stop = async move {
        tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
    };
    if let Err(error) = sidecar::run(config, stop).await {
        let SidecarError::Config(_) = error else { return Err(error.into()) };
        eprintln!("sidecar: {error}");
        return Ok(ExitCode::from(2));
    }
    Ok(ExitCode::SUCCESS)
}
