//! Whose requests belong to a cell: those of the run that is open, by its nonce, and nobody else's.

use ledger::{Edge, names};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1 as proto;
use sidecar::runfile::{RequestRow, RunFile};
use sidecar::stats::Stats;

use super::{client_span, export};
use crate::fixture::Running;

/// The span of a generator whose request belongs to cell `rest-10B`, if it says so, and to the run with `nonce`, if it
/// has one.
fn generator(trace: u8, says: bool, nonce: Option<&str>) -> proto::Span {
    let text = |key: &str, value: &str| {
        let value = Some(AnyValue { value: Some(Value::StringValue(value.to_owned())) });
        KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
    };
    let mut span = client_span(trace, 1);
    if says {
        span.attributes = vec![
            text(names::CELL, "rest-10B"),
            text(names::ROUND, "3"),
            text(names::WEIGHT, "50"),
            text(names::STOPWATCH, "1"),
        ];
    }
    if let Some(nonce) = nonce {
        let id = u64::from_be_bytes([1; 8]);
        let edge = Edge { span: id, cell: "rest-10B".into(), round: 3, nonce: nonce.into() };
        span.trace_state = edge.member();
    }
    span
}

/// Every row that there is when the sidecar has stopped.
async fn rows(sidecar: Running) -> Vec<RequestRow> {
    let path = sidecar.run_file.clone();
    let _folder = sidecar.stop().await;
    let mut rows = RunFile::open(path).await.unwrap().read_requests().await.unwrap();
    rows.sort_by_key(|row| row.trace_id);
    rows
}

fn cells(rows: &[RequestRow]) -> Vec<(&str, u32, f64, Option<u64>)> {
    let cell = |row: &RequestRow| (row.round, row.weight, row.stopwatch_ns);
    rows.iter().map(|row| (&*row.cell, cell(row).0, cell(row).1, cell(row).2)).collect()
}

const NO_CELL: (&str, u32, f64, Option<u64>) = ("", 0, 1.0, None);

#[tokio::test]
async fn a_foreign_span_that_claims_a_cell_without_the_nonce_is_in_no_cell() {
    let sidecar = Running::start("").await;
    // Before any run is open, as with load by hand.
    export(&sidecar.otlp, vec![generator(1, true, None)]).await.unwrap();
    let nonce = sidecar.open_run().await;
    let spans = vec![
        generator(2, true, None),
        generator(3, true, Some("guess")),
        generator(4, true, Some("")),
        generator(5, true, Some(&nonce)),
        generator(6, false, Some(&nonce)),
        generator(7, false, None),
    ];
    export(&sidecar.otlp, spans).await.unwrap();
    sidecar.flush().await;
    let stats = sidecar.flush_run(&nonce).await;
    assert_eq!((stats.cells_ignored, stats.requests_written), (4, 7), "{stats:#?}");
    let rows = rows(sidecar).await;
    let [one, two, three, four, five, six, seven] = cells(&rows)[..] else { panic!("{rows:?}") };
    assert_eq!([one, two, three, four, seven], [NO_CELL; 5]);
    assert_eq!(five, ("rest-10B", 3, 50.0, Some(1)));
    assert_eq!(six, ("rest-10B", 3, 1.0, None));
}

#[tokio::test]
async fn the_server_of_a_generator_that_sends_no_spans_belongs_to_its_cell_by_the_nonce_alone() {
    let sidecar = Running::start("").await;
    let nonce = sidecar.open_run().await;
    let server = |trace: u8, nonce: &str| proto::Span {
        span_id: vec![2; 8],
        parent_span_id: vec![1; 8],
        kind: proto::span::SpanKind::Server as i32,
        ..generator(trace, false, Some(nonce))
    };
    export(&sidecar.otlp, vec![server(1, &nonce), server(2, "guess")]).await.unwrap();
    let rows = rows(sidecar).await;
    assert_eq!(cells(&rows), [("rest-10B", 3, 1.0, None), NO_CELL]);
    // Where a request begins is true whoever says it.
    assert!(rows.iter().all(|row| row.root_id == u64::from_be_bytes([1; 8]) && !row.edge_assumed));
}

#[tokio::test]
async fn two_labs_on_one_sidecar_do_not_mix() {
    let sidecar = Running::start("").await;
    let first = sidecar.open_run().await;
    export(&sidecar.otlp, vec![generator(1, true, Some(&first))]).await.unwrap();
    let second = sidecar.open_run().await;
    // Both call their cell the same.
    let spans = vec![generator(2, true, Some(&first)), generator(3, true, Some(&second))];
    export(&sidecar.otlp, spans).await.unwrap();
    let rows = rows(sidecar).await;
    let of_cell = ("rest-10B", 3, 50.0, Some(1));
    assert_eq!(cells(&rows), [of_cell, NO_CELL, of_cell]);
}

#[tokio::test]
async fn a_flush_closes_one_run() {
    let sidecar = Running::start("").await;
    let first = sidecar.open_run().await;
    let second = sidecar.open_run().await;
    let spans = [Some(&*first), Some(&*second), None].into_iter().zip(1..);
    let spans = spans.map(|(nonce, trace)| generator(trace, false, nonce)).collect();
    export(&sidecar.otlp, spans).await.unwrap();
    let written = |stats: Stats| (stats.requests_written, stats.traces_open);
    // The latest run has taken the place of the first, which may close its books all the same.
    assert_eq!(written(sidecar.flush_run(&first).await), (1, 2));
    assert_eq!(written(sidecar.flush_run(&first).await), (1, 2));
    assert_eq!(written(sidecar.flush().await), (2, 1));
    let guess = serde_json::json!({ "nonce": "guess" });
    assert_eq!(sidecar.post("/flush", &guess).await.0, 404);
    assert_eq!(sidecar.post("/flush", &serde_json::json!({ "run": 1 })).await.0, 400);
    assert_eq!(written(sidecar.flush_run(&second).await), (3, 0));
    sidecar.stop().await;
}
