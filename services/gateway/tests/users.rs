//! The gateway's users routes: in front of a real PostgreSQL, and of services that are not as they
//! should be.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::net::SocketAddr;
use std::sync::Arc;

use gateway::GatewayConfig;
use ledger::{Point, Stage, clock, close};
use pg_client::{PgClientConfig, SeedConfig};
use probe::capture::{Captured, join};
use probe::{Call, Client, ClientOptions, Probe, Root, Service as _, Stopwatch};
use serde_json::{Value, json};
use test_parts::Postgres;
use tokio::net::TcpListener;

const PROTOCOLS: [&str; 2] = ["rest", "grpc"];

/// A gateway in front of the users service at `users`, if there is to be one.
async fn start_gateway(users: Option<SocketAddr>, probe: Probe) -> SocketAddr {
    start_gateway_with(users, probe, 30).await
}

/// The same, waiting no longer than `timeout` seconds for the users service.
async fn start_gateway_with(users: Option<SocketAddr>, probe: Probe, timeout: u64) -> SocketAddr {
    let known = users.map(|users| format!("pg-client=http://{users}").parse().unwrap());
    let peers = known.into_iter().collect();
    let config = GatewayConfig {
        peers,
        timeout: settings::Span::seconds(timeout),
        ..GatewayConfig::defaults().unwrap()
    };
    probe::capture::start(config, probe).await
}

/// A users service that asks the database at `url`.
async fn start_users(url: &str, probe: Probe) -> SocketAddr {
    let database_url = url.parse().unwrap();
    let config =
        PgClientConfig { database_url, pool_size: 2, ..PgClientConfig::defaults().unwrap() };
    probe::capture::start(config, probe).await
}

async fn seed(url: &str) {
    let config = SeedConfig { database_url: url.parse().unwrap(), users: 1_000, email_index: true };
    pg_client::seed(&config, &mut |_| {}).await.unwrap();
}

async fn get(gateway: SocketAddr, path: &str) -> (u16, Value) {
    let reply = reqwest::get(format!("http://{gateway}{path}")).await.unwrap();
    let status = reply.status().as_u16();
    (status, serde_json::from_slice(&reply.bytes().await.unwrap()).unwrap())
}

/// Asks by both protocols and requires an error that names all of `words`.
async fn refused(gateway: SocketAddr, query: &str, status: u16, words: &[&str]) {
    for protocol in PROTOCOLS {
        let (got, reply) = get(gateway, &format!("/{protocol}/users/count{query}")).await;
        assert_eq!(got, status, "{protocol}{query}: {reply}");
        let error = reply["error"].as_str().unwrap();
        for word in words {
            assert!(error.contains(word), "{protocol}: {error:?} should name {word:?}");
        }
    }
}

async fn users_are_counted_and_a_database_that_is_down_is_503() {
    let mut postgres = Postgres::start();
    seed(&postgres.url()).await;
    let users = start_users(&postgres.url(), Probe::off()).await;
    let gateway = start_gateway(Some(users), Probe::off()).await;
    for protocol in PROTOCOLS {
        for (email, count) in [("common7@example.com", 8), ("user10@example.com", 1), ("é+&", 0)] {
            let path = format!("/{protocol}/users/count?{}", lab_proto::query_of_email(email));
            let expected = json!({"protocol": protocol, "email": email, "count": count});
            assert_eq!(get(gateway, &path).await, (200, expected));
        }
    }
    postgres.kill();
    refused(gateway, "?email=a", 503, &["pg-client", "database", "is down"]).await;
    postgres.start_again();
    for protocol in PROTOCOLS {
        let (status, reply) = get(gateway, &format!("/{protocol}/users/count?email=a")).await;
        assert_eq!((status, &reply["count"]), (200, &json!(0)), "{protocol}: {reply}");
    }
}

async fn a_question_without_one_email_is_400() {
    let gateway = start_gateway(None, Probe::off()).await;
    refused(gateway, "", 400, &["email", "missing", "320"]).await;
    refused(gateway, "?e=a@example.com", 400, &["email", "missing"]).await;
    refused(gateway, "?email=", 400, &["email", "empty", "320"]).await;
    refused(gateway, "?email=a&email=b", 400, &["email", "more than once", "\"b\""]).await;
    let long = format!("?email={}", "x".repeat(30_000));
    refused(gateway, &long, 400, &["email", "30000", "320"]).await;
}

async fn a_users_service_that_is_not_there_is_told_from_one_that_is_not_set() {
    let gateway = start_gateway(None, Probe::off()).await;
    refused(gateway, "?email=a", 503, &["--peer", "pg-client=", "GATEWAY_PEERS"]).await;
    let nobody = "127.0.0.1:1".parse().unwrap();
    let gateway = start_gateway(Some(nobody), Probe::off()).await;
    refused(gateway, "?email=a", 502, &["pg-client"]).await;
}

async fn a_users_service_that_does_not_answer_is_504() {
    // Connections are accepted by the kernel, and nobody reads.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let gateway = start_gateway_with(Some(address), Probe::off(), 1).await;
    refused(gateway, "?email=a", 504, &["pg-client", "1s"]).await;
}

async fn a_missing_route_names_the_users_routes() {
    let gateway = start_gateway(None, Probe::off()).await;
    let (status, reply) = get(gateway, "/rest/users").await;
    assert_eq!(status, 404);
    let error = reply["error"].as_str().unwrap();
    assert!(error.contains("/rest/users/count") && error.contains("/grpc/users/count"), "{error}");
}

async fn three_hops_close_to_the_stopwatch_and_the_query_is_in_one_of_them() {
    let postgres = Postgres::start();
    seed(&postgres.url()).await;
    let (users_probe, mut users_spans) = Captured::probe(Vec::new()).unwrap();
    let (gateway_probe, mut gateway_spans) = Captured::probe(Vec::new()).unwrap();
    let (driver, mut driver_spans) = Captured::probe(Vec::new()).unwrap();
    let users = start_users(&postgres.url(), users_probe).await;
    let gateway = start_gateway(Some(users), gateway_probe).await;
    let target = format!("http://{gateway}").parse().unwrap();
    let client = Client::new(&driver, "gateway", target, ClientOptions::default());
    for protocol in PROTOCOLS {
        let stopwatch = Stopwatch::new();
        let started = clock::now();
        let root =
            Root { sampled: true, stopwatch: Some(Arc::clone(&stopwatch)), ..Root::default() };
        let call = Call { planned: Some(started), root: Some(root), ..Call::default() };
        let path = format!("/{protocol}/users/count");
        let query = "email=common7%40example.com";
        let reply: lab_proto::UsersCountReply = client.get_json(&path, query, call).await.unwrap();
        stopwatch.stop(clock::now() - started);
        assert_eq!((reply.count, reply.email.as_str()), (8, "common7@example.com"));

        let mut spans = vec![driver_spans.span().await.unwrap()];
        for _ in 0..2 {
            spans.push(gateway_spans.span().await.unwrap());
            spans.push(users_spans.span().await.unwrap());
        }
        assert_eq!(spans[0].name, format!("GET {path}"));
        let books = close(&join(&spans).expect("a tree of hops"));
        assert_eq!(books.hops.iter().map(|hop| hop.depth).collect::<Vec<_>>(), [0, 1, 2]);
        assert!(books.hops.iter().all(|hop| !hop.unjoined && hop.out_of_order == 0), "{books:?}");
        let query: Vec<_> =
            books.hops.iter().map(|hop| hop.stages.get(Stage::QueryRoundTrip).ns > 0).collect();
        assert_eq!(query, [false, false, true], "{protocol}");
        let half = &spans[0].half;
        let mark = |point| half.marks.get(point).unwrap() as i64;
        assert_eq!(books.total(), mark(Point::CallEnd) - mark(Point::Planned), "{protocol}");
        assert!(books.residual(spans[0].stopwatch.unwrap()) >= 0, "{protocol}");
    }
}

test_parts::main! {
    needs [Postgres] {
        users_are_counted_and_a_database_that_is_down_is_503,
        three_hops_close_to_the_stopwatch_and_the_query_is_in_one_of_them,
    }
    needs [] {
        a_question_without_one_email_is_400,
        a_users_service_that_is_not_there_is_told_from_one_that_is_not_set,
        a_users_service_that_does_not_answer_is_504,
        a_missing_route_names_the_users_routes,
    }
}
