//! The life of a sidecar: check settings, bind ports, serve, drain, close the run file.

use std::future::Future;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::budget::Budget;
use crate::config::{ConfigError, SidecarConfig, placed};
use crate::control::{self, Control, ControlToken, Guard, TokenError};
use crate::forward::{Forward, Targets, Workers};
use crate::influx::{InfluxSink, Spool, SpoolError, Target, Tasks};
use crate::join::Limits;
use crate::k6log;
use crate::listen::{self, Bounds};
use crate::otlp::{Intake, Queries};
use crate::pipeline::Pipeline;
use crate::process::{Sampler, WatchError, Watched};
use crate::receiver::Receiver;
use crate::runfile::{RunFile, RunFileError, RunFileSink};
use crate::sink::{Batch, Sink};
use crate::stats::Counters;

/// Connections of those who export: as many as services, their workers and their users' browsers may have.
const OTLP: Bounds = Bounds::of("OTLP", 512);
/// Connections of those who control: labs, health checks, and somebody who looks.
const CONTROL: Bounds = Bounds::of("control", 64);

/// A trace of which nothing is missing is closed when no span has come for this long.
const GRACE: Duration = Duration::from_secs(1);

/// How much longer than joining takes a window is held: a request that is so slow is still counted in its own window.
const SLOWEST: Duration = Duration::from_secs(60);

/// How long a listener may take to answer what it is working on when the sidecar stops.
const DRAIN: Duration = Duration::from_secs(1);

/// Why a sidecar did not start or could not go on.
#[derive(Debug, thiserror::Error)]
pub enum SidecarError {
    /// A setting is out of its limits.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A port could not be bound.
    #[error("cannot listen for {purpose} on {address}: {source}")]
    Bind {
        /// What the port is for.
        purpose: &'static str,
        /// The address asked for.
        address: SocketAddr,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The run file could not be made.
    #[error(transparent)]
    RunFile(#[from] RunFileError),
    /// The spool for InfluxDB could not be had.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The client for InfluxDB could not be made.
    #[error("cannot write to InfluxDB: {0}")]
    InfluxDb(String),
    /// The token of the control endpoint could not be had.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// A process given by `--watch` does not exist.
    #[error("{0}")]
    Watch(String),
}

/// Where a sidecar runs. One thread takes in all spans and closes their traces: what it frees it uses again, and the
/// other cores are left to what is measured. Large exports, and files, have threads of their own.
///
/// # Errors
/// The thread cannot be had.
pub fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()
}

/// Runs a sidecar until `shutdown`, then closes every open trace and the run file.
///
/// Prints `listening otlp=ADDR control=ADDR` on standard output when it is ready.
///
/// # Errors
/// [`SidecarError`] if a setting cannot be used, or a port or the run file cannot be had. Nothing that peers send is
/// an error.
pub async fn run(
    config: SidecarConfig,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), SidecarError> {
    let stop_with_stdin = config.stop_with_stdin;
    let sidecar = Sidecar::bind(config, Vec::new()).await?;
    // Whoever started the sidecar may have closed its output: that is no reason to die.
    let mut out = std::io::stdout();
    let _ = writeln!(out, "listening otlp={} control={}", sidecar.otlp(), sidecar.control());
    let _ = out.flush();
    let stdin = stop_with_stdin.then(end_of_stdin);
    let stop = async move {
        match stdin {
            Some(ended) => tokio::select! { () = shutdown => {}, _ = ended => {} },
            None => shutdown.await,
        }
    };
    sidecar.serve(stop).await;
    Ok(())
}

/// Completes when standard input ends. A thread of its own, for reads of it cannot be cancelled.
fn end_of_stdin() -> oneshot::Receiver<()> {
    let (ended, end) = oneshot::channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 256];
        while matches!(std::io::stdin().read(&mut buffer), Ok(1..)) {}
        let _ = ended.send(());
    });
    end
}

/// A sidecar whose ports are bound and whose run file exists.
pub struct Sidecar {
    otlp: (TcpListener, SocketAddr),
    control: (TcpListener, SocketAddr),
    receiver: Arc<Receiver>,
    pipeline: Arc<Pipeline>,
    watched: Arc<Watched>,
    sample_every: Duration,
    host: String,
    writer: Option<(Arc<RunFileSink>, JoinHandle<()>)>,
    influxdb: Option<(Arc<InfluxSink>, Tasks)>,
    forward: Option<(Arc<Forward>, Workers)>,
    answers: Arc<Control>,
}

impl Sidecar {
    /// Checks `config`, makes the run file and the spool, and binds the ports. Rows go to the run file and
    /// to InfluxDB, if there are such, and to every one of `sinks`.
    ///
    /// # Errors
    /// As for [`run`].
    pub async fn bind(
        config: SidecarConfig,
        mut sinks: Vec<Arc<dyn Sink>>,
    ) -> Result<Sidecar, SidecarError> {
        config.validate()?;
        let token = config.token_file.as_deref().map(ControlToken::read).transpose()?;
        let watched = watch(&config).map_err(|error| SidecarError::Watch(error.to_string()))?;
        let otlp = listen("OTLP", config.otlp).await?;
        let control = listen("control", config.control).await?;
        let counters = Arc::new(Counters::default());
        // The run file last: one that a failed start left would be in the way of the next.
        let influxdb = influxdb(&config)?;
        let mut writer = None;
        if let Some(path) = &config.run_file {
            let file = match new_run_file(path, config.replace_run_file).await {
                Ok(file) => file,
                Err(error) => return Err(give_up(influxdb, error).await),
            };
            let (sink, task) = RunFileSink::start(file, Arc::clone(&counters.sinks));
            let sink = Arc::new(sink);
            sinks.push(Arc::clone(&sink) as Arc<dyn Sink>);
            writer = Some((sink, task));
        }
        sinks.extend(influxdb.iter().map(|(sink, _)| Arc::clone(sink) as Arc<dyn Sink>));
        let limits = limits(&config);
        let budget = Budget::new(usize::try_from(config.memory_limit).unwrap_or(usize::MAX));
        let pipeline =
            Pipeline::new(limits, counters, Arc::clone(&budget), Arc::clone(&watched), sinks);
        pipeline.edges(&config.edge);
        let pipeline = Arc::new(pipeline);
        let forward = forward(&config);
        let forwarding = forward.as_ref().map(|(forward, _)| Arc::clone(forward));
        let answers = Control::new(control::Parts {
            pipeline: Arc::clone(&pipeline),
            influxdb: influxdb.as_ref().map(|(sink, _)| Arc::clone(sink)),
            forward: forwarding.clone(),
            guard: Arc::new(Guard::new(token)),
            run_file: config.run_file.as_deref().map(Arc::from),
            otlp: otlp.1.port(),
            tag: Arc::from(&*config.run),
        });
        let queries = if config.keep_queries { Queries::Kept } else { Queries::Dropped };
        let origins = config.allow_origin;
        let k6_log = k6log::Intake::new(Arc::clone(&pipeline), Arc::clone(&budget), queries);
        let otlp_intake = Intake::new(Arc::clone(&pipeline), budget, origins, forwarding, queries);
        let receiver = Arc::new(Receiver { otlp: Arc::new(otlp_intake), k6_log });
        let (sample_every, host) =
            (config.sample_every.duration(), placed("host", config.at.as_deref()));
        Ok(Sidecar {
            otlp,
            control,
            receiver,
            pipeline,
            watched,
            sample_every,
            host,
            writer,
            influxdb,
            forward,
            answers: Arc::new(answers),
        })
    }

    /// Where spans are received.
    #[must_use]
    pub fn otlp(&self) -> SocketAddr {
        self.otlp.1
    }

    /// Where the control endpoint is.
    #[must_use]
    pub fn control(&self) -> SocketAddr {
        self.control.1
    }

    /// Serves until `shutdown`, then closes every open trace and the run file. Nothing that peers send is an error.
    pub async fn serve(self, shutdown: impl Future<Output = ()> + Send + 'static) {
        let Sidecar { pipeline, influxdb, .. } = self;
        let stop = CancellationToken::new();
        let (sink, stopped) = (Arc::clone(&pipeline), stop.child_token());
        let sampling = sample(sink, self.watched, self.host, self.sample_every, stopped);
        let sampling = tokio::spawn(sampling);
        let closing = tokio::spawn({
            let (pipeline, stop) = (Arc::clone(&pipeline), stop.child_token());
            async move { pipeline.close_as_due(&stop).await }
        });
        let receiver =
            tokio::spawn(listen::serve(self.otlp.0, OTLP, self.receiver, stop.child_token()));
        let control = listen::serve(self.control.0, CONTROL, self.answers, stop.child_token());
        let control = tokio::spawn(control);
        shutdown.await;
        stop.cancel();
        finish(receiver).await;
        finish(control).await;
        let _ = (closing.await, sampling.await);
        if let Some((forward, workers)) = self.forward {
            forward.close(workers).await;
        }
        if let Some((sink, _)) = &influxdb {
            sink.hurry();
        }
        pipeline.flush().await;
        if let Some((sink, task)) = self.writer {
            sink.close().await;
            let _ = task.await;
        }
        if let Some((sink, tasks)) = influxdb {
            sink.close(tasks).await;
        }
    }
}

/// What is sampled from the start: the sidecar itself, and what `config` names.
fn limits(config: &SidecarConfig) -> Limits {
    Limits {
        window_ns: config.join_window.0,
        grace_ns: u64::try_from(GRACE.as_nanos()).unwrap_or(u64::MAX),
        max_traces: config.max_traces,
    }
}

fn watch(config: &SidecarConfig) -> Result<Arc<Watched>, WatchError> {
    let watched = Watched::new(config.watch_command.clone());
    watched.add_own(&placed("sidecar", config.at.as_deref()))?;
    for (name, pid) in &config.watch {
        watched.add(name, *pid, false)?;
    }
    Ok(Arc::new(watched))
}

/// The run file, in the place of an earlier one if that is wanted.
async fn new_run_file(path: &Path, replace: bool) -> Result<RunFile, RunFileError> {
    if replace {
        // One that cannot be removed is in the way, which is said next.
        let _ = std::fs::remove_file(path);
    }
    RunFile::create(path).await
}

/// What passes exports on, if they are to be.
fn forward(config: &SidecarConfig) -> Option<(Arc<Forward>, Workers)> {
    let grpc = config.forward.clone()?;
    let http = config.forward_http.clone().unwrap_or_else(|| grpc.clone());
    let limit = usize::try_from(config.forward_queue).unwrap_or(usize::MAX);
    let (forward, workers) = Forward::start(Targets { grpc, http }, limit);
    Some((Arc::new(forward), workers))
}

/// The sink for InfluxDB, if one is configured.
fn influxdb(config: &SidecarConfig) -> Result<Option<(Arc<InfluxSink>, Tasks)>, SidecarError> {
    let (Some(url), Some(folder)) = (&config.influxdb_url, config.spool_folder()) else {
        return Ok(None);
    };
    let spool = Spool::open(&folder, config.spool_limit)?;
    let target = Target {
        url: url.to_string(),
        org: config.influxdb_org.clone(),
        bucket: config.influxdb_bucket.clone(),
        token: config.influxdb_token.clone(),
    };
    // A sample may be as old as the interval between samples when its second is over.
    let hold =
        (config.join_window.duration() + GRACE + SLOWEST).max(2 * config.sample_every.duration());
    let started = InfluxSink::start(config.run.clone(), hold, target, spool);
    started.map(Some).map_err(SidecarError::InfluxDb)
}

/// Frees the spool again after a start that failed.
async fn give_up(influxdb: Option<(Arc<InfluxSink>, Tasks)>, error: RunFileError) -> SidecarError {
    if let Some((sink, tasks)) = influxdb {
        sink.close(tasks).await;
    }
    error.into()
}

/// Lets a listener answer what it is working on. Connections that peers merely keep open must not
/// keep the sidecar: after a while the listener is dropped with them.
async fn finish<T>(mut listener: JoinHandle<T>) {
    if listener.is_finished() {
        return;
    }
    if tokio::time::timeout(DRAIN, &mut listener).await.is_err() {
        listener.abort();
        let _ = listener.await;
    }
}

/// Samples the watched processes until `stop`, on a thread that may block.
async fn sample(
    pipeline: Arc<Pipeline>,
    watched: Arc<Watched>,
    host: String,
    every: Duration,
    stop: CancellationToken,
) {
    let mut sampler = match Sampler::new(host) {
        Ok(sampler) => sampler,
        Err(error) => return tracing::error!("cannot sample processes: {error}"),
    };
    let mut tick = tokio::time::interval(every);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    while stop.run_until_cancelled(tick.tick()).await.is_some() {
        let watched = Arc::clone(&watched);
        let sampling = tokio::task::spawn_blocking(move || {
            let samples = sampler.sample(&watched);
            (sampler, samples)
        });
        let Ok((returned, samples)) = sampling.await else {
            tracing::error!("sampling of processes stopped");
            return;
        };
        sampler = returned;
        pipeline.samples(Batch::Samples(samples.into())).await;
    }
}

async fn listen(
    purpose: &'static str,
    address: SocketAddr,
) -> Result<(TcpListener, SocketAddr), SidecarError> {
    let bound = async {
        let listener = TcpListener::bind(address).await?;
        let local = listener.local_addr()?;
        Ok((listener, local))
    };
    bound.await.map_err(|source| SidecarError::Bind { purpose, address, source })
}
