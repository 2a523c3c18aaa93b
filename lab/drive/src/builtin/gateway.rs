//! The driver's target in a run: the gateway, called through the probe's client.
//!
//! The probe measures the call from inside; the driver's stopwatch stands outside of it.

use std::borrow::Cow;
use std::sync::Arc;

use lab_proto::{PingRequest, UsersCountReply, query_of_email};
use probe::{Call, Carries, Client, ClientOptions, Probe, Root, Stopwatch};

use super::question::{Question, Questions};
use super::reply::Reply;
use super::target::{Arrival, Called, Target};
use lab_model::{Cell, DEFAULT_USERS, Protocol, Workload};

/// The name under which the load generator appears in hops.
pub const SERVICE: &str = "driver";

/// Connections to one gateway, kept over the rounds that it serves.
#[derive(Clone)]
pub struct Connections {
    client: Client,
    nonce: Option<Arc<str>>,
}

impl Connections {
    /// To the gateway at `target`, measured by `probe`.
    #[must_use]
    pub fn new(probe: &Probe, target: http::Uri) -> Connections {
        let client = Client::new(probe, "gateway", target, ClientOptions::default());
        Connections { client, nonce: None }
    }

    /// The same for the run that has this nonce: traced requests say in `tracestate` what they belong to.
    #[must_use]
    pub fn of_run(self, nonce: Option<Arc<str>>) -> Connections {
        Connections { nonce, ..self }
    }
}

/// The gateway, asked what one cell asks for in one round.
pub struct Gateway {
    client: Client,
    nonce: Option<Arc<str>>,
    protocol: Protocol,
    ask: Ask,
    cell: Arc<str>,
    round: u32,
    weight: f64,
}

/// What is asked.
enum Ask {
    Ping { size: u64 },
    Users(Questions),
}

impl Gateway {
    /// What `cell` asks for, by requests that belong to `name` (empty: to no cell) in the books.
    #[must_use]
    pub fn new(
        connections: &Connections,
        cell: &Cell,
        name: &str,
        round: u32,
        weight: f64,
    ) -> Gateway {
        Gateway {
            client: connections.client.clone(),
            nonce: connections.nonce.clone(),
            protocol: cell.protocol,
            ask: match cell.workload {
                Workload::Ping => Ask::Ping { size: cell.payload_bytes },
                Workload::Users => {
                    Ask::Users(Questions::about(cell.knobs.users.unwrap_or(DEFAULT_USERS)))
                }
            },
            cell: name.into(),
            round,
            weight,
        }
    }

    async fn ping(&self, size: u64, call: Call) -> Result<(), Cow<'static, str>> {
        let path = match self.protocol {
            Protocol::Rest => "/rest/ping",
            Protocol::Grpc => "/grpc/ping",
        };
        let reply: Result<Reply, _> =
            self.client.post_json(path, &PingRequest { size }, call).await;
        reply.map_err(|error| error.to_string())?.check(self.protocol, size)
    }

    async fn count(&self, question: Question, call: Call) -> Result<(), Cow<'static, str>> {
        let Question { email, count } = question;
        let path = match self.protocol {
            Protocol::Rest => "/rest/users/count",
            Protocol::Grpc => "/grpc/users/count",
        };
        let query = query_of_email(&email);
        let reply: Result<UsersCountReply, _> = self.client.get_json(path, &query, call).await;
        let reply = reply.map_err(|error| error.to_string())?;
        if reply.protocol != self.protocol.name() || reply.email != email {
            let (protocol, email) = (reply.protocol, reply.email);
            return Err(
                format!("the reply is about {email} by {protocol}, not what was asked").into()
            );
        }
        if reply.count != count {
            let counted = reply.count;
            return Err(format!("counted {counted} users of an e-mail that {count} have").into());
        }
        Ok(())
    }
}

impl Carries for Reply {
    fn payload_bytes(&self) -> u64 {
        self.payload.0
    }
}

impl Target for Gateway {
    async fn call(&self, arrival: Arrival) -> Called {
        let stopwatch = arrival.traced.then(Stopwatch::new);
        let call = Call {
            planned: Some(arrival.planned),
            root: Some(Root {
                sampled: arrival.traced,
                cell: self.cell.clone(),
                round: self.round,
                weight: self.weight,
                nonce: self.nonce.clone(),
                stopwatch: stopwatch.clone(),
            }),
        };
        let outcome = match &self.ask {
            Ask::Ping { size } => self.ping(*size, call).await,
            Ask::Users(questions) => self.count(questions.next(), call).await,
        };
        let stop = |watch: Arc<Stopwatch>| -> Box<dyn FnOnce(u64) + Send> {
            Box::new(move |ns| watch.stop(ns))
        };
        Called { outcome, stopwatch: stopwatch.map(stop) }
    }
}
