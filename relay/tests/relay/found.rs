//! Delays before the wire, on it and behind it are found where they are, by spans of the relay beside those of both ends.

use std::time::Duration;

use echo::EchoService;
use gateway::GatewayConfig;
use lab_proto::{PingReply, PingRequest};
use ledger::{HopNode, Kind, Point, RequestLedger, Stage};
use probe::capture::{Captured, CapturedSpan, join, start};
use probe::{Call, Client, ClientOptions, Probe, Root, Service as _};
use settings::Span;
use tokio::net::TcpListener;

use crate::setting::config;

/// Far more than what a busy machine makes of the median of a stage.
const DELAY: Duration = Duration::from_millis(150);
const REQUESTS: usize = 5;
const SIZE: u64 = 1_000;

/// Where to delay: the gateway's encoding, the relay's line, the echo's handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Nowhere,
    Client,
    Wire,
    Server,
}

fn probe(delays: &[(Stage, Duration)]) -> (Probe, Captured) {
    Captured::probe(delays.to_vec()).unwrap()
}

/// The requests of a driver to a gateway, which reaches the echo by a relay.
async fn requests(protocol: &str, place: Place) -> Vec<HopNode> {
    let delay = |at, stage| if place == at { vec![(stage, DELAY)] } else { Vec::new() };
    let (driver, from_driver) = probe(&[]);
    let (gateway_probe, from_gateway) = probe(&delay(Place::Client, Stage::RequestEncode));
    let (echo_probe, from_echo) = probe(&delay(Place::Server, Stage::Handler));
    let echo = start(EchoService, echo_probe).await;

    let mut told = config(echo);
    told.rtt = if place == Place::Wire { Span(2 * DELAY.as_nanos() as u64) } else { Span(0) };
    let (reporter, from_relay) = Captured::reporter();
    let listener = TcpListener::bind(told.listen).await.unwrap();
    let relay = listener.local_addr().unwrap();
    let never = std::future::pending();
    tokio::spawn(relay::serve_reporting(listener, told, Some(reporter), never));

    let config = GatewayConfig {
        peers: vec![format!("echo=http://{relay}").parse().unwrap()],
        timeout: Span::seconds(60),
        ..GatewayConfig::defaults().unwrap()
    };
    let gateway = start(config, gateway_probe).await;
    let target = format!("http://{gateway}").parse().unwrap();
    let client = Client::new(&driver, "gateway", target, ClientOptions::default());
    let mut captured = [(from_driver, 1), (from_gateway, 2), (from_echo, 1), (from_relay, 1)];
    let mut hops = Vec::new();
    for _ in 0..REQUESTS {
        let call =
            Call { root: Some(Root { sampled: true, ..Root::default() }), ..Call::default() };
        let path = format!("/{protocol}/ping");
        let _: PingReply =
            client.post_json(&path, &PingRequest { size: SIZE }, call).await.unwrap();
        let mut spans: Vec<CapturedSpan> = Vec::new();
        for (process, count) in &mut captured {
            for _ in 0..*count {
                spans.push(process.span().await.expect("a span of each side, and of the relay"));
            }
        }
        assert!(spans.iter().all(|span| span.failure.is_none()));
        hops.push(join(&spans).expect("a root"));
    }
    hops
}

fn median(mut all: Vec<i64>) -> i64 {
    all.sort_unstable();
    all[all.len() / 2]
}

#[tokio::test(flavor = "multi_thread")]
async fn delays_in_client_wire_and_server_are_found_in_their_stages_and_in_no_other() {
    let delay = DELAY.as_nanos() as i64;
    for protocol in ["rest", "grpc"] {
        for (place, delayed) in [
            (Place::Nowhere, &[][..]),
            (Place::Client, &[Stage::RequestEncode]),
            (Place::Wire, &[Stage::RequestRelay, Stage::ReplyRelay]),
            (Place::Server, &[Stage::Handler]),
        ] {
            let books: Vec<RequestLedger> =
                requests(protocol, place).await.iter().map(ledger::close).collect();
            for &stage in Stage::ALL {
                let found =
                    median(books.iter().map(|it| it.hops[1].stages.get(stage).ns).collect());
                let expected = delayed.contains(&stage);
                // Waiting for a connection to be made is no stage that is asked about here.
                let right = if expected { found >= delay } else { found < delay / 2 };
                assert!(right, "{protocol} {place:?}: {stage} shows {found} ns of {delay}");
            }
            assert!(books.iter().all(|it| it.total_of(Kind::Inferred) == 0), "all is measured");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_counts_what_both_ends_count_and_its_marks_are_in_order() {
    for (protocol, http, prefix) in [("rest", 11, 0), ("grpc", 20, 5)] {
        for hop in requests(protocol, Place::Nowhere).await {
            let inner = &hop.children[0];
            let (client, server) = (inner.client.as_ref().unwrap(), inner.server.as_ref().unwrap());
            let [relay] = &inner.relays[..] else { panic!("one relay: {inner:?}") };
            let far = relay.far.as_ref().unwrap();
            assert_eq!(relay.http, http);
            assert!(
                relay.connection != 0 && far.connection != 0 && relay.connection != far.connection
            );
            // A relay does not take gRPC's prefix apart from the body.
            assert_eq!(relay.inbound.body, client.outbound.body + prefix);
            assert_eq!(relay.outbound.body, client.inbound.body + prefix);
            assert_eq!(
                (far.outbound, far.inbound),
                (relay.inbound, relay.outbound),
                "no byte is changed"
            );
            assert_eq!(relay.inbound.wire, client.outbound.wire);
            assert_eq!(relay.outbound.wire, server.outbound.wire);
            let in_order = [
                client.marks.get(Point::LastWrite),
                relay.marks.get(Point::LastRead),
                far.marks.get(Point::LastWrite),
                server.marks.get(Point::LastRead),
                server.marks.get(Point::LastWrite),
                far.marks.get(Point::LastRead),
                relay.marks.get(Point::LastWrite),
                client.marks.get(Point::LastRead),
            ];
            assert!(in_order.iter().all(Option::is_some) && in_order.is_sorted(), "{in_order:?}");
        }
    }
}
