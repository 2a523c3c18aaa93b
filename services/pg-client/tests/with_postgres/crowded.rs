//! A database that is there but short of connections is busy, and is not said to be down.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use crate::service::{get, seed, start};
use futures_util::future::join_all;
use probe::Probe;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use test_parts::Postgres;
use tokio::net::TcpListener;

const PATH: &str = "/users/count?email=common0@example.com";
/// Several of the service's looks for the database fall into this time.
const LOOKS: Duration = Duration::from_millis(1_500);

/// A database whose role `app` may have so many connections; its URL; a way in that is not limited.
async fn limited(connections: u32) -> (Postgres, String, PgConnection) {
    let postgres = Postgres::start();
    seed(&postgres.url(), 500, true).await;
    let mut owner = PgConnection::connect(&postgres.url()).await.unwrap();
    let role = format!("CREATE ROLE app LOGIN CONNECTION LIMIT {connections}");
    owner.execute(AssertSqlSafe(role)).await.unwrap();
    owner.execute("GRANT SELECT ON users TO app").await.unwrap();
    let url = postgres.url().replace("lab@", "app@");
    (postgres, url, owner)
}

/// Waits until a query of the service stands still before the lock of `owner`.
async fn until_blocked(owner: &mut PgConnection) {
    let asked = "SELECT count(*) FROM pg_locks WHERE NOT granted";
    while sqlx::query_as::<_, (i64,)>(asked).fetch_one(&mut *owner).await.unwrap().0 == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) async fn a_query_that_was_given_up_is_waited_for_and_makes_no_storm() {
    // With 1, every look is refused for too many connections; with 2, there is room for one look at a time.
    for connections in [1, 2] {
        let (_postgres, url, mut owner) = limited(connections).await;
        let users = start(&url, 1, Probe::off()).await;
        assert_eq!(get(users, PATH).await.0, 200);
        let mut lock = owner.begin().await.unwrap();
        lock.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE").await.unwrap();
        let impatient = reqwest::Client::new().get(format!("http://{users}{PATH}"));
        let impatient = tokio::spawn(impatient.timeout(Duration::from_secs(1)).send());
        until_blocked(&mut lock).await;
        assert!(impatient.await.unwrap().unwrap_err().is_timeout());

        let mut waiting = tokio::spawn(join_all((0..8).map(|_| get(users, PATH))));
        tokio::select! {
            answers = &mut waiting => panic!("limit {connections}: {answers:?}"),
            () = tokio::time::sleep(LOOKS) => {}
        }
        lock.rollback().await.unwrap();
        for answer in waiting.await.unwrap() {
            assert_eq!(answer, (200, json!({"count": 4})), "limit {connections}");
        }
    }
}

pub(crate) async fn a_connection_that_is_given_back_is_used_by_one_that_could_not_open_its_own() {
    let (_postgres, url, mut owner) = limited(1).await;
    let users = start(&url, 2, Probe::off()).await;
    let mut lock = owner.begin().await.unwrap();
    lock.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let first = tokio::spawn(get(users, PATH));
    until_blocked(&mut lock).await;
    let second = tokio::spawn(get(users, PATH));
    // The pool's pauses grow meanwhile, and the service does not look: somebody has a connection.
    tokio::time::sleep(LOOKS).await;
    lock.rollback().await.unwrap();
    assert_eq!(first.await.unwrap(), (200, json!({"count": 4})));
    // The pool alone would find the connection never, and give up after a minute.
    let second = tokio::time::timeout(Duration::from_secs(30), second).await;
    let second = second.expect("the connection that lies idle");
    assert_eq!(second.unwrap(), (200, json!({"count": 4})));
}

pub(crate) async fn a_database_without_a_free_connection_is_called_full_and_not_down() {
    let (_postgres, url, _owner) = limited(1).await;
    let users = start(&url, 1, Probe::off()).await;
    assert_eq!(get(users, PATH).await.0, 200);
    let (status, reply) = get(users, "/statements").await;
    let error = reply["error"].as_str().unwrap();
    assert_eq!(status, 503, "{error}");
    assert!(error.contains("takes no more connections: ") && error.contains("\"app\""), "{error}");
}

pub(crate) async fn one_looks_for_all_whether_there_is_a_database() {
    // Takes connections and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("postgres://lab@{}/lab", silent.local_addr().unwrap());
    let opened = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&opened);
    tokio::spawn(async move {
        let mut open = Vec::new();
        loop {
            open.push(silent.accept().await.unwrap());
            counted.fetch_add(1, Relaxed);
        }
    });
    let users = start(&url, 1, Probe::off()).await;
    for (status, reply) in join_all((0..16).map(|_| get(users, PATH))).await {
        assert_eq!(status, 503, "{reply}");
        assert!(reply["error"].as_str().unwrap().contains("is down"), "{reply}");
    }
    // The look, and the attempt of the pool, which may have begun anew.
    let opened = opened.load(Relaxed);
    assert!(opened <= 3, "{opened} connections");
}
