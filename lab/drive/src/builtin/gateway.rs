//! The driver's target in a run: what a cell's workload asks of the gateway, called through the probe's client.
//!
//! The probe measures the call from inside; the driver's stopwatch stands outside of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::uri::InvalidUri;
use lab_model::workload::Http;
use lab_model::{Cell, Entry};
use probe::{Call, Client, ClientOptions, Probe, Root, Stopwatch, Version};

use super::request::Prepared;
use super::target::{Arrival, Called, Target};
use super::values::mix;

/// The name under which the load generator appears in hops.
pub const SERVICE: &str = "driver";

/// Which request is chosen must not follow from which values are drawn: both throw the same dice, this one from here.
const OTHER_DICE: u64 = 1 << 63;

/// Connections to one gateway, kept over the rounds that it serves. None is made before it is needed.
#[derive(Clone)]
pub struct Connections {
    http1: Client,
    http2: Client,
    nonce: Option<Arc<str>>,
}

impl Connections {
    /// To `entry`, measured by `probe`.
    ///
    /// # Errors
    /// If where it is, is no URL.
    pub fn new(probe: &Probe, entry: &Entry) -> Result<Connections, InvalidUri> {
        let target: http::Uri = entry.url.parse()?;
        let by = |version| {
            let options = ClientOptions { version, ..ClientOptions::default() };
            Client::new(probe, &entry.name, target.clone(), options)
        };
        Ok(Connections { http1: by(Version::Http1), http2: by(Version::Http2), nonce: None })
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
    requests: Vec<Prepared>,
    /// The sum of their weights.
    weights: u64,
    asked: AtomicU64,
    cell: Arc<str>,
    round: u32,
    weight: f64,
}

impl Gateway {
    /// What `cell` asks for, by requests that belong to `name` (empty: to no cell) in the tally.
    #[must_use]
    pub fn new(
        connections: &Connections,
        cell: &Cell,
        name: &str,
        round: u32,
        weight: f64,
    ) -> Gateway {
        let requests = cell.requests().into_iter();
        let requests: Vec<Prepared> =
            requests.map(|request| Prepared::new(request, cell)).collect();
        Gateway {
            client: match cell.workload.http {
                Http::One => connections.http1.clone(),
                Http::Two => connections.http2.clone(),
            },
            nonce: connections.nonce.clone(),
            weights: requests.iter().map(|request| u64::from(request.weight)).sum(),
            requests,
            asked: AtomicU64::new(0),
            cell: name.into(),
            round,
            weight,
        }
    }

    /// The next request.
    fn next(&self) -> &Prepared {
        if let [only] = self.requests.as_slice() {
            return only;
        }
        let dice = mix(OTHER_DICE | self.asked.fetch_add(1, Ordering::Relaxed));
        let mut place = dice % self.weights.max(1);
        let chosen = self.requests.iter().find(|request| {
            let weight = u64::from(request.weight);
            let here = place < weight;
            place = place.wrapping_sub(weight);
            here
        });
        chosen.unwrap_or(&self.requests[0])
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
            ..Call::default()
        };
        let outcome = self.next().send(&self.client, call).await;
        let stop = |watch: Arc<Stopwatch>| -> Box<dyn FnOnce(u64) + Send> {
            Box::new(move |ns| watch.stop(ns))
        };
        Called { outcome, stopwatch: stopwatch.map(stop) }
    }
}
