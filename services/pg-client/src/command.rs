//! What can be asked of the program: to serve, or to fill the table. `run-lab pg-client` asks the same.

use clap::{Args, Subcommand};
use probe::ServiceConfig;

use crate::{PgClientConfig, SeedConfig};

/// Serves, unless a command says otherwise.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct PgClientCommand {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    config: ServiceConfig<PgClientConfig>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Fill the users table, unless it is filled already
    Seed(SeedConfig),
}

impl PgClientCommand {
    /// Does what was asked for, in a runtime of its own. Serving ends when the process is asked to stop.
    ///
    /// # Errors
    /// As [`probe::run`] and [`crate::seed`].
    pub fn run(self) -> anyhow::Result<()> {
        let PgClientCommand { command, config } = self;
        match command {
            None => Ok(probe::run(config)?),
            Some(Command::Seed(seeding)) => config.shared.runtime()?.block_on(async {
                let seeded = crate::seed(&seeding, &mut |step| println!("{step}")).await?;
                println!("{seeded}");
                Ok(())
            }),
        }
    }
}
