//! `run-lab doctor`: which parts are on this machine, and what stands in for the others.

use std::fmt::Write as _;

use super::{Exit, Failure, terminal};
use crate::launch::Tool;
use crate::run::capture;

/// Prints what was found.
pub(super) async fn doctor() -> Result<Exit, Failure> {
    let environment = capture();
    let mut text = format!(
        "run-lab {} ({})\n{} x {}, {} MiB, Linux {}, clock source {}, governor {}\n\n",
        environment.lab_version,
        environment.rustc,
        environment.cpus,
        environment.cpu_model,
        environment.memory_bytes >> 20,
        environment.kernel,
        environment.clocksource,
        environment.governor,
    );
    for tool in Tool::ALL {
        let found = match tool.find() {
            Some(path) => {
                let version = tool
                    .version(&path)
                    .await
                    .unwrap_or_else(|| "does not tell its version".to_owned());
                format!("found at {} ({version})", path.display())
            }
            None => "not found".to_owned(),
        };
        let (stand_in, what) = tool.stand_in();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{:<11} {:<10}  {found}", tool.role(), tool.name());
        let _ = writeln!(text, "{:<11} {:<10}  stands in: {stand_in} ({what})", "", "");
    }
    text.push_str(
        "\nThis version finds these parts but does not use them yet: the embedded ones stand in.\n",
    );
    terminal::print(text)?;
    Ok(Exit::Done)
}
