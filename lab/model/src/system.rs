//! What is measured: a system that the lab started, or one that runs already and can only be asked.
//!
//! Whoever wants to know what may be done with a system, or expected of it, asks for a capability, never for the name
//! of a service.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::Service;

/// What is measured.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum System {
    /// The lab's own services, which it starts.
    #[default]
    Owned,
    /// Services of somebody else, which run already.
    Attached {
        /// Where load generators ask, `http://HOST:PORT`.
        target: String,
        /// The sidecar that it sends its spans to, where that is controlled.
        sidecar: String,
    },
}

/// What can be done with a system, or is known of it beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capability {
    /// Its services start anew for every pass over the cells, so that what is peculiar to one start is inside a round.
    Restart,
    /// Its services take settings, delays to inject among them.
    Settings,
    /// The lab fills the table that they query, as a cell says.
    Seed,
    /// Its probes can be turned off, so that what they cost can be measured.
    Certify,
    /// There are taps on both ends of each of its connections.
    Taps,
    /// Which services requests reach, and by which protocol, is known before anybody asks.
    Shape,
}

impl System {
    /// Whether it has `capability`. Of a system that is only attached none is known.
    #[must_use]
    pub fn can(&self, capability: Capability) -> bool {
        match (self, capability) {
            (System::Owned, _) => true,
            (
                System::Attached { .. },
                Capability::Restart
                | Capability::Settings
                | Capability::Seed
                | Capability::Certify
                | Capability::Taps
                | Capability::Shape,
            ) => false,
        }
    }

    /// Whether the lab started it.
    #[must_use]
    pub fn is_owned(&self) -> bool {
        *self == System::Owned
    }
}

/// The service that load generators ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it is, `http://HOST:PORT`.
    pub url: String,
    /// What it is called where it tells nothing of itself.
    pub name: String,
}

/// The entry of the lab's own system, which listens at this address.
impl From<SocketAddr> for Entry {
    fn from(address: SocketAddr) -> Entry {
        Entry { url: format!("http://{address}"), name: Service::entry().name.to_owned() }
    }
}
