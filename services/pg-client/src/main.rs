//! The users service as a process of its own.

use clap::Parser;
use pg_client::PgClientCommand;

#[derive(Parser)]
#[command(version, about = "The users service of the lab. LAB_PROBES=off turns its probes off.")]
struct Cli {
    #[command(flatten)]
    command: PgClientCommand,
}

fn main() -> anyhow::Result<()> {
    probe::log_to_stderr();
    settings::parse::<Cli>().command.run()
}
