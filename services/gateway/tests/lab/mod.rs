//! A driver, a gateway and an echo service in one process, and the ledgers of their requests.

use std::sync::Arc;
use std::time::Duration;

use echo::EchoService;
use gateway::{GatewayConfig, PayloadSource};
use lab_proto::{PingReply, PingRequest};
use ledger::{Half, HopNode, Point, RequestLedger, Stage, clock};
use probe::capture::{Captured, CapturedSpan, join, start};
use probe::{
    Call, CallError, Client, ClientOptions, Probe, Root, Service as _, ServiceArgs, ServiceConfig,
    Stopwatch,
};

/// Which process of the lab a setting is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Driver,
    Gateway,
    Echo,
}

/// What to start.
#[derive(Debug, Clone, Default)]
pub(crate) struct Setup {
    pub(crate) inject: Vec<(Who, Stage, Duration)>,
    pub(crate) service: ServiceArgs,
    pub(crate) connection_per_request: bool,
    pub(crate) per_request_payload: bool,
    /// Put between gateway and echo.
    pub(crate) relay: Option<super::relay::Relay>,
}

/// A running lab.
pub(crate) struct Lab {
    client: Client,
    spans: Vec<Captured>,
}

impl Setup {
    fn probe(&self, who: Who) -> (Probe, Captured) {
        let inject = self.inject.iter().filter(|(at, ..)| *at == who);
        Captured::probe(inject.map(|(_, stage, delay)| (*stage, *delay)).collect()).unwrap()
    }

    pub(crate) async fn start(self) -> Lab {
        let (driver, driver_spans) = self.probe(Who::Driver);
        let (echo_probe, echo_spans) = self.probe(Who::Echo);
        let (gateway_probe, gateway_spans) = self.probe(Who::Gateway);

        let config = ServiceConfig { shared: self.service.clone(), ..EchoService.into() };
        let mut echo = start(config, echo_probe).await;
        if let Some(relay) = self.relay.clone() {
            echo = relay.start(echo).await;
        }

        let config = GatewayConfig {
            peers: vec![format!("echo=http://{echo}").parse().unwrap()],
            timeout: settings::Span::seconds(60),
            payload_source: if self.per_request_payload {
                PayloadSource::PerRequest
            } else {
                PayloadSource::Pool
            },
            connection_per_request: self.connection_per_request,
            ..GatewayConfig::defaults().unwrap()
        };
        let config = ServiceConfig { shared: self.service.clone(), ..config.into() };
        let gateway = start(config, gateway_probe).await;
        let target = format!("http://{gateway}").parse().unwrap();
        let client = Client::new(&driver, "gateway", target, ClientOptions::default());
        Lab { client, spans: vec![driver_spans, gateway_spans, echo_spans] }
    }
}

impl Lab {
    /// Makes one traced request, timed by a stopwatch of its own.
    pub(crate) fn ping(
        &self,
        protocol: &str,
        size: u64,
    ) -> impl Future<Output = Result<PingReply, CallError>> + Send + 'static {
        let client = self.client.clone();
        let path = format!("/{protocol}/ping");
        async move {
            let stopwatch = Stopwatch::new();
            let started = clock::now();
            let root =
                Root { sampled: true, stopwatch: Some(Arc::clone(&stopwatch)), ..Root::default() };
            let call = Call { planned: Some(started), root: Some(root), ..Call::default() };
            let reply = client.post_json(&path, &PingRequest { size }, call).await;
            stopwatch.stop(clock::now() - started);
            reply
        }
    }

    /// Waits for the spans of `requests` requests of two hops and joins them by trace.
    pub(crate) async fn hops(&mut self, requests: usize) -> Vec<(HopNode, u64)> {
        let mut spans: Vec<CapturedSpan> = Vec::new();
        for (process, count) in self.spans.iter_mut().zip([1, 2, 1]) {
            for _ in 0..count * requests {
                spans.push(process.span().await.expect("a span for each half of each hop"));
            }
        }
        spans.sort_by_key(|span| span.context.trace_id);
        spans
            .chunk_by(|a, b| a.context.trace_id == b.context.trace_id)
            .map(|trace| {
                let stopwatch = trace.iter().find_map(|span| span.stopwatch);
                (join(trace).expect("a root"), stopwatch.expect("a stopwatch"))
            })
            .collect()
    }

    /// The ledgers of `requests` pings made one after another, after a few to warm up.
    pub(crate) async fn ledgers(
        &mut self,
        protocol: &str,
        size: u64,
        requests: usize,
    ) -> Vec<Closed> {
        for _ in 0..3 {
            self.ping(protocol, size).await.unwrap();
        }
        self.hops(3).await;
        for _ in 0..requests {
            self.ping(protocol, size).await.unwrap();
        }
        self.hops(requests).await.into_iter().map(Closed::new).collect()
    }
}

/// The ledgers of as many `pairs` of pings, one of each lab in turn, after a few to warm up: what else the machine does
/// meanwhile happens to both.
pub(crate) async fn in_turn(
    labs: [&mut Lab; 2],
    protocol: &str,
    size: u64,
    pairs: usize,
) -> Vec<[Closed; 2]> {
    let [one, other] = labs;
    for lab in [&mut *one, &mut *other] {
        lab.ledgers(protocol, size, 0).await;
    }
    for _ in 0..pairs {
        one.ping(protocol, size).await.unwrap();
        other.ping(protocol, size).await.unwrap();
    }
    let (one, other) = (one.hops(pairs).await, other.hops(pairs).await);
    let in_time = |hops: Vec<(HopNode, u64)>| {
        let mut ledgers: Vec<_> = hops.into_iter().map(Closed::new).collect();
        let start = |half: &Half| half.marks.get(Point::CallStart);
        ledgers.sort_by_key(|closed| closed.hop.client.as_ref().and_then(start));
        ledgers
    };
    in_time(one).into_iter().zip(in_time(other)).map(|(one, other)| [one, other]).collect()
}

/// A request with closed books.
pub(crate) struct Closed {
    pub(crate) hop: HopNode,
    pub(crate) books: RequestLedger,
    pub(crate) stopwatch: u64,
}

impl Closed {
    pub(crate) fn new((hop, stopwatch): (HopNode, u64)) -> Self {
        let books = ledger::close(&hop);
        Closed { hop, books, stopwatch }
    }

    /// Time of a stage of the outer (0) or inner (1) hop, in nanoseconds.
    pub(crate) fn stage(&self, hop: usize, stage: Stage) -> i64 {
        self.books.hops[hop].stages.get(stage).ns
    }

    /// What was injected into a stage of the outer (0) or inner (1) hop, in nanoseconds.
    pub(crate) fn injected(&self, hop: usize, stage: Stage) -> i64 {
        let node = if hop == 0 { &self.hop } else { &self.hop.children[0] };
        let halves = [node.client.as_ref(), node.server.as_ref()];
        let all = halves.into_iter().flatten().flat_map(|half| &half.injected);
        all.filter(|(at, _)| *at == stage).map(|(_, ns)| *ns as i64).sum()
    }
}

/// The middle of some numbers.
pub(crate) fn median(numbers: impl IntoIterator<Item = i64>) -> i64 {
    let mut numbers: Vec<i64> = numbers.into_iter().collect();
    numbers.sort_unstable();
    numbers[numbers.len() / 2]
}
