//! What a service is, and how one starts, serves and stops.
//!
//! A service author says three things: a name, a port, and the routes; and settings, if there are any of its own. What
//! every service has (where it listens, health, the probe, the runtime, the ready line, the end of the process) is
//! here.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;

use clap::builder::Resettable;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use settings::Allocator;
use tokio::net::TcpListener;

use crate::accept::{accept, listen};
use crate::logging::log_to_stderr;
use crate::probe::{PROBES_VARIABLE, Probe, ProbeError};
use crate::routes::{App, Routes};
use crate::server::Server;
use crate::settings::ServiceArgs;
use crate::standing::Crowd;
use crate::workers::{MakeRouter, Workers};

/// A setting with which a service cannot run.
pub type SetupError = Box<dyn std::error::Error + Send + Sync>;

/// Makes the routes of one worker thread, with clients of its own.
pub type MakeRoutes = Box<dyn Fn() -> Routes + Send + Sync>;

/// A service of the lab: its own settings, and what it answers with them.
pub trait Service: Args + Send {
    /// Its name: in spans, in health answers, and as a command; in capitals, the beginning of the variables that are
    /// its settings.
    const NAME: &'static str;
    /// The port on which it listens where no setting says another.
    const PORT: u16;
    /// Its version, in health answers. The lab's services share one.
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    /// Whether one runtime serves all requests, whose threads share what it has (a pool of connections
    /// to a database, say). Otherwise each worker thread has a runtime of its own.
    const ONE_RUNTIME: bool = false;

    /// What it answers. Each worker thread calls the returned function once to make its own routes; what all workers
    /// share is made before the function is returned. Impossible settings are refused here, before the address is bound.
    ///
    /// # Errors
    /// A setting is impossible.
    fn routes(config: ServiceConfig<Self>, probe: Probe) -> Result<MakeRoutes, SetupError>;

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

/// The settings of a service's process.
#[derive(Debug, Clone)]
pub struct ServiceConfig<S> {
    /// Where it listens; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Those that only this service has.
    pub own: S,
    /// Those that every service has.
    pub shared: ServiceArgs,
}

/// The default settings.
impl<S: Service> From<S> for ServiceConfig<S> {
    fn from(own: S) -> Self {
        let shared = ServiceArgs::default();
        ServiceConfig { listen: default_address::<S>(), own, shared }
    }
}

fn default_address<S: Service>() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, S::PORT).into()
}

const LISTEN: &str = "listen";

impl<S: Service> Args for ServiceConfig<S> {
    fn augment_args(command: Command) -> Command {
        let prefix = S::NAME.to_uppercase().replace('-', "_");
        let listen = Arg::new(LISTEN)
            .long(LISTEN)
            .env(format!("{prefix}_LISTEN"))
            .default_value(default_address::<S>().to_string())
            .value_name("ADDR")
            .value_parser(clap::value_parser!(SocketAddr))
            .help("Address to listen on; port 0 picks a free one");
        ServiceArgs::augment_args(S::augment_args(command.arg(listen)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<S: Service> FromArgMatches for ServiceConfig<S> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(ServiceConfig {
            listen: matches.get_one(LISTEN).copied().unwrap_or_else(default_address::<S>),
            own: S::from_arg_matches(matches)?,
            shared: ServiceArgs::from_arg_matches(matches)?,
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
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
    Allocator::READY.use_it();
    log_to_stderr();
    let about =
        format!("The {} service of the lab. {PROBES_VARIABLE}=off turns its probes off.", S::NAME);
    let command = Command::new(S::NAME).version(S::VERSION).about(about);
    let command = ServiceConfig::<S>::augment_args(command);
    let matches = settings::without_blank(command).get_matches();
    let config =
        ServiceConfig::<S>::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
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
pub fn run<S: Service>(config: ServiceConfig<S>) -> Result<(), RunError> {
    let shared = config.shared.clone();
    if S::ONE_RUNTIME { run_as_one(config, &shared) } else { run_by_workers(config, &shared) }
}

fn run_as_one<S: Service>(config: ServiceConfig<S>, shared: &ServiceArgs) -> Result<(), RunError> {
    shared.runtime()?.block_on(async {
        let probe = shared.probe(S::NAME)?;
        let address = config.listen;
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

/// This thread accepts connections and exports spans; the workers do the rest.
fn run_by_workers<S: Service>(
    config: ServiceConfig<S>,
    shared: &ServiceArgs,
) -> Result<(), RunError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let probe = shared.probe(S::NAME)?;
        let address = config.listen;
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
    config: impl Into<ServiceConfig<S>>,
    probe: &Probe,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), SetupError> {
    let config = config.into();
    let options = config.shared.server_options();
    let crowd = Crowd::new(config.shared.limits());
    let server = Server::new(maker(config, (probe, &crowd))?(), probe, &options, &crowd);
    accept(listener, &crowd, shutdown, |stream| server.serve(stream)).await;
    server.stop().await;
    Ok(())
}

/// What makes everything that the service answers.
fn maker<S: Service>(
    config: ServiceConfig<S>,
    (probe, crowd): (&Probe, &Arc<Crowd>),
) -> Result<impl Fn() -> App + Send + Sync + 'static, SetupError> {
    let routes = S::routes(config, probe.clone())?;
    let crowd = Arc::clone(crowd);
    Ok(move || routes().into_app((S::NAME, S::VERSION), &crowd))
}
