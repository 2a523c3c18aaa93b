//! What a service is, and how one starts, serves and stops.
//!
//! A service author says four things: a name, an address, the shared settings, and the routes. Health,
//! the probe, the runtime, the ready line and the end of the process are here.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::builder::Resettable;
use clap::{Args, Command};
use tokio::net::TcpListener;

use crate::probe::{PROBES_VARIABLE, Probe, ProbeError};
use crate::routes::Routes;
use crate::server;
use crate::settings::ServiceArgs;

/// Why a service cannot be what its settings ask for.
pub type SetupError = Box<dyn std::error::Error + Send + Sync>;

/// A service of the lab: the settings of its process, and what it answers with them.
pub trait Service: Args + Sized + Send {
    /// Its name: in spans, in health answers, and as a command.
    const NAME: &'static str;
    /// Its version, in health answers. The lab's services share one.
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    /// The address to listen on.
    fn listen(&self) -> SocketAddr;

    /// The settings that every service has.
    fn shared(&self) -> &ServiceArgs;

    /// What it answers. The closure makes the routes, with clients of their own; what is to be shared
    /// by all that it makes is made before it. Settings that cannot be are refused here, before the
    /// address is bound.
    ///
    /// # Errors
    /// A setting is impossible.
    fn routes(
        self,
        probe: Probe,
    ) -> Result<impl Fn() -> Routes + Send + Sync + 'static, SetupError>;

    /// The settings that hold where neither an argument nor the environment says anything: what tests
    /// begin with.
    ///
    /// # Errors
    /// A setting has no default.
    fn defaults() -> Result<Self, clap::Error> {
        let command = Self::augment_args(Command::new(Self::NAME));
        let command = command.mut_args(|argument| argument.env(Resettable::Reset));
        Self::from_arg_matches(&command.try_get_matches_from([Self::NAME])?)
    }
}

/// Why a service did not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Its probe could not be started.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// Its settings are impossible.
    #[error("{0}")]
    Setup(SetupError),
    /// Its address could not be bound, or there is no runtime.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The `main` of a service that is a program of its own: reads its settings and runs it to its end.
#[must_use]
pub fn main<S: Service>() -> ExitCode {
    let about =
        format!("The {} service of the lab. {PROBES_VARIABLE}=off turns its probes off.", S::NAME);
    let command = Command::new(S::NAME).version(S::VERSION).about(about);
    let matches = settings::without_blank(S::augment_args(command)).get_matches();
    let config = S::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a service in a runtime of its own until the process is asked to stop: starts its probe, binds
/// its address and says so, serves, and exports the last spans.
///
/// # Errors
/// [`RunError`] if a setting is impossible or the address cannot be bound.
pub fn run<S: Service>(config: S) -> Result<(), RunError> {
    let shared = config.shared().clone();
    shared.runtime()?.block_on(async {
        let probe = shared.probe(S::NAME)?;
        let address = config.listen();
        let routes = config.routes(probe.clone()).map_err(RunError::Setup)?;
        let router = routes().into_router(S::NAME, S::VERSION).await;
        let listener = listen(address).await?;
        server::serve(listener, router, &probe, shared.server_options(), shared.stop_requested())
            .await;
        probe.shutdown().await;
        Ok(())
    })
}

/// Serves on a bound listener, in the current runtime, until `shutdown` completes.
///
/// # Errors
/// The settings are impossible.
pub async fn serve<S: Service>(
    listener: TcpListener,
    config: S,
    probe: &Probe,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), SetupError> {
    let options = config.shared().server_options();
    let router = config.routes(probe.clone())?().into_router(S::NAME, S::VERSION).await;
    server::serve(listener, router, probe, options, shutdown).await;
    Ok(())
}

/// Binds `address` and says so on standard output: `listening 127.0.0.1:8080`.
///
/// # Errors
/// Names the address that could not be bound.
async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let naming =
        |error: io::Error| io::Error::new(error.kind(), format!("listening on {address}: {error}"));
    let listener = TcpListener::bind(address).await.map_err(naming)?;
    let mut out = io::stdout().lock();
    writeln!(out, "listening {}", listener.local_addr()?)?;
    out.flush()?;
    Ok(listener)
}
