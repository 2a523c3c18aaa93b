//! What a workload is to the gateway: the service that it calls, and its routes.

use probe::Routes;

use crate::config::GatewayConfig;
use crate::upstream::Upstream;

/// A workload.
#[derive(Clone, Copy)]
pub(crate) struct Workload {
    /// Name of the called service, in spans and as `--peer` has it.
    pub(crate) peer: &'static str,
    /// Makes what all its requests share, and with it the maker of its routes.
    pub(crate) routes: fn(&GatewayConfig) -> MakeRoutes,
}

/// Makes routes that call the service over these connections.
pub(crate) type MakeRoutes = Box<dyn Fn(Upstream) -> Routes + Send + Sync>;
