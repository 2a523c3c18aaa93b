//! The sidecar and a real InfluxDB: points arrive, whatever happens to either.
//!
//! Each is run with a 1.8 and with a 2.x, as far as they are here.

#![expect(clippy::unwrap_used, reason = "in tests a panic is the report")]

mod running;

use std::process::Command;

use running::{Running, wall_ns};
use test_parts::{InfluxDb, Part};

/// Where nothing listens: port 9 (discard) is nobody's on loopback.
const NOBODY: &str = "http://127.0.0.1:9";

fn load(numbers: std::ops::Range<u64>) -> String {
    let base = 1_790_000_000_000_000_000_u64;
    numbers.map(|n| format!("load,run=r,cell=c planned={n}i {}\n", base + n)).collect()
}

async fn points_arrive_and_can_be_read_back(part: Part) {
    let (influxdb, folder) = (InfluxDb::start(part).await, tempfile::tempdir().unwrap());
    let run = "a run, of 1=1 \"quoted\"";
    let mut sidecar = Running::start(folder.path(), &influxdb, &["--run", run]).await;
    sidecar.plan("grpc 10B").await;
    sidecar.first_second().await;
    for latency_us in [100, 200, 900] {
        sidecar.request("grpc 10B", latency_us).await;
    }
    sidecar.request("never announced", 50).await;
    sidecar.points(&load(0..3)).await;
    let stats = sidecar.flush().await;
    assert_eq!(stats.points_taken, stats.points_written, "{stats:?}");

    let asked = "SELECT sum(count) AS n, sum(sum_us) AS us, max(max_us) AS max FROM request \
                 GROUP BY run, cell, protocol, payload";
    let found = influxdb.query(asked).await;
    let [known, other] = found.as_slice() else { panic!("{found:?}") };
    // Of a cell that no plan announced nobody knows the protocol or the payload.
    assert_eq!((known.tag("cell"), other.tag("cell")), ("grpc 10B", "never announced"));
    assert_eq!(
        (known.tag("protocol"), known.tag("payload"), other.tag("payload")),
        ("grpc", "10", "none")
    );
    assert_eq!(known.tag("run"), run);
    assert_eq!((known.ints("n"), other.ints("n")), (vec![3], vec![1]));
    assert_eq!(
        (known.column("us")[0].as_f64(), known.column("max")[0].as_f64()),
        (Some(1_200.0), Some(900.0))
    );

    let asked =
        "SELECT sum(sum_us) AS us FROM hop WHERE cell = 'grpc 10B' GROUP BY hop, family, stage";
    let hops = influxdb.query(asked).await;
    let [hop] = hops.as_slice() else { panic!("{hops:?}") };
    assert_eq!(hop.tag("hop"), "k6→far, away = \"x\"");
    assert_eq!((hop.tag("family"), hop.tag("stage")), ("unseen", "remote"));
    assert_eq!(hop.column("us")[0].as_f64(), Some(1_200.0));

    // A rate needs two samples after the first whole second has begun.
    let mut processes = Vec::new();
    while processes.is_empty() {
        sidecar.flush().await;
        processes = influxdb.query("SELECT * FROM process WHERE process = 'sidecar'").await;
    }
    assert!(processes[0].column("rss_bytes")[0].as_f64().unwrap() > 1e6);
    let loads = influxdb.query("SELECT planned FROM load WHERE run = 'r'").await;
    assert_eq!(loads[0].ints("planned"), [0, 1, 2]);
    sidecar.stop().await;
    assert!(!folder.path().join("run.db.spool").exists(), "an empty spool leaves nothing behind");
}

async fn influxdb_killed_in_mid_stream_misses_no_point(part: Part) {
    let (mut influxdb, folder) = (InfluxDb::start(part).await, tempfile::tempdir().unwrap());
    let mut sidecar = Running::start(folder.path(), &influxdb, &["--run", "r"]).await;
    sidecar.plan("c").await;
    sidecar.first_second().await;
    let (mut sent, mut spooled) = (0, 0);
    // Whole points, and windows that are written again and again, before, during and after.
    for phase in 0..3 {
        match phase {
            1 => influxdb.kill(),
            2 => influxdb.start_again().await,
            _ => {}
        }
        let until = wall_ns() + 2_500_000_000;
        while wall_ns() < until || (phase == 1 && spooled < 100) {
            sidecar.request("c", 1_000).await;
            sidecar.points(&load(sent..sent + 1)).await;
            sent += 1;
            let stats = sidecar.influxdb().await;
            spooled = spooled.max(stats.points_spooled);
            assert!(stats.points_dropped.is_empty(), "{stats:?}");
        }
    }
    let stats = sidecar.flush().await;
    let waiting = (stats.points_waiting, stats.points_spooled);
    assert_eq!((waiting, stats.points_written), ((0, 0), stats.points_taken), "{stats:?}");
    assert!(stats.points_replayed >= 100 && stats.retries > 0, "{stats:?}");

    let rows = sidecar.rows().await;
    assert_eq!(rows.len() as u64, sent, "the run file is complete");
    let loads = influxdb.query("SELECT planned FROM load").await;
    assert_eq!(loads[0].ints("planned"), (0..sent as i64).collect::<Vec<_>>());
    // Each second holds as many requests as the run file says were to start in it.
    let found = influxdb.query("SELECT count FROM request WHERE cell = 'c'").await;
    let mut expected = std::collections::BTreeMap::new();
    for row in &rows {
        *expected.entry((row.start_ns / 1_000_000_000) as i64).or_insert(0) += 1;
    }
    let seconds = found[0].ints("time").into_iter().map(|ns| ns / 1_000_000_000);
    let found: std::collections::BTreeMap<_, _> = seconds.zip(found[0].ints("count")).collect();
    assert_eq!(found, expected);
    sidecar.stop().await;
}

async fn a_sidecar_replays_what_an_earlier_one_left(part: Part) {
    let (mut influxdb, folder) = (InfluxDb::start(part).await, tempfile::tempdir().unwrap());
    influxdb.kill();
    let spool = folder.path().join("kept");
    let flags = ["--spool", spool.to_str().unwrap()];
    let first = Running::start(folder.path(), &influxdb, &flags).await;
    first.points(&load(0..500)).await;
    first.stop().await;
    assert!(spool.join("00000000000000000001.lp").exists());
    influxdb.start_again().await;
    std::fs::remove_file(folder.path().join("run.db")).unwrap();
    let second = Running::start(folder.path(), &influxdb, &flags).await;
    second.points(&load(500..501)).await;
    let stats = second.flush().await;
    assert!(stats.points_found >= 500 && stats.points_replayed == stats.points_found, "{stats:?}");
    let loads = influxdb.query("SELECT planned FROM load").await;
    assert_eq!(loads[0].ints("planned"), (0..501).collect::<Vec<_>>());
    second.stop().await;
}

async fn a_point_that_influxdb_refuses_is_counted_with_its_words_and_takes_no_other_along(
    part: Part,
) {
    let (influxdb, folder) = (InfluxDb::start(part).await, tempfile::tempdir().unwrap());
    let sidecar = Running::start(folder.path(), &influxdb, &[]).await;
    let conflict = "load,run=r,cell=c planned=\"many\" 1790000000000000005\n";
    sidecar.points(&load(0..1)).await;
    sidecar.flush().await;
    sidecar.points(&[load(10..20).as_str(), conflict, load(20..30).as_str()].concat()).await;
    let stats = sidecar.flush().await;
    assert_eq!(stats.points_dropped["refused"], 1, "{stats:?}");
    assert!(stats.last_error.contains("field type conflict"), "{}", stats.last_error);
    let loads = influxdb.query("SELECT count(planned) AS n FROM load").await;
    assert_eq!(loads[0].ints("n"), [21]);
    sidecar.stop().await;
}

async fn points_that_cannot_be_taken_are_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let sidecar = Running::alone(folder.path(), NOBODY, &[]).await;
    let (status, text) = sidecar.post("/points", load(0..2) + "load,run=r planned= 5\n").await;
    assert_eq!(status, 400);
    let expected = r#"{"error":"line 3: a field without a value: \"load,run=r planned= 5\""}"#;
    assert_eq!(text, expected);
    assert_eq!(sidecar.post("/points", "x".repeat((1 << 20) + 1)).await.0, 413);
    assert_eq!(sidecar.post("/points", vec![0xff_u8, 0xfe]).await.0, 400);
    assert_eq!(sidecar.influxdb().await.points_dropped.len(), 0);
    let long = "c".repeat(257);
    for cell in [r#""""#, r#""a\nb""#, r#""none""#, &format!("\"{long}\"")] {
        let plan = format!(r#"{{"cells":[{{"cell":{cell},"protocol":"rest","payload":"1"}}]}}"#);
        assert_eq!(sidecar.post("/plan", plan).await.0, 400, "{cell}");
    }
    sidecar.stop().await;

    let folder = tempfile::tempdir().unwrap();
    let without = Running::alone(folder.path(), "", &[]).await;
    let (status, text) = without.post("/points", load(0..2)).await;
    assert_eq!(status, 409);
    assert!(text.contains("no InfluxDB is configured"), "{text}");
    without.plan("c").await;
    assert_eq!(without.stats().await.influxdb, None);
    without.stop().await;
}

async fn memory_does_not_grow_while_influxdb_is_away() {
    let folder = tempfile::tempdir().unwrap();
    let sidecar = Running::alone(folder.path(), NOBODY, &[]).await;
    let body = load(0..15_000);
    sidecar.points(&body).await;
    while !sidecar.influxdb().await.away {
        tokio::task::yield_now().await;
    }
    let mut sent = body.len();
    let mut warm = 0;
    while sent < 64 << 20 {
        sidecar.points(&body).await;
        sent += body.len();
        if sent > 16 << 20 && warm == 0 {
            warm = sidecar.stats().await.rss_bytes;
        }
    }
    let stats = sidecar.stats().await;
    let grown = stats.rss_bytes.saturating_sub(warm);
    // 48 MiB of points came since then.
    assert!(grown < 16 << 20, "{grown} bytes more");
    let influxdb = stats.influxdb.unwrap();
    assert!(influxdb.spool_bytes > 60 << 20, "{influxdb:?}");
    sidecar.stop().await;
}

/// A folder on a disk of 256 KiB, where root may mount one.
struct TinyDisk(std::path::PathBuf);

impl TinyDisk {
    fn mount(at: &std::path::Path) -> Option<TinyDisk> {
        std::fs::create_dir(at).unwrap();
        let mount = ["-t", "tmpfs", "-o", "size=256k", "tmpfs"];
        let mounted = Command::new("mount").args(mount).arg(at).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| TinyDisk(at.to_owned()))
    }
}

impl Drop for TinyDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

async fn a_full_disk_is_counted_and_does_not_stop_joining() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk");
    let disk = TinyDisk::mount(&path);
    let limit = if disk.is_some() { "100000000" } else { "0" };
    let flags = ["--spool", path.to_str().unwrap(), "--spool-limit", limit];
    let mut sidecar = Running::alone(folder.path(), NOBODY, &flags).await;
    let body = load(0..15_000);
    let stats = loop {
        sidecar.points(&body).await;
        let stats = sidecar.influxdb().await;
        if !stats.points_dropped.is_empty() {
            break stats;
        }
    };
    let (reason, words) = match disk {
        Some(_) => ("spool_error", "No space left on device"),
        None => ("spool_full", "--spool-limit is 0 bytes"),
    };
    assert!(stats.points_dropped[reason] > 0, "{stats:?}");
    assert!(stats.last_error.contains(words), "{stats:?}");
    sidecar.request("c", 1_000).await;
    while sidecar.stats().await.requests_written == 0 {
        tokio::task::yield_now().await;
    }
    sidecar.stop().await;
    drop(disk);
}

test_parts::main! {
    each [Influxdb, Influxdb2] {
        points_arrive_and_can_be_read_back,
        influxdb_killed_in_mid_stream_misses_no_point,
        a_sidecar_replays_what_an_earlier_one_left,
        a_point_that_influxdb_refuses_is_counted_with_its_words_and_takes_no_other_along,
    }
    needs [] {
        points_that_cannot_be_taken_are_refused_with_the_reason,
        memory_does_not_grow_while_influxdb_is_away,
        a_full_disk_is_counted_and_does_not_stop_joining,
    }
}
