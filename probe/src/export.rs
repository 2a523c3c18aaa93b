//! From finished records to spans on the wire: OTLP over gRPC, built after the fact.
//!
//! The queue is bounded and sized here, and every span that does not arrive is counted: the SDK's
//! own batch processor drops silently. A process tells its count with the spans that follow.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ledger::wall::WallClock;
use ledger::{Side, Value, names};
use opentelemetry::trace::{SpanContext, SpanKind, Status, TraceFlags, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::record::Record;

/// Records waiting to be exported; past it they are lost and counted.
const QUEUE: usize = 16_384;
/// Spans in one export request.
const BATCH: usize = 512;
/// How long a span may wait for others to share its request.
const LINGER: Duration = Duration::from_millis(500);
/// How long an export may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Where finished records go. Cloning is cheap.
#[derive(Debug, Clone)]
pub(crate) struct Sink {
    queue: Option<mpsc::Sender<Arc<Record>>>,
    lost: Arc<AtomicU64>,
}

impl Sink {
    /// A sink that keeps nothing, for a process without an endpoint.
    pub(crate) fn none() -> Self {
        Sink { queue: None, lost: Arc::default() }
    }

    /// A sink whose records are kept for whoever holds the other end.
    pub(crate) fn kept() -> (Self, mpsc::Receiver<Arc<Record>>) {
        let (queue, records) = mpsc::channel(QUEUE);
        (Sink { queue: Some(queue), lost: Arc::default() }, records)
    }

    /// Hands a record over, if its trace is sampled; only the first time counts.
    pub(crate) fn submit(&self, record: &Arc<Record>) {
        let Some(queue) = &self.queue else { return };
        let sampled = record.identity().is_some_and(|identity| identity.context.sampled);
        if sampled && record.take() && queue.try_send(Arc::clone(record)).is_err() {
            self.lost.fetch_add(1, Relaxed);
        }
    }

    /// Spans that were lost so far.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }
}

/// The task that exports.
#[derive(Debug)]
pub(crate) struct Exporter {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Exporter {
    /// Starts exporting the spans of process `pid` to `endpoint` in the current runtime.
    pub(crate) fn start(
        service: &str,
        pid: u32,
        endpoint: &str,
    ) -> Result<(Exporter, Sink), opentelemetry_otlp::ExporterBuildError> {
        let mut exporter = SpanExporter::builder()
            .with_tonic()
            .with_endpoint(endpoint)
            .with_timeout(TIMEOUT)
            .build()?;
        exporter.set_resource(
            &Resource::builder_empty()
                .with_attributes([
                    KeyValue::new(names::SERVICE_NAME, service.to_owned()),
                    KeyValue::new(names::PROCESS_PID, i64::from(pid)),
                    KeyValue::new(names::CLOCK, ledger::clock::identity()),
                    KeyValue::new(names::PID_NAMESPACE, ledger::process::namespace()),
                ])
                .build(),
        );
        let (queue, records) = mpsc::channel(QUEUE);
        let sink = Sink { queue: Some(queue), lost: Arc::default() };
        let stop = CancellationToken::new();
        let worker = Worker {
            exporter,
            scope: InstrumentationScope::builder("probe")
                .with_version(env!("CARGO_PKG_VERSION"))
                .build(),
            wall: WallClock::read(),
            lost: Arc::clone(&sink.lost),
            told: 0,
        };
        let task = tokio::spawn(worker.run(records, stop.clone()));
        Ok((Exporter { stop, task }, sink))
    }

    /// Exports what is queued, then stops.
    pub(crate) async fn shutdown(self) {
        self.stop.cancel();
        // A panic in the task would have been reported by the runtime; there is nothing to add.
        let _ = self.task.await;
    }
}

struct Worker {
    exporter: SpanExporter,
    scope: InstrumentationScope,
    wall: WallClock,
    lost: Arc<AtomicU64>,
    told: u64,
}

impl Worker {
    async fn run(mut self, mut records: mpsc::Receiver<Arc<Record>>, stop: CancellationToken) {
        let mut batch = Vec::with_capacity(BATCH);
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => {}
                received = records.recv_many(&mut batch, BATCH) => {
                    if received == 0 {
                        return;
                    }
                    self.linger(&mut records, &mut batch, &stop).await;
                    self.export(&mut batch).await;
                }
            }
        }
        while let Ok(record) = records.try_recv() {
            batch.push(record);
            if batch.len() == BATCH {
                self.export(&mut batch).await;
            }
        }
        self.export(&mut batch).await;
    }

    /// Waits for more records to fill the batch, for a while.
    async fn linger(
        &self,
        records: &mut mpsc::Receiver<Arc<Record>>,
        batch: &mut Vec<Arc<Record>>,
        stop: &CancellationToken,
    ) {
        let fill = async {
            while batch.len() < BATCH && records.recv_many(batch, BATCH - batch.len()).await > 0 {}
        };
        tokio::select! {
            () = stop.cancelled() => {}
            _ = tokio::time::timeout(LINGER, fill) => {}
        }
    }

    async fn export(&mut self, batch: &mut Vec<Arc<Record>>) {
        if batch.is_empty() {
            return;
        }
        let mut spans: Vec<_> = batch.drain(..).filter_map(|record| self.span(&record)).collect();
        let lost = self.lost.load(Relaxed);
        if lost != self.told
            && let Some(span) = spans.first_mut()
        {
            span.attributes.push(KeyValue::new(names::LOST, lost as i64));
            self.told = lost;
        }
        let count = spans.len() as u64;
        if let Err(error) = self.exporter.export(spans).await {
            let before = self.lost.fetch_add(count, Relaxed);
            if before == 0 {
                tracing::warn!("spans could not be exported, and are counted as lost: {error}");
            }
        }
    }

    /// A mark as wall time, for display by other tools only.
    fn at(&self, mark: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(self.wall.to_wall(mark))
    }

    fn span(&self, record: &Record) -> Option<SpanData> {
        let identity = record.identity()?;
        let half = record.half();
        let mut attributes: Vec<KeyValue> = half
            .attributes()
            .into_iter()
            .map(|attribute| key_value(attribute.key, attribute.value))
            .collect();
        attributes.extend(identity.extra.iter().map(|(key, value)| key_value(key, value.clone())));
        if let Some(stopwatch) = record.stopwatch() {
            attributes.push(KeyValue::new(names::STOPWATCH, stopwatch as i64));
        }
        if let Some(peer) = &identity.peer {
            attributes.push(KeyValue::new(names::PEER_SERVICE, Arc::clone(peer)));
        }
        Some(SpanData {
            span_context: SpanContext::new(
                identity.context.trace_id.into(),
                identity.context.span_id.into(),
                TraceFlags::SAMPLED,
                false,
                TraceState::NONE,
            ),
            parent_span_id: identity.parent.into(),
            parent_span_is_remote: record.side() == Side::Server,
            span_kind: match record.side() {
                Side::Client => SpanKind::Client,
                Side::Server => SpanKind::Server,
            },
            name: identity.name.clone().into(),
            start_time: self.at(half.interval.0),
            end_time: self.at(half.interval.1),
            attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: record.failure().map_or(Status::Unset, Status::error),
            instrumentation_scope: self.scope.clone(),
        })
    }
}

fn key_value(key: &'static str, value: Value) -> KeyValue {
    match value {
        Value::Text(text) => KeyValue::new(key, text),
        Value::Int(number) => KeyValue::new(key, number),
        Value::Float(number) => KeyValue::new(key, number),
    }
}
