//! The echo service as a process of its own.

use clap::Parser;
use echo::EchoConfig;

#[derive(Parser)]
#[command(version, about = "The echo service of the lab. LAB_PROBES=off turns its probes off.")]
struct Cli {
    #[command(flatten)]
    config: EchoConfig,
}

fn main() -> anyhow::Result<()> {
    let config = settings::parse::<Cli>().config;
    let service = config.service.clone();
    service.block_on(echo::run(config, service.stop_requested()))
}
