//! What a run file promises.

use ledger::{Kind, Stage, StageSet, Traffic};

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::{
    Aside, Attempt, Claimed, HopRow, ProcessSample, RequestKind, RequestRow, RunFile, RunFileError,
    RunFileSink, Single, TraceId,
};
use crate::sink::{Batch, Sink as _};
use crate::stats::SinkCounts;

fn traffic(from: u64) -> Traffic {
    Traffic {
        payload: from,
        body: from + 1,
        wire: from + 2,
        frames: from + 3,
        framing: from + 4,
        headers: from + 5,
    }
}

/// A request in which every field has a value of its own.
fn request(n: u64) -> RequestRow {
    let mut stages = StageSet::default();
    for (at, &stage) in Stage::ALL.iter().enumerate() {
        let kind = [Kind::Measured, Kind::Inferred, Kind::Absent][at % 3];
        stages.add(stage, if kind == Kind::Absent { 0 } else { at as i64 * 10 - 50 }, kind);
    }
    let hop = |depth| HopRow {
        hop: format!("a→b{depth}").into(),
        depth,
        unjoined: depth == 1,
        at_ns: (depth == 1).then_some(44),
        stages: stages.clone(),
        concurrent_ns: 41,
        detached_ns: 42,
        clipped_ns: 43,
        request: (depth == 0).then(|| traffic(n)),
        reply: (depth == 0).then(|| traffic(n + 10)),
        claimed: Claimed { request: (depth == 1).then_some(n), reply: Some(n + 3) },
        by_relay: depth == 0,
        wire_disagrees: depth == 0,
        connection: 3,
        http: 20,
        attempts: 1,
        others: vec![
            Attempt { service: "a service".into(), length_ns: 7, error: true },
            Attempt { service: "b".into(), length_ns: 8, error: false },
        ],
        injected: vec![(Stage::Handler, 5), (Stage::ReplyEncode, 6)],
    };
    RequestRow {
        trace_id: TraceId(n.into()),
        root_id: u64::MAX - n,
        kind: if n % 5 == 4 { RequestKind::Message } else { RequestKind::Request },
        cell: if n.is_multiple_of(3) { "rest-10B".into() } else { "grpc-10B".into() },
        round: 1,
        run: 7 + n as u32 % 2,
        operation: "GET /x".into(),
        linked: "a/b".into(),
        start_ns: n * 1_000,
        wall_ns: n * 1_001,
        latency_ns: -4,
        stopwatch_ns: (n.is_multiple_of(2)).then_some(n),
        margin_ns: (n.is_multiple_of(3)).then_some(n as i64 - 50),
        weight: 2.5,
        out_of_order: 1,
        early: n.is_multiple_of(2),
        error: n % 2 == 1,
        whole: n % 2 == 1,
        edge_assumed: n.is_multiple_of(2),
        cut: 2,
        late: 3,
        provisional: false,
        amends: false,
        unasked: false,
        hops: (0..n as u32 % 3).map(hop).collect(),
    }
}

fn sample(n: u64) -> ProcessSample {
    ProcessSample {
        at_ns: n,
        process: "echo".into(),
        pid: 7,
        cpu_ns: n + 1,
        rss_bytes: n + 2,
        threads: n + 3,
        voluntary_switches: n + 4,
        involuntary_switches: n + 5,
        run_queue_wait_ns: n + 6,
    }
}

#[tokio::test]
async fn what_is_written_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.db");
    let requests: Vec<_> = (0..200).map(request).collect();
    let samples: Vec<_> = (0..70).map(sample).collect();
    let mut file = RunFile::create(&path).await.unwrap();
    file.write(&requests[..150], &samples).await.unwrap();
    file.write(&requests[150..], &[]).await.unwrap();
    // Reading works while the writer has the file open, and after.
    let mut reader = RunFile::open(&path).await.unwrap();
    assert_eq!(reader.read_requests().await.unwrap(), requests);
    assert_eq!(reader.read_samples().await.unwrap(), samples);
    file.close().await.unwrap();
    reader.close().await.unwrap();
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().flatten().collect();
    assert_eq!(left.len(), 1, "one file is left: {left:?}");
}

#[tokio::test]
async fn a_file_written_before_claims_and_places_were_kept_is_read_without_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.db");
    let mut file = RunFile::create(&path).await.unwrap();
    file.write(&[request(2)], &[]).await.unwrap();
    for column in ["claimed_request_bytes", "claimed_reply_bytes", "at_ns"] {
        let drop = sqlx::AssertSqlSafe(format!("ALTER TABLE hop DROP COLUMN {column}"));
        sqlx::query(drop).execute(&mut file.connection).await.unwrap();
    }
    file.close().await.unwrap();
    let mut expected = request(2);
    for hop in &mut expected.hops {
        (hop.claimed, hop.at_ns) = (Claimed::default(), None);
    }
    let mut reader = RunFile::open(&path).await.unwrap();
    assert_eq!(reader.read_requests().await.unwrap(), [expected]);
}

#[tokio::test]
async fn a_run_file_is_not_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.db");
    RunFile::create(&path).await.unwrap().close().await.unwrap();
    let again = RunFile::create(&path).await.unwrap_err();
    assert!(matches!(again, RunFileError::Exists(_)), "{again}");
}

#[tokio::test]
async fn what_is_no_run_file_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("none.db");
    let error = RunFile::open(&missing).await.unwrap_err().to_string();
    assert!(error.contains("cannot open the run file") && error.contains("none.db"), "{error}");
    let path = folder.path().join("newer.db");
    let mut newer = RunFile::create(&path).await.unwrap();
    sqlx::query("UPDATE meta SET value = '99'").execute(&mut newer.connection).await.unwrap();
    newer.close().await.unwrap();
    let error = RunFile::open(&path).await.unwrap_err().to_string();
    assert!(error.contains("its schema is \"99\", this program reads 2"), "{error}");
}

#[tokio::test]
async fn rows_that_cannot_be_written_are_counted_and_the_writer_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.db");
    let mut file = RunFile::create(&path).await.unwrap();
    sqlx::query("PRAGMA max_page_count = 20").execute(&mut file.connection).await.unwrap();
    let counts = Arc::new(SinkCounts::default());
    let (sink, writer) = RunFileSink::start(file, Arc::clone(&counts));
    sink.take(Batch::Requests((0..500).map(request).collect())).await;
    sink.take(Batch::Requests((0..3).map(request).collect())).await;
    sink.take(Batch::Samples((0..2).map(sample).collect())).await;
    sink.flush().await;
    assert_eq!(counts.rows_failed.load(Relaxed), 500);
    assert!(counts.last_error.lock().contains("full"), "{}", counts.last_error.lock());
    assert_eq!(counts.requests_written.load(Relaxed), 3);
    assert_eq!(counts.samples_written.load(Relaxed), 2);
    sink.close().await;
    writer.await.unwrap();
    sink.take(Batch::Samples((0..2).map(sample).collect())).await;
    assert_eq!(counts.rows_failed.load(Relaxed), 502);
}

#[tokio::test]
async fn a_full_disk_is_an_error_that_leaves_the_file_usable() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.db");
    let mut file = RunFile::create(&path).await.unwrap();
    sqlx::query("PRAGMA max_page_count = 20").execute(&mut file.connection).await.unwrap();
    let requests: Vec<_> = (0..500).map(request).collect();
    let error = file.write(&requests, &[]).await.unwrap_err().to_string();
    assert!(error.contains("cannot write the run file"), "{error}");
    file.write(&requests[..3], &[]).await.unwrap();
    assert_eq!(file.read_requests().await.unwrap(), requests[..3]);
}

#[tokio::test]
async fn a_cell_is_read_without_the_others_and_some_requests_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.db");
    let mut file = RunFile::create(&path).await.unwrap();
    let requests: Vec<_> = (0..2_000).map(request).collect();
    file.write(&requests, &[]).await.unwrap();
    for cell in ["rest-10B", "grpc-10B", "none of these"] {
        let mut read = Vec::new();
        file.each_request(Some(cell), |row| read.push(row)).await.unwrap();
        let expected: Vec<_> = requests.iter().filter(|row| *row.cell == *cell).cloned().collect();
        assert_eq!(read, expected, "{cell}");
    }
}

#[tokio::test]
async fn single_requests_are_found_by_the_beginning_of_their_trace_and_by_their_latency() {
    let folder = tempfile::tempdir().unwrap();
    let mut file = RunFile::create(folder.path().join("run.db")).await.unwrap();
    let slow = |n| RequestRow { latency_ns: n as i64, ..request(n) };
    let mut requests: Vec<_> = (0..600).map(slow).collect();
    // As certifications are, which no cell asks for.
    requests.push(RequestRow { cell: "".into(), ..slow(9_999) });
    file.write(&requests, &[]).await.unwrap();
    let found =
        file.read_single(&Single::Trace(request(7).trace_id.to_string()), None).await.unwrap();
    assert_eq!(found, requests[7..8]);
    let begins = format!("{:031x}", 7);
    let found = file.read_single(&Single::Trace(begins), None).await.unwrap();
    assert_eq!(found, requests[0x70..0x80]);
    let of = |most, cell: Option<&str>| Single::Slowest { most, cell: cell.map(str::to_owned) };
    let found = file.read_single(&of(2, None), None).await.unwrap();
    // 599 is work that nobody waited for.
    assert_eq!(found, [slow(598), slow(597)]);
    let found = file.read_single(&of(2, Some("rest-10B")), Some(7)).await.unwrap();
    assert_eq!(found, [slow(588), slow(582)]);
    let cells = file.count_by_cell().await.unwrap();
    assert_eq!(cells, [("", 1), ("grpc-10B", 400), ("rest-10B", 200)].map(|(c, n)| (c.into(), n)));
}

#[tokio::test]
async fn a_trace_that_is_closed_again_has_the_rows_of_its_last_closing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.db");
    let mut file = RunFile::create(&path).await.unwrap();
    let first = RequestRow { provisional: true, ..request(2) };
    file.write(&[request(1), first, request(3)], &[]).await.unwrap();
    let trace_id = request(2).trace_id;
    let aside =
        |fragments, again| Aside { trace_id, fragments, again, late: 1, ..Aside::default() };
    assert_eq!(file.write_asides(&[aside(Some(4), false)]).await.unwrap(), 0);
    assert_eq!(file.write_asides(&[aside(None, false), aside(Some(0), true)]).await.unwrap(), 1);
    let better = RequestRow { latency_ns: 99, late: 1, ..request(2) };
    file.write(std::slice::from_ref(&better), &[]).await.unwrap();
    let rows = file.read_requests().await.unwrap();
    // Three spans came late in all.
    assert_eq!(rows, [request(1), request(3), RequestRow { late: 3, ..better }]);
    let hops: i64 = sqlx::query_scalar("SELECT count(*) FROM hop")
        .fetch_one(&mut file.connection)
        .await
        .unwrap();
    assert_eq!(hops, rows.iter().map(|row| row.hops.len() as i64).sum::<i64>());
    let [told] = &file.read_asides().await.unwrap()[..] else { panic!() };
    assert_eq!((told.fragments, told.late), (Some(0), 3));
}

#[test]
fn a_row_that_is_written_as_json_is_read_back_as_it_was() {
    for n in 0..6 {
        let row = request(n);
        let line = serde_json::to_string(&row).unwrap();
        assert!(!line.contains('\n'), "{line}");
        assert_eq!(serde_json::from_str::<RequestRow>(&line).unwrap(), row, "{line}");
    }
    let sample = ProcessSample { at_ns: u64::MAX, process: "host".into(), ..Default::default() };
    let line = serde_json::to_string(&sample).unwrap();
    assert_eq!(serde_json::from_str::<ProcessSample>(&line).unwrap(), sample);
}

#[test]
fn a_stage_that_this_version_does_not_know_is_refused_and_not_left_out_of_a_sum() {
    let line = r#"{"hops":[{"hop":"a→b","stages":{"teleport":[5,"measured"]}}]}"#;
    let error = serde_json::from_str::<RequestRow>(line).unwrap_err();
    assert!(error.to_string().contains("teleport"), "{error}");
}
