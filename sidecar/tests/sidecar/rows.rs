//! Rows for a lab elsewhere: those of its own run, cell by cell, as they are in the run file.

use ledger::Edge;
use opentelemetry_proto::tonic::trace::v1 as proto;
use sidecar::Sidecar;
use sidecar::runfile::{ProcessSample, RequestRow};

use super::{client_span, export};
use crate::fixture::{Running, config};

/// The span of a generator whose request belongs to `cell` of the run with `nonce`.
fn generator(trace: u16, cell: &str, nonce: &str) -> proto::Span {
    let mut span = client_span(1, 1);
    span.trace_id[..2].copy_from_slice(&trace.to_be_bytes());
    let id = u64::from_be_bytes([1; 8]);
    let edge = Edge { span: id, cell: cell.into(), round: 2, nonce: nonce.into() };
    span.trace_state = edge.member();
    span
}

/// The lines of an answer, each read as a row.
async fn lines<R: serde::de::DeserializeOwned>(sidecar: &Running, path: &str) -> Vec<R> {
    let text = sidecar.text(path).await;
    assert!(text.is_empty() || text.ends_with('\n'), "{text}");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn a_lab_reads_the_rows_of_its_own_run_cell_by_cell() {
    let sidecar = Running::start("").await;
    let first = sidecar.open_run().await;
    // More than are held at once.
    let spans = (1..=1_200).map(|trace| generator(trace, "rest-10B", &first)).collect();
    export(&sidecar.otlp, spans).await.unwrap();
    sidecar.flush_run(&first).await;
    let second = sidecar.open_run().await;
    // Another lab calls its cell the same.
    let spans = [(2_001, "rest-10B"), (2_002, "rest-1kB"), (2_003, "rest-10B")];
    let spans = spans.map(|(trace, cell)| generator(trace, cell, &second)).to_vec();
    export(&sidecar.otlp, spans).await.unwrap();
    export(&sidecar.otlp, vec![client_span(9, 1)]).await.unwrap();
    sidecar.flush_run(&second).await;
    sidecar.flush().await;

    let of = async |query: &str| lines::<RequestRow>(&sidecar, &format!("/rows{query}")).await;
    let mut written = sidecar.open_run_file().await.read_requests().await.unwrap();
    assert_eq!(of(&format!("?run={first}&cell=rest-10B")).await, written[..1_200]);
    let read = of(&format!("?run={second}&cell=rest-10B")).await;
    assert_eq!(read.len(), 2, "{read:?}");
    assert!(read.iter().all(|row| row.run == 2 && row.round == 2 && row.hops.len() == 1));
    assert_eq!(of(&format!("?run={second}")).await.len(), 3);
    // Load by hand belongs to no run.
    assert_eq!(of("").await, [written.pop().unwrap()]);
    let alone = of(&format!("?run={second}&cell=rest-1kB&hops=false")).await;
    assert!(alone.len() == 1 && alone[0].hops.is_empty(), "{alone:?}");
    assert!(of(&format!("?run={first}&cell=rest%2010B")).await.is_empty());
    // Single ones, whatever run they are of.
    let one = &written[1_200];
    let id = one.trace_id.to_string();
    assert_eq!(of(&format!("?run=all&trace={id}")).await, std::slice::from_ref(one));
    assert_eq!(
        of(&format!("?run=all&trace={}", &id[..4].to_uppercase())).await,
        written[1_200..1_201]
    );
    assert!(of(&format!("?run={first}&trace={id}")).await.is_empty());
    let slowest = of(&format!("?run={second}&slowest=2&cell=rest-10B")).await;
    assert_eq!(slowest.len(), 2, "{slowest:?}");
    assert_eq!(of("?run=all&slowest=1000").await.len(), 1_000);
    assert_eq!(sidecar.stats().await.runs_opened, 2);
    sidecar.stop().await;
}

#[tokio::test]
async fn samples_of_processes_come_from_the_time_that_is_asked_for() {
    let sidecar = Running::start("--sample-every 20ms").await;
    let all = loop {
        let all = lines::<ProcessSample>(&sidecar, "/samples").await;
        if all.len() > 4 {
            break all;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    assert!(all.iter().any(|sample| sample.process == "sidecar" && sample.cpu_ns > 0));
    let from = all[all.len() - 1].at_ns;
    let later = lines::<ProcessSample>(&sidecar, &format!("/samples?from={from}")).await;
    assert!(!later.is_empty() && later.iter().all(|sample| sample.at_ns >= from));
    sidecar.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_question_about_rows_is_said() {
    let sidecar = Running::start("").await;
    for (path, status) in [
        ("/rows?run=guess", 404),
        ("/rows?round=1", 400),
        ("/rows?trace=4bf9xyz", 400),
        ("/rows?trace=", 400),
        ("/rows?slowest=0", 400),
        ("/rows?slowest=1001", 400),
        ("/rows?slowest=1&trace=4b", 400),
        ("/samples?from=-1", 400),
    ] {
        let (answered, said) = sidecar.status(path).await;
        assert_eq!(answered, status, "{path}: {said}");
        assert!(said["error"].is_string(), "{path}: {said}");
    }
    sidecar.stop().await;
    // Without a run file there is nothing to read.
    let bound = Sidecar::bind(config(""), Vec::new()).await.unwrap();
    let control = bound.control();
    let serving = tokio::spawn(bound.serve(std::future::pending()));
    let reply = reqwest::get(format!("http://{control}/rows")).await.unwrap();
    assert_eq!(reply.status().as_u16(), 409);
    assert!(reply.text().await.unwrap().contains("--run-file"));
    serving.abort();
}
