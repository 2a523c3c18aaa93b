//! Whose bytes are whose: hundreds of real calls on one connection, told apart exactly.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::collections::BTreeMap;
use std::time::Duration;

use echo::EchoService;
use http::Uri;
use lab_proto::EchoRequest;
use lab_proto::v1::echo_client::EchoClient;
use ledger::Stage;
use probe::capture::{Captured, CapturedSpan, start};
use probe::{Call, Client, ClientOptions, LONGEST_BODY, Root, Version};

const CALLS: usize = 256;

/// A client of an echo service, and the spans of both.
struct Pair {
    client: Client,
    client_spans: Captured,
    server_spans: Captured,
}

impl Pair {
    async fn start(inject: Vec<(Stage, Duration)>) -> Pair {
        let (server, server_spans) = Captured::probe(inject).unwrap();
        let (probe, client_spans) = Captured::probe(Vec::new()).unwrap();
        let listen = start(EchoService, server).await;
        let target: Uri = format!("http://{listen}").parse().unwrap();
        let options = ClientOptions { version: Version::Http2, ..ClientOptions::default() };
        Pair { client: Client::new(&probe, "echo", target, options), client_spans, server_spans }
    }

    /// One traced call with a payload of this size.
    fn call(&self, size: usize) -> impl Future<Output = usize> + Send + 'static {
        let client = self.client.clone();
        async move {
            let root = Root { sampled: true, cell: size.to_string().into(), ..Root::default() };
            let call = Call { root: Some(root), ..Call::default() };
            let reply = client.unary("lab.v1.Echo/Echo", call, |channel| async move {
                let mut client = EchoClient::new(channel).max_decoding_message_size(LONGEST_BODY);
                client.echo(EchoRequest { payload: "x".repeat(size) }).await
            });
            reply.await.unwrap().into_inner().payload.len()
        }
    }
}

/// Payload sizes, all different, from nothing to several frames.
fn size(call: usize) -> usize {
    1 + call * 307
}

/// Length of the protobuf message with a payload of `size`: tag, varint, payload.
fn encoded(size: u64) -> u64 {
    1 + u64::from(64 - size.leading_zeros()).div_ceil(7) + size
}

fn check_halves(client: &CapturedSpan, server: &CapturedSpan) -> u64 {
    let size = client.half.outbound.payload;
    for traffic in
        [client.half.outbound, client.half.inbound, server.half.inbound, server.half.outbound]
    {
        assert_eq!((traffic.payload, traffic.body), (size, encoded(size)));
        assert_eq!(traffic.wire, traffic.body + traffic.framing + traffic.headers);
    }
    assert_eq!(client.half.outbound.wire, server.half.inbound.wire);
    assert_eq!(client.half.inbound.wire, server.half.outbound.wire);
    assert!(client.half.tapped() && server.half.tapped());
    assert_eq!((client.half.attempts, server.half.attempts), (1, 1));
    size
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_in_flight_together_are_told_apart() {
    let mut pair = Pair::start(Vec::new()).await;
    assert_eq!(pair.call(1).await, 1);
    let calls: Vec<_> = (1..CALLS).map(|call| tokio::spawn(pair.call(size(call)))).collect();
    for (call, reply) in (1..CALLS).zip(calls) {
        assert_eq!(reply.await.unwrap(), size(call));
    }
    let mut servers = BTreeMap::new();
    for _ in 0..CALLS {
        let span = pair.server_spans.span().await.unwrap();
        servers.insert(span.parent, span);
    }
    let mut sizes = Vec::new();
    for _ in 0..CALLS {
        let client = pair.client_spans.span().await.unwrap();
        sizes.push(check_halves(&client, &servers[&client.context.span_id]) as usize);
    }
    sizes.sort_unstable();
    assert_eq!(sizes, (0..CALLS).map(size).collect::<Vec<_>>());
    assert_eq!(pair.client.connections_opened(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_calls_leave_the_others_exact_and_nothing_behind() {
    let mut pair = Pair::start(vec![(Stage::Handler, Duration::from_millis(20))]).await;
    assert_eq!(pair.call(1).await, 1);
    let calls: Vec<_> = (1..CALLS).map(|call| tokio::spawn(pair.call(size(call)))).collect();
    for task in calls.iter().skip(1).step_by(3) {
        tokio::task::yield_now().await;
        task.abort();
    }
    let mut kept = vec![1];
    for (call, reply) in (1..CALLS).zip(calls) {
        match reply.await {
            Ok(reply) => kept.push(reply),
            Err(error) => assert!(error.is_cancelled(), "call {call}"),
        }
    }
    // A call on the same connection still works, after any number of resets.
    assert_eq!(pair.call(5).await, 5);
    kept.push(5);
    let (mut clients, mut servers) = (Vec::new(), BTreeMap::new());
    while clients.len() < kept.len() {
        let span = pair.client_spans.span().await.unwrap();
        match &span.failure {
            None => clients.push(span),
            Some(failure) => assert_eq!(failure, "the caller gave up"),
        }
    }
    let mut sizes = Vec::new();
    for client in &clients {
        while !servers.contains_key(&client.context.span_id) {
            let span =
                pair.server_spans.span().await.expect("a span of each call that was answered");
            servers.insert(span.parent, span);
        }
        sizes.push(check_halves(client, &servers[&client.context.span_id]) as usize);
    }
    sizes.sort_unstable();
    kept.sort_unstable();
    assert_eq!(sizes, kept);
    assert_eq!(pair.client.connections_opened(), 1);
}
