//! Trace context from the request that comes in to the one that goes out, by either protocol.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use gateway::GatewayConfig;
use http::{HeaderMap, Request, Response};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use probe::Service as _;
use probe::capture::{Captured, CapturedSpan};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

const PROTOCOLS: [&str; 2] = ["rest", "grpc"];
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: u64 = 0x00f0_67aa_0ba9_02b7;

/// A service that answers nothing useful, and the headers of the requests that it gets.
async fn start_listener() -> (SocketAddr, mpsc::UnboundedReceiver<HeaderMap>) {
    let (tell, told) = mpsc::unbounded_channel();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let tell = tell.clone();
            let listen = service_fn(move |request: Request<Incoming>| {
                let _ = tell.send(request.headers().clone());
                std::future::ready(Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())))
            });
            let server = auto::Builder::new(TokioExecutor::new());
            tokio::spawn(
                async move { server.serve_connection(TokioIo::new(stream), listen).await },
            );
        }
    });
    (address, told)
}

/// A gateway in front of a service that listens.
struct Lab {
    gateway: String,
    spans: Captured,
    sent: mpsc::UnboundedReceiver<HeaderMap>,
}

impl Lab {
    async fn start() -> Lab {
        let (echo, sent) = start_listener().await;
        let (probe, spans) = Captured::probe(Vec::new()).unwrap();
        let peers = vec![format!("echo=http://{echo}").parse().unwrap()];
        let config = GatewayConfig { peers, ..GatewayConfig::defaults().unwrap() };
        let gateway = format!("http://{}", probe::capture::start(config, probe).await);
        Lab { gateway, spans, sent }
    }

    /// What the gateway sends on when it gets these headers, a line each.
    async fn pass(&mut self, protocol: &str, headers: &[(&'static str, &str)]) -> HeaderMap {
        let url = format!("{}/{protocol}/ping", self.gateway);
        let mut request = reqwest::Client::new().post(url).body(r#"{"size": 10}"#);
        let mut lines = HeaderMap::new();
        for (name, value) in headers {
            lines.append(*name, value.parse().unwrap());
        }
        request = request.headers(lines);
        request.send().await.unwrap();
        self.sent.recv().await.unwrap()
    }

    /// The gateway's two spans of one request: its own and its call's.
    async fn spans(&mut self) -> [CapturedSpan; 2] {
        let (one, other) = (self.spans.span().await.unwrap(), self.spans.span().await.unwrap());
        if one.parent == CALLER { [one, other] } else { [other, one] }
    }
}

fn lines<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_flag_is_passed_on_and_exported() {
    let mut lab = Lab::start().await;
    for protocol in PROTOCOLS {
        for flags in ["01", "03", "a1", "ff"] {
            let parent = format!("00-{TRACE}-{CALLER:016x}-{flags}");
            let sent = lab.pass(protocol, &[("traceparent", &parent)]).await;
            let [server, client] = lab.spans().await;
            let expected = format!("00-{TRACE}-{:016x}-{flags}", client.context.span_id);
            assert_eq!(lines(&sent, "traceparent"), [expected], "{protocol}");
            assert_eq!((server.context.flags, server.parent), (client.context.flags, CALLER));
        }
        for flags in ["00", "02", "fe"] {
            let parent = format!("00-{TRACE}-{CALLER:016x}-{flags}");
            let sent = lab.pass(protocol, &[("traceparent", &parent)]).await;
            let [parent] = lines(&sent, "traceparent")[..] else { panic!("{sent:?}") };
            assert!(parent.starts_with(&format!("00-{TRACE}-")), "{parent}");
            assert!(parent.ends_with(&format!("-{flags}")), "{parent}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_traceparent_lines_begin_a_new_trace_that_is_not_recorded() {
    let mut lab = Lab::start().await;
    for protocol in PROTOCOLS {
        let one = format!("00-{TRACE}-{CALLER:016x}-01");
        let other = format!("00-{TRACE}-{:016x}-01", 7);
        for second in [&one, &other, "garbage"] {
            let headers = [("traceparent", one.as_str()), ("traceparent", second)];
            let sent = lab.pass(protocol, &[&headers[..], &[("tracestate", "a=1")]].concat()).await;
            let [parent] = lines(&sent, "traceparent")[..] else { panic!("{sent:?}") };
            assert!(!parent.contains(TRACE) && parent.ends_with("-00"), "{parent}");
            assert!(lines(&sent, "tracestate").is_empty(), "{sent:?}");
        }
        // No span came of those: the next are of this one.
        lab.pass(protocol, &[("traceparent", &one)]).await;
        let [server, _] = lab.spans().await;
        assert_eq!(format!("{:032x}", server.context.trace_id), TRACE);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tracestate_is_passed_on_in_one_line_and_exported_by_both_spans() {
    let mut lab = Lab::start().await;
    let parent = format!("00-{TRACE}-{CALLER:016x}-01");
    let parent = ("traceparent", parent.as_str());
    for protocol in PROTOCOLS {
        let state = [("tracestate", "hoplab=1:c:0:n, a=1"), ("tracestate", "b@c=2")];
        let sent = lab.pass(protocol, &[&[parent], &state[..]].concat()).await;
        assert_eq!(lines(&sent, "tracestate"), ["hoplab=1:c:0:n,a=1,b@c=2"]);
        for span in lab.spans().await {
            assert_eq!(span.state, "hoplab=1:c:0:n,a=1,b@c=2");
        }
        let sent = lab.pass(protocol, &[parent, ("tracestate", "a=1,=")]).await;
        assert!(lines(&sent, "tracestate").is_empty(), "{sent:?}");
        for span in lab.spans().await {
            assert_eq!(
                (format!("{:032x}", span.context.trace_id), &*span.state),
                (TRACE.to_owned(), "")
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn baggage_is_passed_on_unchanged_whatever_the_trace() {
    let mut lab = Lab::start().await;
    let sampled = format!("00-{TRACE}-{CALLER:016x}-01");
    for protocol in PROTOCOLS {
        for parent in [sampled.as_str(), "garbage"] {
            let baggage = ["user=alice;p=1, b=%20", "c = not quite a list"];
            let headers = baggage.map(|line| ("baggage", line));
            let sent =
                lab.pass(protocol, &[&[("traceparent", parent)], &headers[..]].concat()).await;
            assert_eq!(lines(&sent, "baggage"), baggage, "{protocol} {parent}");
        }
    }
}
