//! The users service as a process of its own.

use clap::{Parser, Subcommand};
use pg_client::{PgClientConfig, SeedConfig};

#[derive(Parser)]
#[command(version, about = "The users service of the lab. LAB_PROBES=off turns its probes off.")]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    config: PgClientConfig,
}

#[derive(Subcommand)]
enum Command {
    /// Fills the database with users, unless they are there already.
    Seed(SeedConfig),
}

fn main() -> anyhow::Result<()> {
    let Cli { command, config: service } = Cli::parse();
    match command {
        None => Ok(probe::run(service)?),
        Some(Command::Seed(config)) => service.service.runtime()?.block_on(async {
            let seeded = pg_client::seed(&config, &mut |step| println!("{step}")).await?;
            println!("{seeded}");
            Ok(())
        }),
    }
}
