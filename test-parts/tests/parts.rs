//! Each part is started for a test of its own, loses nothing when it is killed, and is gone with the test.

use std::path::Path;

use test_parts::{InfluxDb, Part, Postgres};

async fn an_influxdb_keeps_what_was_written_when_it_is_killed(part: Part) {
    let mut influxdb = InfluxDb::start(part).await;
    influxdb.write("lab", "m,host=a value=1i 1\nm,host=b value=2i 2\n").await;
    influxdb.make_database("other").await;
    influxdb.write("other", "m value=9i 1").await;
    let before = influxdb.process();
    influxdb.kill();
    influxdb.start_again().await;
    assert_ne!(influxdb.process(), before);
    assert_eq!(influxdb.number("SELECT sum(value) FROM m").await, 3.0);
    let found = influxdb.query("SELECT value FROM m GROUP BY host").await;
    let found: Vec<_> =
        found.iter().map(|series| (series.tag("host"), series.ints("value"))).collect();
    assert_eq!(found, [("a", vec![1]), ("b", vec![2])]);
}

async fn influxdbs_of_one_test_are_strangers(part: Part) {
    let (one, other) = (InfluxDb::start(part).await, InfluxDb::start(part).await);
    one.write("lab", "m value=1i 1").await;
    assert!(other.query("SELECT * FROM m").await.is_empty());
    let (url, process) = (one.url(), one.process());
    drop(one);
    assert!(!Path::new(&format!("/proc/{process}")).exists());
    assert!(reqwest::get(format!("{url}/health")).await.is_err());
    assert!(reqwest::get(format!("{}/health", other.url())).await.is_ok());
}

async fn a_postgres_is_killed_and_started_again_where_it_was() {
    let mut postgres = Postgres::start();
    let url = postgres.url();
    let address =
        url.split('@').nth(1).and_then(|rest| rest.split('/').next()).expect("an address");
    assert!(std::net::TcpStream::connect(address).is_ok());
    postgres.kill();
    assert!(std::net::TcpStream::connect(address).is_err());
    postgres.start_again();
    assert_eq!(postgres.url(), url);
    assert!(std::net::TcpStream::connect(address).is_ok());
    drop(postgres);
    assert!(std::net::TcpStream::connect(address).is_err());
}

test_parts::main! {
    each [Influxdb, Influxdb2] {
        an_influxdb_keeps_what_was_written_when_it_is_killed,
        influxdbs_of_one_test_are_strangers,
    }
    needs [Postgres] { a_postgres_is_killed_and_started_again_where_it_was }
}
