//! The users service's contracts against a real PostgreSQL: what it counts, what it refuses, and what
//! it says while there is no database.

use crate::service::{channel, count, get, seed, start};
use pg_client::{SeedConfig, SeedError, SeedStep};
use probe::Probe;
use serde_json::json;
use sqlx::{Connection, Executor, PgConnection};
use test_parts::Postgres;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

pub(crate) async fn users_are_counted_by_either_protocol_and_by_the_server() {
    let postgres = Postgres::start();
    seed(&postgres.url(), 1_000, true).await;
    let users = start(&postgres.url(), 2, Probe::off()).await;
    let grpc = channel(users).await;
    for (email, expected) in [
        ("common0@example.com", 8),
        ("common99@example.com", 8),
        ("user5@example.com", 1),
        ("user1000@example.com", 1),
        ("user4@example.com", 0),
        ("user1005@example.com", 0),
        ("' OR true --", 0),
        ("100 %+\u{1F980}", 0),
    ] {
        let path = format!("/users/count?{}", lab_proto::query_of_email(email));
        assert_eq!(get(users, &path).await, (200, json!({"count": expected})), "{email}");
        assert_eq!(count(&grpc, email).await.unwrap(), expected, "{email}");
    }
    let (status, statements) = get(users, "/statements").await;
    assert_eq!((status, &statements["calls"], &statements["rows"]), (200, &json!(16), &json!(16)));
    assert!(statements["exec_us"].as_u64().unwrap() > 0, "{statements}");
}

pub(crate) async fn a_question_without_one_email_is_refused_whether_there_is_a_database_or_not() {
    let users = start("postgres://lab@127.0.0.1:1/none", 1, Probe::off()).await;
    let long = format!("?email={}", "x".repeat(321));
    for (query, words) in [
        ("", "missing"),
        ("?mail=a", "missing"),
        ("?email=", "empty"),
        ("?email=a&email=b", "more than once"),
        ("?email=%00", "control character"),
        (&long, "limit of 320"),
    ] {
        let (status, reply) = get(users, &format!("/users/count{query}")).await;
        let error = reply["error"].as_str().unwrap();
        assert_eq!(status, 400, "{query}");
        assert!(error.starts_with("email: ") && error.contains(words), "{error}");
    }
    let grpc = channel(users).await;
    for email in ["", "\0", &"x".repeat(321)] {
        assert_eq!(count(&grpc, email).await.unwrap_err().code(), Code::InvalidArgument);
    }
}

pub(crate) async fn without_a_database_the_service_is_healthy_and_says_what_is_missing() {
    let users = start("postgres://lab:secret@127.0.0.1:1/none", 1, Probe::off()).await;
    let version = env!("CARGO_PKG_VERSION");
    let healthy = json!({"status": "ok", "service": "pg-client", "version": version});
    assert_eq!(get(users, "/healthz").await, (200, healthy));
    let grpc = channel(users).await;
    let request = HealthCheckRequest { service: "lab.v1.Users".to_owned() };
    let health = HealthClient::new(grpc.clone()).check(request).await.unwrap();
    assert_eq!(health.into_inner().status, 1);
    for path in ["/users/count?email=a", "/statements"] {
        let (status, reply) = get(users, path).await;
        let error = reply["error"].as_str().unwrap();
        assert_eq!(status, 503, "{path}");
        assert!(error.contains("127.0.0.1:1 is down") && !error.contains("secret"), "{error}");
    }
    let status = count(&grpc, "a").await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
}

pub(crate) async fn an_empty_database_is_told_from_none() {
    let postgres = Postgres::start();
    let users = start(&postgres.url(), 1, Probe::off()).await;
    let (status, reply) = get(users, "/users/count?email=a").await;
    assert!(
        status == 503 && reply["error"].as_str().unwrap().contains("pg-client seed"),
        "{reply}"
    );
    let (status, reply) = get(users, "/statements").await;
    assert!(status == 503 && reply["error"].as_str().unwrap().contains("EXTENSION"), "{reply}");
}

pub(crate) async fn a_database_that_is_killed_is_missed_and_found_again() {
    let mut postgres = Postgres::start();
    seed(&postgres.url(), 500, true).await;
    let users = start(&postgres.url(), 4, Probe::off()).await;
    let path = "/users/count?email=common0@example.com";
    // Several connections, of which most are idle when the server dies.
    let together = || futures_util::future::join_all((0..4).map(|_| get(users, path)));
    assert!(together().await.iter().all(|(status, _)| *status == 200));
    postgres.kill();
    for _ in 0..3 {
        for (status, reply) in together().await {
            assert_eq!(status, 503, "{reply}");
            assert!(reply["error"].as_str().unwrap().contains("is down"), "{reply}");
        }
    }
    postgres.start_again();
    // Not even one request is lost to a connection that died while it was idle.
    for (status, reply) in together().await {
        assert_eq!((status, reply), (200, json!({"count": 4})));
    }
}

pub(crate) async fn seeding_makes_the_table_as_asked_and_nothing_twice() {
    let postgres = Postgres::start();
    let url = postgres.url();
    let first = seed(&url, 1_234, false).await;
    let steps = [
        SeedStep::Copied(1_234, 1_234),
        SeedStep::Keyed,
        SeedStep::Index(false),
        SeedStep::Analyzed,
    ];
    assert_eq!(first, steps);
    let again = seed(&url, 1_234, true).await;
    assert_eq!(again, [SeedStep::AlreadyThere, SeedStep::Index(true), SeedStep::Analyzed]);

    let connection = &mut PgConnection::connect(&url).await.unwrap();
    let spread = "SELECT count(*), count(DISTINCT email) FILTER (WHERE email LIKE 'common%'), \
                  count(*) FILTER (WHERE email = 'user' || id || '@example.com'), \
                  min(created_at)::text, (SELECT count(*) FROM pg_indexes WHERE tablename = 'users') \
                  FROM users";
    let found: (i64, i64, i64, String, i64) =
        sqlx::query_as(spread).fetch_one(&mut *connection).await.unwrap();
    let (users, common, unique, created, indexes) = found;
    assert_eq!((users, common, unique, indexes), (1_234, 100, 246, 2));
    assert!(created.starts_with("2024-01-01"), "{created}");

    // One row that is not as it should be, and the whole table is made again.
    connection.execute("UPDATE users SET email = 'x' WHERE id = 7").await.unwrap();
    assert_eq!(seed(&url, 1_234, true).await[0], SeedStep::Copied(1_234, 1_234));
    assert_eq!(seed(&url, 100, false).await[0], SeedStep::Copied(100, 100));
}

pub(crate) async fn somebody_elses_table_is_left_alone() {
    let postgres = Postgres::start();
    let connection = &mut PgConnection::connect(&postgres.url()).await.unwrap();
    connection.execute("CREATE TABLE users (name text)").await.unwrap();
    connection.execute("INSERT INTO users VALUES ('dear')").await.unwrap();
    let database_url = postgres.url().parse().unwrap();
    let config = SeedConfig { database_url, users: 10, email_index: true };
    let refused = pg_client::seed(&config, &mut |_| {}).await.unwrap_err();
    assert!(matches!(refused, SeedError::NotOurs), "{refused}");
    let kept: (String,) =
        sqlx::query_as("SELECT * FROM users").fetch_one(connection).await.unwrap();
    assert_eq!(kept.0, "dear");
}
