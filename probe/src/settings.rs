//! The settings that every service of the lab shares, and what follows from them: its probe, how it
//! serves and calls, its runtime, when it is asked to stop.

use std::io;
use std::time::Duration;

use ledger::Stage;
use settings::{PeerUrl, Size, Span};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::client_options::{ClientOptions, Version};
use crate::limits::Limits;
use crate::probe::{Probe, ProbeConfig, ProbeError};
use crate::server::ServerOptions;

/// The longest delay that can be injected.
const LONGEST_DELAY: Span = Span::seconds(60);

/// Settings that every service of the lab has.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ServiceArgs {
    /// Where to send spans by OTLP/gRPC, e.g. http://127.0.0.1:4317; without it none are sent.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp: Option<PeerUrl>,
    /// HTTP/2 stream window [default: hyper's, 1 MiB as server, 2 MiB as client].
    #[arg(long, value_name = "SIZE", value_parser = Size::within::<u32>(1..=0x7fff_ffff))]
    pub stream_window: Option<u32>,
    /// HTTP/2 connection window [default: hyper's, 1 MiB as server, 5 MiB as client].
    #[arg(long, value_name = "SIZE", value_parser = Size::within::<u32>(65_535..=0x7fff_ffff))]
    pub connection_window: Option<u32>,
    /// Largest HTTP/2 frame accepted [default: 16KiB].
    #[arg(long, value_name = "SIZE", value_parser = Size::within::<u32>(16_384..=16_777_215))]
    pub frame_size: Option<u32>,
    /// Leave Nagle's algorithm on (TCP_NODELAY off).
    #[arg(long)]
    pub nagle: bool,
    /// Delays to inject, STAGE=DURATION, with commas between (e.g. handler=5ms,reply-encode=1ms).
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = parse_injection)]
    pub inject: Vec<(Stage, Duration)>,
    /// Worker threads, each with connections of its own to the services that it calls [default: one per
    /// core].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub worker_threads: Option<u16>,
    /// How long the head of a request may take from its first byte to its last [default: 10s].
    #[arg(long, value_name = "DURATION", value_parser = Span::within(Span::seconds(1)..=Span::seconds(3_600)))]
    pub head_timeout: Option<Span>,
    /// How long the body of a request may take; at 500 bytes a second or more it may take longer, and by
    /// gRPC it is a pause that may not be longer [default: 20s].
    #[arg(long, value_name = "DURATION", value_parser = Span::within(Span::seconds(1)..=Span::seconds(3_600)))]
    pub body_timeout: Option<Span>,
    /// How long a connection may be without a request [default: 60s].
    #[arg(long, value_name = "DURATION", value_parser = Span::within(Span::seconds(1)..=Span::seconds(3_600)))]
    pub idle_timeout: Option<Span>,
    /// How long a caller may take nothing of a reply [default: 30s].
    #[arg(long, value_name = "DURATION", value_parser = Span::within(Span::seconds(1)..=Span::seconds(3_600)))]
    pub write_timeout: Option<Span>,
    /// Connections at a time; for one more the idlest are closed [default: three quarters of the file descriptors
    /// that the process may have].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_connections: Option<u32>,
    /// Stop when standard input is closed, so that no child outlives its parent.
    #[arg(long)]
    pub stop_with_stdin: bool,
}

impl ServiceArgs {
    /// Starts the probe of a service called `service`.
    ///
    /// # Errors
    /// As [`Probe::start`].
    pub fn probe(&self, service: &str) -> Result<Probe, ProbeError> {
        let config = ProbeConfig {
            service: service.to_owned(),
            otlp_endpoint: self.otlp.as_ref().map(PeerUrl::to_string),
            enabled: Probe::wanted()?,
            inject: self.inject.clone(),
        };
        let probe = Probe::start(config.clone())?;
        probe.send_own_spans(&config)?;
        Ok(probe)
    }

    /// How the service serves.
    #[must_use]
    pub fn server_options(&self) -> ServerOptions {
        ServerOptions {
            stream_window: self.stream_window,
            connection_window: self.connection_window,
            frame_size: self.frame_size,
            nodelay: !self.nagle,
        }
    }

    /// What those who connect to the service must keep to.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let default = Limits::default();
        let or = |limit: Option<Span>, default| limit.map_or(default, Span::duration);
        Limits {
            head: or(self.head_timeout, default.head),
            body: or(self.body_timeout, default.body),
            idle: or(self.idle_timeout, default.idle),
            write: or(self.write_timeout, default.write),
            connections: self.max_connections.map_or(default.connections, |most| most as usize),
        }
    }

    /// How the service calls others.
    #[must_use]
    pub fn client_options(&self, version: Version, pooled: bool) -> ClientOptions {
        ClientOptions {
            version,
            stream_window: self.stream_window,
            connection_window: self.connection_window,
            frame_size: self.frame_size,
            pooled,
            // Who is called has the same limits, unless somebody set them otherwise.
            idle: ClientOptions::idle_before(self.limits().idle),
            nodelay: !self.nagle,
        }
    }

    /// How many worker threads there are to be.
    #[must_use]
    pub fn workers(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        self.worker_threads.map_or_else(cores, usize::from)
    }

    /// One runtime with all worker threads.
    ///
    /// # Errors
    /// The runtime could not be built.
    pub fn runtime(&self) -> io::Result<Runtime> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(self.workers()).enable_all().build()
    }

    /// Completes when the process is asked to stop: SIGTERM, SIGINT, or the end of standard input
    /// if that was asked for.
    pub async fn stop_requested(&self) {
        let signalled = async {
            match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
                (Ok(mut terminate), Ok(mut interrupt)) => {
                    tokio::select! {
                        _ = terminate.recv() => {}
                        _ = interrupt.recv() => {}
                    }
                }
                // Without handlers the signals keep their default action, which also stops us.
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            () = signalled => {}
            () = stdin_closed(), if self.stop_with_stdin => {}
        }
    }
}

/// Completes when standard input is closed, as it is when whoever started this process ends, however that ends.
pub async fn stdin_closed() {
    // A thread of its own: a runtime would wait for its blocked read at shutdown.
    let (closed, end) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        let _ = closed.send(());
    });
    let _ = end.await;
}

/// Reads `STAGE=DURATION`.
fn parse_injection(text: &str) -> Result<(Stage, Duration), String> {
    let (stage, delay) = text
        .split_once('=')
        .ok_or_else(|| format!("{text:?} is not STAGE=DURATION, e.g. handler=5ms"))?;
    let stage = Stage::from_name(stage).map_err(|error| error.to_string())?;
    let delay = Span::within(Span(0)..=LONGEST_DELAY)(delay).map_err(|error| error.to_string())?;
    Ok((stage, delay.duration()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn injections_are_read_with_their_units() {
        let five = Duration::from_millis(5);
        assert_eq!(parse_injection("reply-encode=5ms"), Ok((Stage::ReplyEncode, five)));
        assert_eq!(parse_injection("handler=5000us"), Ok((Stage::Handler, five)));
        for bad in ["handler", "handler=5", "handler=ms", "nothing=5ms", "handler=61s"] {
            assert!(parse_injection(bad).is_err(), "{bad}");
        }
    }
}
