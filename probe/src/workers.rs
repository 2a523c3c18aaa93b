//! The threads of a service that have a runtime each, so that no request wakes another thread.
//!
//! A connection stays with the worker it was given to, and so does what the worker opens for its
//! requests: a socket dies with its runtime.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};

use crate::probe::Probe;
use crate::routes::App;
use crate::server::{Server, ServerOptions};
use crate::standing::Crowd;

/// How often a worker wakes without a reason: its thread sets a timer for nearly every request, and each that is due
/// before all others costs a system call to tell the very same thread. With this one there is always an earlier one.
const BEAT: Duration = Duration::from_secs(1);
/// How long work on other threads (making a payload, say) may hold up the end of a worker.
const BLOCKING: Duration = Duration::from_secs(1);

/// Makes the routes of a worker, inside its runtime.
pub(crate) type MakeRouter = dyn Fn() -> App + Send + Sync;

/// The workers of a service.
pub(crate) struct Workers {
    workers: Vec<Worker>,
    next: usize,
}

struct Worker {
    connections: mpsc::UnboundedSender<std::net::TcpStream>,
    ended: oneshot::Receiver<()>,
}

impl Workers {
    /// Starts `count` workers of the service called `name`.
    ///
    /// # Errors
    /// A runtime or a thread could not be made.
    pub(crate) fn start(
        count: usize,
        name: &str,
        routes: &Arc<MakeRouter>,
        (probe, options, crowd): (&Probe, &ServerOptions, &Arc<Crowd>),
    ) -> io::Result<Workers> {
        let start = |number| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let (connections, given) = mpsc::unbounded_channel();
            let (end, ended) = oneshot::channel();
            let routes = Arc::clone(routes);
            let (probe, options, crowd) = (probe.clone(), options.clone(), Arc::clone(crowd));
            thread::Builder::new().name(format!("{name}-{number}")).spawn(move || {
                runtime.block_on(async {
                    work(Server::new(routes(), &probe, &options, &crowd), given).await;
                });
                runtime.shutdown_timeout(BLOCKING);
                let _ = end.send(());
            })?;
            Ok(Worker { connections, ended })
        };
        let workers = (0..count).map(start).collect::<io::Result<_>>()?;
        Ok(Workers { workers, next: 0 })
    }

    /// Gives a connection to the worker whose turn it is. (The kernel would spread connections over
    /// several listeners by a hash: of eight, six to one and two to the other.)
    pub(crate) fn give(&mut self, stream: TcpStream) {
        let worker = &self.workers[self.next];
        self.next = (self.next + 1) % self.workers.len();
        match stream.into_std() {
            // A worker ends only after this: see `stop`.
            Ok(stream) => drop(worker.connections.send(stream)),
            Err(error) => tracing::debug!("giving a connection to a worker: {error}"),
        }
    }

    /// Lets all requests be answered and ends the workers; see [`Server::stop`] for how long it takes.
    pub(crate) async fn stop(self) {
        let ends: Vec<_> = self.workers.into_iter().map(|worker| worker.ended).collect();
        for ended in ends {
            // Without a word it ended by a panic, which was reported.
            let _ = ended.await;
        }
    }
}

/// Serves the connections that are given to this worker, until no more can be.
async fn work(server: Server, mut given: mpsc::UnboundedReceiver<std::net::TcpStream>) {
    tokio::spawn(async {
        let mut beat = tokio::time::interval(BEAT);
        loop {
            beat.tick().await;
        }
    });
    while let Some(stream) = given.recv().await {
        match TcpStream::from_std(stream) {
            Ok(stream) => server.serve(stream),
            Err(error) => tracing::warn!("taking a connection: {error}"),
        }
    }
    server.stop().await;
}
