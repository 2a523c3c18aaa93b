//! What a service is, and how one starts, serves and stops.
//!
//! A service author says four things: a name, an address, the shared settings, and the routes. Health,
//! the probe, the runtime, the ready line and the end of the process are here.

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use clap::builder::Resettable;
use clap::{Args, Command};
use tokio::net::TcpListener;

use crate::accept::{accept, listen};
use crate::logging::log_to_stderr;
use crate::probe::{PROBES_VARIABLE, Probe, ProbeError};
use crate::routes::{App, Routes};
use crate::server::Server;
use crate::settings::ServiceArgs;
use crate::standing::Crowd;
use crate::workers::{MakeRouter, Workers};

/// Why a service cannot be what its settings ask for.
pub type SetupError = Box<dyn std::error::Error + Send + Sync>;

/// A service of the lab: the settings of its process, and what it answers with them.
pub trait Service: Args + Sized + Send {
    /// Its name: in spans, in health answers, and as a command.
    const NAME: &'static str;
    /// Its version, in health answers. The lab's services share one.
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    /// Whether one runtime serves all requests, whose threads share what it has (a pool of connections
    /// to a database, say). Otherwise each worker thread has a runtime of its own.
    const ONE_RUNTIME: bool = false;

    /// The address to listen on.
    fn listen(&self) -> SocketAddr;

    /// The settings that every service has.
    fn shared(&self) -> &ServiceArgs;

    /// What it answers. Each worker calls the closure once, and has the routes and their clients for
    /// itself; what all workers are to share is made before it. Settings that cannot be are refused here, before the
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
    log_to_stderr();
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

/// Runs a service until the process is asked to stop: starts its probe, binds its address and says so,
/// serves, and exports the last spans.
///
/// # Errors
/// [`RunError`] if a setting is impossible or the address cannot be bound.
pub fn run<S: Service>(config: S) -> Result<(), RunError> {
    let shared = config.shared().clone();
    if S::ONE_RUNTIME { run_as_one(config, &shared) } else { run_by_workers(config, &shared) }
}

fn run_as_one<S: Service>(config: S, shared: &ServiceArgs) -> Result<(), RunError> {
    shared.runtime()?.block_on(async {
        let probe = shared.probe(S::NAME)?;
        let address = config.listen();
        let crowd = Crowd::new(shared.limits());
        let app = maker(config, (&probe, &crowd)).map_err(RunError::Setup)?();
        let server = Server::new(app, &probe, &shared.server_options(), &crowd);
        let listener = listen(address).await?;
        accept(listener, &crowd, shared.stop_requested(), |stream| server.serve(stream)).await;
        server.stop().await;
        probe.shutdown().await;
        Ok(())
    })
}

/// This thread accepts and exports; the workers do the rest.
fn run_by_workers<S: Service>(config: S, shared: &ServiceArgs) -> Result<(), RunError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let probe = shared.probe(S::NAME)?;
        let address = config.listen();
        let crowd = Crowd::new(shared.limits());
        let routes: Arc<MakeRouter> =
            Arc::new(maker(config, (&probe, &crowd)).map_err(RunError::Setup)?);
        let listener = listen(address).await?;
        let with = (&probe, &shared.server_options(), &crowd);
        let mut workers = Workers::start(shared.workers(), S::NAME, &routes, with)?;
        accept(listener, &crowd, shared.stop_requested(), |stream| workers.give(stream)).await;
        workers.stop().await;
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
    let crowd = Crowd::new(config.shared().limits());
    let server = Server::new(maker(config, (probe, &crowd))?(), probe, &options, &crowd);
    accept(listener, &crowd, shutdown, |stream| server.serve(stream)).await;
    server.stop().await;
    Ok(())
}

/// What makes everything that the service answers.
fn maker<S: Service>(
    config: S,
    (probe, crowd): (&Probe, &Arc<Crowd>),
) -> Result<impl Fn() -> App + Send + Sync + 'static, SetupError> {
    let routes = config.routes(probe.clone())?;
    let crowd = Arc::clone(crowd);
    Ok(move || routes().into_app((S::NAME, S::VERSION), &crowd))
}
