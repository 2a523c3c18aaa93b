//! The exporter against receivers that take everything, refuse, take in part, stall, die, or never were.
//! Whatever happens, each span was received or is counted as lost.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use ledger::{Half, Point, Side, names};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tonic::{Request, Response, Status};

use super::{BATCH, Exporter, Patience, QUEUE, Sink};
use crate::carried::Carried;
use crate::context::SpanContext;
use crate::record::{Direction, Identity, Record};

/// Short, so that what waits for them is soon over.
const PATIENCE: Patience = Patience {
    look: Duration::from_millis(20),
    silence: Duration::from_millis(50),
    answer: Duration::from_secs(2),
    exit: Duration::from_secs(1),
};

/// What a receiver does with a request.
#[derive(Debug, Clone, Copy)]
enum Does {
    Take,
    Refuse,
    /// Takes it but for so many spans.
    TakeBut(i64),
    Stall,
}

#[derive(Debug)]
struct Receiver {
    does: Mutex<Does>,
    requests: Mutex<Vec<ExportTraceServiceRequest>>,
    received: AtomicU64,
}

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let does = *self.does.lock();
        let request = request.into_inner();
        let spans = spans(&request).len() as u64;
        let refused = match does {
            Does::Take => 0,
            Does::Refuse => return Err(Status::invalid_argument("not today")),
            Does::TakeBut(refused) => refused.min(spans as i64),
            Does::Stall => std::future::pending().await,
        };
        self.received.fetch_add(spans - refused as u64, Relaxed);
        self.requests.lock().push(request);
        let error_message = "some are too old".to_owned();
        let partial_success = (refused > 0)
            .then_some(ExportTracePartialSuccess { rejected_spans: refused, error_message });
        Ok(Response::new(ExportTraceServiceResponse { partial_success }))
    }
}

fn spans(request: &ExportTraceServiceRequest) -> Vec<&Span> {
    let resources = request.resource_spans.iter();
    resources.flat_map(|resource| &resource.scope_spans).flat_map(|scope| &scope.spans).collect()
}

/// An exporter, and a receiver for it.
struct Pair {
    exporter: Exporter,
    sink: Sink,
    receiver: Arc<Receiver>,
    serving: Runtime,
}

async fn start(does: Does) -> Pair {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let receiver = Arc::new(Receiver {
        does: Mutex::new(does),
        requests: Mutex::default(),
        received: AtomicU64::new(0),
    });
    let service = TraceServiceServer::from_arc(Arc::clone(&receiver));
    // Of its own: with it die its connections too.
    let serving = Runtime::new().unwrap();
    let listener = listener.into_std().unwrap();
    serving.spawn(async move {
        let listener = TcpListener::from_std(listener).unwrap();
        let incoming = tonic::transport::server::TcpIncoming::from(listener);
        let server = tonic::transport::Server::builder().add_service(service);
        server.serve_with_incoming(incoming).await.unwrap();
    });
    let (exporter, sink) = exporter(address);
    Pair { exporter, sink, receiver, serving }
}

fn exporter(receiver: SocketAddr) -> (Exporter, Sink) {
    Exporter::start("tested", 42, &format!("http://{receiver}"), PATIENCE).unwrap()
}

/// A sampled record with something in every part.
fn record(number: u64) -> Arc<Record> {
    let record = Record::new(if number.is_multiple_of(2) { Side::Client } else { Side::Server });
    record.identify(Identity {
        context: SpanContext { flags: number as u8 | 1, ..SpanContext::new_root(true) },
        parent: number % 3,
        carried: Carried::with_member(&format!("hoplab={number}"))
            .filter(|_| number.is_multiple_of(2)),
        name: format!("call {number}"),
        peer: Some("echo".into()),
        database: None,
        extra: vec![(names::ROUND, ledger::Value::Int(number as i64))],
    });
    for (at, &point) in Point::ALL.iter().enumerate().skip(number as usize % 3) {
        record.set(point, 1_000_000_000 + number * 1_000 + at as u64);
    }
    record.attempt(number, 20);
    record.message(Direction::Outbound, 300, 200);
    record.injected(ledger::Stage::Handler, number + 1);
    Arc::new(record)
}

fn submit(sink: &Sink, count: usize) {
    (0..count).for_each(|number| sink.submit(&record(number as u64)));
}

/// Waits until the receiver has so many spans.
async fn received(receiver: &Receiver, count: usize) {
    let all = async {
        while receiver.received.load(Relaxed) < count as u64 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), all).await.expect("the spans arrive");
}

/// Stops the exporter; each of `sent` spans was received or is counted, and it does not take long.
async fn check_exit(pair: Pair, sent: usize) -> u64 {
    let asked = Instant::now();
    pair.exporter.shutdown().await;
    // One limit for everything, and a busy machine.
    assert!(asked.elapsed() < PATIENCE.exit + Duration::from_secs(2), "{:?}", asked.elapsed());
    let (received, lost) = (pair.receiver.received.load(Relaxed), pair.sink.lost());
    assert_eq!(received + lost, sent as u64, "{received} received, {lost} lost");
    pair.serving.shutdown_background();
    lost
}

#[tokio::test]
async fn all_spans_arrive_as_they_are_and_numbered() {
    let pair = start(Does::Take).await;
    let sent = 2 * BATCH + 3;
    let records: Vec<_> = (0..sent as u64).map(record).collect();
    records.iter().for_each(|record| pair.sink.submit(record));
    let receiver = Arc::clone(&pair.receiver);
    assert_eq!(check_exit(pair, sent).await, 0);
    let requests = receiver.requests.lock();
    let spans: Vec<_> = requests.iter().flat_map(spans).collect();
    let mut instances = Vec::new();
    for (at, (span, record)) in spans.into_iter().zip(&records).enumerate() {
        let identity = record.identity().unwrap();
        assert_eq!(span.trace_id, identity.context.trace_id.to_be_bytes());
        assert_eq!(span.span_id, identity.context.span_id.to_be_bytes());
        assert_eq!(span.parent_span_id.is_empty(), identity.parent == 0);
        assert_eq!(span.trace_state.as_bytes(), identity.state());
        assert_eq!(span.flags & 0xff, u32::from(identity.context.flags));
        assert_eq!((&span.name, span.kind), (&identity.name, if at % 2 == 0 { 3 } else { 2 }));
        let value = |key| {
            let pair = span.attributes.iter().find(|pair| pair.key == key);
            pair.and_then(|pair| pair.value.clone()?.value)
        };
        let Some(Any::BytesValue(packed)) = value(names::PACKED) else { panic!("{span:?}") };
        let expected = record.half();
        let mut half = Half::new(expected.side, expected.interval);
        let origin = half.unpack(&packed).unwrap().expect("an origin");
        assert_eq!(half, expected);
        assert_eq!(origin.sequence, at as u64 + 1);
        instances.push(origin.instance);
        let took = span.end_time_unix_nano - span.start_time_unix_nano;
        assert_eq!(took, expected.interval.1 - expected.interval.0);
        assert_eq!(value(names::PEER_SERVICE), Some(Any::StringValue("echo".into())));
        assert_eq!(value(names::ROUND), Some(Any::IntValue(at as i64)));
    }
    instances.dedup();
    assert_eq!(instances.len(), 1);
    let resource = requests.last().unwrap().resource_spans[0].resource.as_ref().unwrap();
    let told = |key| resource.attributes.iter().find(|pair| pair.key == key).unwrap().value.clone();
    assert_eq!(told(names::HIGHEST).unwrap().value, Some(Any::IntValue(sent as i64)));
    assert_eq!(told(names::LOST).unwrap().value, Some(Any::IntValue(0)));
}

#[tokio::test]
async fn a_full_queue_loses_what_does_not_fit_and_tells_it() {
    let pair = start(Does::Stall).await;
    // One batch is on its way when the rest comes.
    submit(&pair.sink, QUEUE + 2 * BATCH);
    assert!(pair.sink.lost() > 0);
    *pair.receiver.does.lock() = Does::Take;
    received(&pair.receiver, QUEUE - BATCH).await;
    let receiver = Arc::clone(&pair.receiver);
    let lost = check_exit(pair, QUEUE + 2 * BATCH).await;
    let requests = receiver.requests.lock();
    let resource = requests.last().unwrap().resource_spans[0].resource.as_ref().unwrap();
    let told = resource.attributes.iter().find(|pair| pair.key == names::LOST).unwrap();
    assert_eq!(told.value.clone().unwrap().value, Some(Any::IntValue(lost as i64)));
}

#[tokio::test]
async fn what_is_refused_in_whole_or_in_part_is_lost() {
    let pair = start(Does::Refuse).await;
    submit(&pair.sink, 10);
    assert_eq!(check_exit(pair, 10).await, 10);
    let pair = start(Does::TakeBut(3)).await;
    submit(&pair.sink, 10);
    assert_eq!(check_exit(pair, 10).await, 3);
}

#[tokio::test]
async fn a_receiver_that_stalls_holds_up_an_exit_no_longer_than_the_limit() {
    let pair = start(Does::Stall).await;
    submit(&pair.sink, 3 * BATCH);
    assert_eq!(check_exit(pair, 3 * BATCH).await, 3 * BATCH as u64);
}

#[tokio::test]
async fn a_receiver_that_dies_takes_nothing_with_it_that_is_not_counted() {
    let mut pair = start(Does::Take).await;
    submit(&pair.sink, 10);
    received(&pair.receiver, 10).await;
    std::mem::replace(&mut pair.serving, Runtime::new().unwrap()).shutdown_background();
    submit(&pair.sink, 10);
    assert_eq!(check_exit(pair, 20).await, 10);
}

#[tokio::test]
async fn a_receiver_that_never_was_loses_everything_at_once() {
    let nobody = "127.0.0.1:1".parse().unwrap();
    let (exporter, sink) = exporter(nobody);
    submit(&sink, 10);
    exporter.shutdown().await;
    assert_eq!(sink.lost(), 10);
}

#[tokio::test]
async fn a_process_without_new_spans_tells_its_last_number_once() {
    let pair = start(Does::TakeBut(1)).await;
    submit(&pair.sink, 1);
    // The loss is known only after the request that it was part of.
    let told = async {
        while pair.receiver.requests.lock().len() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), told).await.expect("a second request");
    {
        let requests = pair.receiver.requests.lock();
        assert!(spans(&requests[1]).is_empty());
        let resource = requests[1].resource_spans[0].resource.as_ref().unwrap();
        let value = |key| resource.attributes.iter().find(|pair| pair.key == key).unwrap();
        for key in [names::HIGHEST, names::LOST] {
            assert_eq!(value(key).value.clone().unwrap().value, Some(Any::IntValue(1)), "{key}");
        }
    }
    check_exit(pair, 1).await;
}
