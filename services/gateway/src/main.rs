//! The gateway service as a process of its own.

use clap::Parser;
use gateway::GatewayConfig;

#[derive(Parser)]
#[command(version, about = "The gateway service of the lab. LAB_PROBES=off turns its probes off.")]
struct Cli {
    #[command(flatten)]
    config: GatewayConfig,
}

fn main() -> anyhow::Result<()> {
    let config = settings::parse::<Cli>().config;
    let service = config.service.clone();
    service.block_on(gateway::run(config, service.stop_requested()))
}
