//! Programs by stock OpenTelemetry SDKs, with default settings but for the endpoint: what they send is taken,
//! every span of it, and a table says what each shows.
//!
//! `.ci/sdk` installs them by their package managers. One that is not here is ignored, by name. Each language
//! runs in one way of exporting; `LAB_SDK=all` runs it in every one.

#![expect(clippy::unwrap_used, reason = "in tests a panic is the report")]

mod collector;
mod shop;

use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use clap::Parser as _;
use collector::{Collector, Sent};
use ledger::names;
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use shop::{Language, Shop};
use sidecar::runfile::{Claimed, RequestRow, RunFile};
use sidecar::stats::Stats;
use sidecar::{Sidecar, SidecarConfig};

/// Visits of the shop in one run: half of them with a `tracestate`, as load generators of the lab send it.
const VISITS: u64 = 10;

/// How spans are exported.
#[derive(Debug, Clone, Copy)]
struct Way {
    name: &'static str,
    protocol: &'static str,
    compression: Option<&'static str>,
    /// What the sidecar counts such exports as.
    counted: &'static str,
}

const WAYS: [Way; 4] = [
    Way { name: "grpc", protocol: "grpc", compression: None, counted: "grpc" },
    Way { name: "grpc_gzip", protocol: "grpc", compression: Some("gzip"), counted: "grpc" },
    Way { name: "http", protocol: "http/protobuf", compression: None, counted: "protobuf" },
    Way {
        name: "http_gzip",
        protocol: "http/protobuf",
        compression: Some("gzip"),
        counted: "protobuf",
    },
];

#[derive(clap::Parser)]
struct Flags {
    #[command(flatten)]
    config: SidecarConfig,
}

/// What came of one run.
struct Seen {
    stats: Stats,
    sent: Vec<Sent>,
    requests: Vec<RequestRow>,
    gzipped: bool,
}

/// A shop in `language` that exports in `way` is visited, and stopped.
async fn visit(language: Language, way: Way) -> Seen {
    let folder = tempfile::tempdir().unwrap();
    let run_file = folder.path().join("run.db");
    let collector = Collector::start().await;
    let flags = format!(
        "sidecar --otlp 127.0.0.1:0 --control 127.0.0.1:0 --sample-every 50ms --forward {} --run-file {}",
        collector.url,
        run_file.display()
    );
    let config = Flags::parse_from(flags.split_whitespace()).config;
    let sidecar = Sidecar::bind(config, Vec::new()).await.unwrap();
    let (otlp, control) = (format!("http://{}", sidecar.otlp()), sidecar.control());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(sidecar.serve(async { _ = stopped.await }));
    let client = reqwest::Client::new();

    let mut environment = vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.as_str()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", way.protocol),
    ];
    environment.extend(way.compression.map(|it| ("OTEL_EXPORTER_OTLP_COMPRESSION", it)));
    let shop = Shop::open(language, &environment).await;
    for visit in 0..VISITS {
        let mut request = client.get(format!("{}/checkout", shop.url));
        if visit % 2 == 0 {
            let parent = format!("00-{:032x}-{:016x}-01", visit + 1, visit + 1);
            let state = format!("hoplab={:016x}:cell:0:nonce", visit + 1);
            request = request.header("traceparent", parent).header("tracestate", state);
        }
        request.send().await.unwrap().error_for_status().unwrap();
    }
    shop.close().await;

    let flush = client.post(format!("http://{control}/flush")).send().await.unwrap();
    flush.error_for_status().unwrap();
    let stats = loop {
        let stats = client.get(format!("http://{control}/stats")).send().await.unwrap();
        let stats: Stats = stats.json().await.unwrap();
        if stats.forward.as_ref().unwrap().waiting == 0 {
            break stats;
        }
        tokio::task::yield_now().await;
    };
    let _ = stop.send(());
    serving.await.unwrap();
    let requests = RunFile::open(&run_file).await.unwrap().read_requests().await.unwrap();
    let (sent, gzipped) = collector.sent();
    Seen { stats, sent, requests, gzipped }
}

fn check(language: Language, way: Way, Seen { stats, sent, gzipped, .. }: &Seen) {
    // A visit is a request that makes one by HTTP and one by gRPC. INTERNAL spans are as the SDK has them.
    let of_kind = |kind: &str| stats.spans_by_kind[kind];
    assert_eq!((of_kind("server"), of_kind("client")), (3 * VISITS, 2 * VISITS), "{stats:#?}");
    assert_eq!(stats.exports_refused.values().sum::<u64>(), 0, "{stats:#?}");
    assert_eq!(stats.spans_rejected.values().sum::<u64>(), 0, "{stats:#?}");
    assert_eq!(stats.exports.keys().collect::<Vec<_>>(), [way.counted], "{stats:#?}");
    // What was passed on is what came, span by span.
    let forward = stats.forward.as_ref().unwrap();
    assert_eq!((forward.forwarded, forward.failed + forward.dropped), (forward.taken, 0));
    assert_eq!(sent.len() as u64, stats.spans_received, "{stats:#?}");
    assert_eq!(*gzipped, way.compression.is_some(), "{language:?} {way:?}");
    let value = serde_json::to_value(stats).unwrap();
    let places =
        ["spans_joined", "links", "unplaced", "duplicates", "late", "over_limit", "dropped_spans"];
    // Places that the ledger may add.
    let more = ["fragments", "unequal", "producers", "consumers"];
    let placed: u64 = places.iter().chain(&more).filter_map(|name| value.get(name)?.as_u64()).sum();
    assert_eq!(placed, stats.spans_received, "{stats:#?}");
}

/// Every hop has the names of both its sides, but for the caller of the first, who sends no spans.
fn check_hops(seen: &Seen) {
    assert_eq!(seen.requests.len() as u64, VISITS, "{:#?}", seen.requests);
    for row in &seen.requests {
        let hops: Vec<_> = row.hops.iter().map(|hop| &*hop.hop).collect();
        assert!(hops.iter().all(|hop| hop.contains('→')), "{hops:?}");
        assert!(hops.iter().skip(1).all(|hop| !hop.contains('?')), "{hops:?}");
        let calls = hops.iter().filter(|hop| hop.starts_with("front→stock")).count();
        assert_eq!(calls, 2, "{hops:?}");
    }
}

/// One line of the table.
fn line(language: Language, way: Way, seen: &Seen) -> String {
    let first = |key: &str| seen.sent.iter().find_map(|span| span.resource.get(key).cloned());
    let sdk = first("telemetry.sdk.version").unwrap_or_default();
    let states = seen.sent.iter().filter(|span| span.trace_state.contains("hoplab=")).count();
    let calls: Vec<_> = seen.sent.iter().filter(|span| span.is_client).collect();
    let mut peers = vec![
        names::PEER_SERVICE,
        names::SERVER_ADDRESS,
        "net.peer.name",
        "url.full",
        "http.url",
        "network.peer.address",
        "rpc.service",
    ];
    peers.retain(|key| calls.iter().any(|span| span.attributes.contains_key(*key)));
    let claims: Vec<_> =
        seen.requests.iter().flat_map(|row| &row.hops).map(|hop| hop.claimed).collect();
    let of = |claimed: fn(&Claimed) -> Option<u64>| claims.iter().filter_map(claimed).count();
    let sizes = match (of(|it| it.request), of(|it| it.reply)) {
        (0, 0) => "none".to_owned(),
        (requests, replies) => {
            format!("{requests} requests, {replies} replies of {} hops", claims.len())
        }
    };
    let pid = match (first(names::PROCESS_PID), seen.stats.processes_not_sampled.get("front")) {
        (None, _) => "none".to_owned(),
        (Some(_), None) => "sampled".to_owned(),
        (Some(_), Some(why)) => format!("not sampled: {why}"),
    };
    let others: Vec<_> = seen.stats.signals_dropped.keys().map(String::as_str).collect();
    format!(
        "| {language:?} {sdk} | {} | {:.1} | {} | {} | {} | {pid} | {sizes} | {} |",
        way.name,
        seen.sent.len() as f64 / VISITS as f64,
        if states > 0 { "yes" } else { "no" },
        seen.stats.spans_received,
        peers.join(", "),
        others.join(", "),
    )
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let table: Arc<Mutex<Vec<String>>> = Arc::default();
    let all = std::env::var("LAB_SDK").is_ok_and(|value| value == "all");
    let mut trials = Vec::new();
    let languages =
        [(Language::Python, 0), (Language::Go, 1), (Language::Node, 2), (Language::Java, 3)];
    for (language, usual) in languages {
        let missing = language.missing();
        for (at, way) in WAYS.into_iter().enumerate() {
            let table = Arc::clone(&table);
            let ignored = match &missing {
                Some(missing) => {
                    Some(format!("{language:?}: {missing}; .ci/sdk install installs it"))
                }
                None if at != usual && !all => {
                    Some("one way a language; LAB_SDK=all runs every one".to_owned())
                }
                None => None,
            };
            let run = move || {
                if let Some(reason) = ignored {
                    return Ok(Completion::ignored_with(reason));
                }
                let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
                let seen = runtime.block_on(visit(language, way));
                check(language, way, &seen);
                check_hops(&seen);
                table.lock().unwrap().push(line(language, way, &seen));
                Ok::<_, Failed>(Completion::Completed)
            };
            let name = format!("{}_{}", format!("{language:?}").to_lowercase(), way.name);
            trials.push(Trial::ignorable_test(name, run));
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    let mut table = std::mem::take(&mut *table.lock().unwrap());
    table.sort();
    if !table.is_empty() {
        println!(
            "| SDK | way | spans a visit | trace_state | taken | names of peers | pid | sizes claimed | also sends |"
        );
        println!("|---|---|---|---|---|---|---|---|---|\n{}", table.join("\n"));
    }
    conclusion.exit_code()
}
