//! The driver's target in a run: the gateway, called through the probe's client.
//!
//! The probe measures the call from inside; the driver's stopwatch stands outside of it.

use std::sync::Arc;

use lab_proto::PingRequest;
use probe::{Call, Carries, Client, ClientOptions, Probe, Root, Stopwatch};

use super::reply::Reply;
use super::target::{Arrival, Called, Target};
use crate::model::{Cell, Protocol};

/// The name under which the load generator appears in hops.
pub const SERVICE: &str = "driver";

/// Connections to one gateway, kept over the rounds that it serves.
#[derive(Clone)]
pub struct Connections(Client);

impl Connections {
    /// To the gateway at `target`, measured by `probe`.
    #[must_use]
    pub fn new(probe: &Probe, target: http::Uri) -> Connections {
        Connections(Client::new(probe, "gateway", target, ClientOptions::default()))
    }
}

/// The gateway, asked for the payload of one cell in one round.
pub struct Gateway {
    client: Client,
    path: &'static str,
    protocol: Protocol,
    size: u64,
    cell: Arc<str>,
    round: u32,
    weight: f64,
}

impl Gateway {
    /// Requests for `cell`'s payload, which belong to `name` (empty: to no cell) in the books.
    #[must_use]
    pub fn new(
        connections: &Connections,
        cell: &Cell,
        name: &str,
        round: u32,
        weight: f64,
    ) -> Gateway {
        Gateway {
            client: connections.0.clone(),
            path: match cell.protocol {
                Protocol::Rest => "/rest/ping",
                Protocol::Grpc => "/grpc/ping",
            },
            protocol: cell.protocol,
            size: cell.payload_bytes,
            cell: name.into(),
            round,
            weight,
        }
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
                stopwatch: stopwatch.clone(),
            }),
        };
        let request = PingRequest { size: self.size };
        let reply: Result<Reply, _> = self.client.post_json(self.path, &request, call).await;
        let outcome = match reply {
            Ok(reply) => reply.check(self.protocol, self.size),
            Err(error) => Err(error.to_string().into()),
        };
        let stop = |watch: Arc<Stopwatch>| -> Box<dyn FnOnce(u64) + Send> {
            Box::new(move |ns| watch.stop(ns))
        };
        Called { outcome, stopwatch: stopwatch.map(stop) }
    }
}
