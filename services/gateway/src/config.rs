//! Settings of the gateway.

use std::time::Duration;

use settings::{PeerUrl, Size, Span};

use crate::payload::PayloadSource;

/// Largest payload that can be asked for, in bytes: 16 MiB.
pub const LARGEST_SIZE: u64 = 16_777_216;

/// Settings that only the gateway has.
#[derive(Debug, Clone, clap::Args)]
pub struct GatewayConfig {
    /// Where the services behind it are, with commas between; routes whose service is not among them
    /// answer 503.
    #[arg(
        long = "peer",
        env = "GATEWAY_PEERS",
        default_value = "echo=http://127.0.0.1:8081",
        value_name = "NAME=URL",
        value_delimiter = ','
    )]
    pub peers: Vec<Peer>,
    /// How long the service behind it may take before the gateway answers 504, 1s to 1h.
    #[arg(long, default_value = "30s", value_name = "DURATION", value_parser = Span::within(Span::seconds(1)..=Span::seconds(3_600)))]
    pub timeout: Span,
    /// How the gateway comes by its payload: a slice of a pool made at start-up, or a random
    /// string made for each request under one lock.
    #[arg(long, value_enum, default_value = "pool")]
    pub payload_source: PayloadSource,
    /// Connect to the service behind it anew for each request.
    #[arg(long)]
    pub connection_per_request: bool,
    /// Test double: send so much by REST whatever size is asked for.
    #[arg(long, value_name = "SIZE", value_parser = Size::within::<u64>(0..=LARGEST_SIZE))]
    pub rest_size_bug: Option<u64>,
}

impl GatewayConfig {
    /// How long a call may take.
    pub(crate) fn limit(&self) -> Duration {
        self.timeout.duration()
    }
}

/// A service behind the gateway: its name in spans, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its name.
    pub name: String,
    /// Scheme and authority.
    pub url: PeerUrl,
}

/// Reads `NAME=http://HOST:PORT`, and nothing after it.
impl std::str::FromStr for Peer {
    type Err = String;

    fn from_str(text: &str) -> Result<Peer, String> {
        let form = || format!("{text:?} is not of the form NAME=http://HOST:PORT");
        let (name, url) = text.split_once('=').ok_or_else(form)?;
        if name.is_empty() {
            return Err(form());
        }
        let url = url.parse().map_err(|error| format!("{name}: {error}"))?;
        Ok(Peer { name: name.to_owned(), url })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_a_name_and_where_it_is() {
        let peer: Peer = "echo=http://127.0.0.1:8081".parse().unwrap();
        assert_eq!((peer.name.as_str(), peer.url.uri().port_u16()), ("echo", Some(8081)));
        for bad in [
            "",
            "echo",
            "http://127.0.0.1:8081",
            "=http://h:1",
            "echo=h:1",
            "echo=https://h:1",
            "echo=http://h:1/path",
            "echo=http://h:1?query",
        ] {
            assert!(bad.parse::<Peer>().is_err(), "{bad}");
        }
    }
}
