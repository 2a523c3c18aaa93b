//! The gateway: the lab's front door. Each of its workloads has routes of its own, calls one service
//! behind it by REST or gRPC, and answers in JSON either way.
//!
//! The path names the protocol of the inner hop only, so that both arms of a comparison have the
//! same outer hop.

mod config;
mod payload;
mod upstream;
mod workload;
mod workloads;

use probe::{MakeRoutes, Probe, Routes, Service, ServiceConfig, SetupError};

pub use config::{GatewayConfig, LARGEST_SIZE, Peer};
pub use payload::PayloadSource;

use upstream::Upstreams;
use workloads::WORKLOADS;

impl Service for GatewayConfig {
    const NAME: &'static str = "gateway";
    const PORT: u16 = 8080;

    fn routes(config: ServiceConfig<Self>, probe: Probe) -> Result<MakeRoutes, SetupError> {
        let peers: Vec<_> = WORKLOADS.iter().map(|workload| workload.peer).collect();
        upstream::check(&config.own.peers, &peers)?;
        let routes: Vec<_> =
            WORKLOADS.iter().map(|workload| (workload.routes)(&config.own)).collect();
        Ok(Box::new(move || {
            let mut upstreams = Upstreams::new(&config, &probe);
            peers
                .iter()
                .zip(&routes)
                .fold(Routes::new(), |all, (peer, routes)| all.merge(routes(upstreams.get(peer))))
        }))
    }
}
