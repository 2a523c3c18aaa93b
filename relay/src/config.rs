//! The settings of a relay.

use std::net::SocketAddr;

use settings::{Bandwidth, Span};

/// What the help says after the options.
pub(crate) const AFTER: &str = "\
The relay stands between a service and who calls it, and both stay as they are:

  before   caller ──────────────────────────► 127.0.0.1:8081
  after    caller ──► 127.0.0.1:9081 (relay) ──► 127.0.0.1:8081

  run-lab up                                            # its sidecar takes spans at 127.0.0.1:4317
  run-lab relay --listen 127.0.0.1:9081 --to 127.0.0.1:8081 --sidecar http://127.0.0.1:4317

and the caller is told the relay's address. HTTP/1.1 and HTTP/2 without TLS are followed, in any language;
everything else passes unread. No byte is changed. A request with a sampled traceparent becomes a span of
what was on the wire. With --rtt and --bandwidth the relay is a distance or a narrow line:

  run-lab relay --listen 127.0.0.1:9081 --to 127.0.0.1:8081 --rtt 10ms --bandwidth 100Mbit";

/// Pass TCP on to a service, and tell what HTTP was on the wire: bytes, frames, windows, and when
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = AFTER)]
pub struct RelayConfig {
    /// Address to listen on; port 0 picks a free one
    #[arg(long, value_name = "ADDR")]
    pub listen: SocketAddr,
    /// The service that connections are passed on to
    #[arg(long, value_name = "HOST:PORT", value_parser = target)]
    pub to: String,
    /// Hold every byte back as a distance would: half of this in each direction
    #[arg(long, value_name = "DURATION", default_value = "0", value_parser = Span::within(Span(0)..=Span::seconds(60)))]
    pub rtt: Span,
    /// Carry no more than this in each direction, over all connections (kbit, Mbit, Gbit a second)
    #[arg(long, value_name = "RATE")]
    pub bandwidth: Option<Bandwidth>,
    /// Where spans go: OTLP over gRPC, which is the sidecar's --listen. Without it none are made
    #[arg(long, value_name = "URL")]
    pub sidecar: Option<String>,
    /// Name of this relay in spans and reports
    #[arg(long, value_name = "NAME", default_value = "relay")]
    pub name: String,
    /// Stop when standard input is closed, so that no relay outlives the program that started it
    #[arg(long)]
    pub stop_with_stdin: bool,
}

/// Reads `HOST:PORT`; whether there is such a host is found out later.
fn target(text: &str) -> Result<String, String> {
    let wrong = |why: &str| Err(format!("{text:?} is not of the form HOST:PORT: {why}"));
    if text.contains("://") {
        return wrong("a relay passes TCP on and takes no URL");
    }
    let Some((host, port)) = text.rsplit_once(':') else { return wrong("it has no port") };
    if host.is_empty() || host.contains(['/', '@', ' ']) {
        return wrong("it has no host");
    }
    match port.parse::<u16>() {
        Ok(1..) => Ok(text.to_owned()),
        _ => wrong("its port is no number from 1 to 65535"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_host_and_a_port_and_nothing_else() {
        for text in ["127.0.0.1:1", "echo:8081", "[::1]:80", "a-b.example:65535"] {
            assert_eq!(target(text).as_deref(), Ok(text));
        }
        for text in ["echo", ":80", "echo:", "echo:0", "echo:65536", "http://echo:80", "a/b:1"] {
            let error = target(text).unwrap_err();
            assert!(error.contains(text) && error.contains("HOST:PORT"), "{error}");
        }
    }
}
