//! What a process says of itself beside its spans: on standard error, for whoever runs it.

use std::io::stderr;

use tracing_subscriber::EnvFilter;

/// Writes what the process says to standard error from now on: `RUST_LOG` says how much, `info` where it does not.
pub fn log_to_stderr() {
    let filter = settings::text("RUST_LOG").unwrap_or_else(|| "info".to_owned());
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(stderr)
        .with_ansi(false)
        .init();
}
