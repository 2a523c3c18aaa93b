//! k6 started by hand, not by the lab: what it pushes of its own log is the edge of its requests in the ledger.

use std::path::Path;
use std::process::Output;

use ledger::{Kind, Stage};
use sidecar::runfile::RunFile;

use crate::program::Program;
use crate::testbed::Lab;
use lab_model::Knobs;

/// What k6 ends with where a threshold is not kept.
const THRESHOLDS: i32 = 99;

/// Runs `ping.js` of the repository as somebody does it from a shell, with its log pushed to the sidecar at `otlp`.
async fn ping(program: &Program, home: &Path, otlp: &str, gateway: &str) -> Output {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../k6/ping.js");
    let loki =
        format!("loki=http://{otlp}/loki/api/v1/push,limit=2000,pushPeriod=500ms,level=info");
    tokio::process::Command::new(&program.path)
        .args(["run", "--quiet", "--no-color", "--no-usage-report", script])
        .env("HOME", home)
        .env("K6_LOG_OUTPUT", loki)
        .env("GATEWAY", format!("http://{gateway}"))
        .envs([("RATE", "50"), ("DURATION", "2s"), ("WARMUP", "500ms"), ("SAMPLE_EVERY", "1")])
        .output()
        .await
        .expect("k6 starts")
}

/// The number behind `words` in what k6 printed.
fn number(said: &str, words: &str) -> u64 {
    let rest = said.split_once(words).unwrap_or_else(|| panic!("no {words:?} in {said}")).1;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|_| panic!("no number behind {words:?} in {said}"))
}

pub(crate) async fn by_hand_every_sampled_request_has_its_edge_in_the_ledger(program: Program) {
    let lab = Lab::start(&program, &Knobs::default()).await;
    let gateway = lab.gateway().to_string();
    let run = ping(&program, lab.dir.path(), &lab.otlp().to_string(), &gateway).await;
    let said = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(run.status.success(), "{said}{}", String::from_utf8_lossy(&run.stderr));
    let measured = number(&said, "(blocked + duration) of ");
    let asked = number(&said, "measured; ");
    assert!(measured >= 96 && asked > measured, "{said}");
    assert!(
        said.contains(&format!("; {asked} of {asked} requests answered as asked for")),
        "{said}"
    );
    let counters = lab.flush_by_hand().await;
    let dir = lab.stop().await;

    assert_eq!((counters["k6_log.lines"], counters["k6_log.dropped_by_k6"]), (measured, 0));
    let refused = counters.keys().find(|name| name.contains("_refused") && name.contains("k6_log"));
    assert_eq!(refused, None, "{counters:?}");
    let mut file = RunFile::open(&dir.path().join("run.sqlite")).await.expect("a run file");
    let rows = file.read_requests().await.expect("rows");
    assert_eq!(rows.len() as u64, measured, "each request that was measured, and each once");
    for row in &rows {
        let hops: Vec<_> = row.hops.iter().map(|hop| &*hop.hop).collect();
        assert_eq!(hops, ["k6→gateway", "gateway→echo"]);
        assert!(row.whole && !row.edge_assumed && row.hops.iter().all(|hop| !hop.unjoined));
        // It belongs to no cell, and to no run but that of whoever has the sidecar up.
        assert_eq!((&*row.cell, row.stopwatch_ns), ("", None));
        let edge = &row.hops[0].stages;
        assert_eq!(edge.get(Stage::SendQueue).kind, Kind::Measured);
        assert_eq!(edge.total_of(Kind::Inferred), edge.get(Stage::BetweenSpans).ns);
        assert!(edge.get(Stage::BetweenSpans).ns > 0, "{edge:?}");
        assert_eq!(row.hops[1].stages.total_of(Kind::Inferred), 0);
    }
}

pub(crate) async fn by_hand_a_dead_gateway_is_no_latency_and_no_success(program: Program) {
    let lab = Lab::start(&program, &Knobs::default()).await;
    let run = ping(&program, lab.dir.path(), &lab.otlp().to_string(), "127.0.0.1:1").await;
    let said = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(said.contains("no latency: none of ") && number(&said, "none of ") > 100, "{said}");
    assert_eq!(run.status.code(), Some(THRESHOLDS), "{said}");
    let counters = lab.flush_by_hand().await;
    // Its requests were told; that a threshold was missed k6 says in its log, which is here too.
    assert!((96..=number(&said, "none of ")).contains(&counters["k6_log.lines"]), "{counters:?}");
    assert!(counters["k6_log.others.error"] > 0, "{counters:?}");
    lab.stop().await;
}
