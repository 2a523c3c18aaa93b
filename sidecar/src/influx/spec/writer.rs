//! The writer, against a server that answers as it is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use super::fake::Fake;
use super::request;
use crate::influx::client::{Target, Token};
use crate::influx::counts::Counts;
use crate::influx::sink::{InfluxSink, Tasks};
use crate::influx::spool::Spool;
use crate::influx::writer::Patience;
use crate::sink::{Batch, Sink as _};

const QUICK: Patience = Patience {
    write: Duration::from_secs(1),
    first_pause: Duration::from_millis(2),
    longest_pause: Duration::from_millis(20),
};

struct Writing {
    sink: Arc<InfluxSink>,
    tasks: Tasks,
    _folder: tempfile::TempDir,
}

fn write_to(url: &str, token: &str) -> Writing {
    let folder = tempfile::tempdir().unwrap();
    let target = Target {
        url: url.to_owned(),
        org: "my org".into(),
        bucket: "db/rp".into(),
        token: Token::new(token),
    };
    let spool = Spool::open(&folder.path().join("spool"), 1 << 30).unwrap();
    let hold = Duration::from_secs(60);
    let (sink, tasks) = InfluxSink::start_with("a run".into(), hold, target, spool, QUICK).unwrap();
    Writing { sink, tasks, _folder: folder }
}

fn points(numbers: std::ops::Range<u64>) -> String {
    numbers.map(|n| line(n) + "\n").collect()
}

fn line(n: u64) -> String {
    format!("m n={n}i {}", 1_790_000_000_000_000_000 + n)
}

#[tokio::test]
async fn points_go_to_the_v2_address_with_the_token_in_a_header() {
    let fake = Fake::start(|_| (204, String::new())).await;
    let writing = write_to(&fake.url, "s3cret");
    writing.sink.points(&points(0..3)).await.unwrap();
    writing.sink.flush().await;
    let received = fake.received();
    let [write] = received.as_slice() else { panic!("{received:?}") };
    assert_eq!(
        (write.path.as_str(), write.authorization.as_str()),
        ("/api/v2/write", "Token s3cret")
    );
    let mut query: Vec<_> = write.query.split('&').collect();
    query.sort_unstable();
    assert_eq!(query, ["bucket=db%2Frp", "org=my+org", "precision=ns"]);
    assert_eq!(write.body, points(0..3));
    writing.sink.close(writing.tasks).await;
}

#[tokio::test]
async fn without_a_token_there_is_no_header() {
    let fake = Fake::start(|_| (204, String::new())).await;
    let writing = write_to(&fake.url, "");
    writing.sink.points(&points(0..1)).await.unwrap();
    writing.sink.flush().await;
    assert_eq!(fake.received()[0].authorization, "");
}

#[test]
fn a_token_is_shown_to_nobody() {
    assert_eq!(
        format!("{:?} {:?}", Token::new("s3cret"), Token::new("")),
        "Token(hidden) Token(none)"
    );
    assert!(!Token::new("a\nb").is_sendable() && Token::new("abc==").is_sendable());
}

#[tokio::test]
async fn what_may_pass_is_tried_again_in_order_until_it_does() {
    let (status, tries) = (Arc::new(AtomicU16::new(503)), Arc::new(AtomicUsize::new(0)));
    let fake = Fake::start({
        let (status, tries) = (Arc::clone(&status), Arc::clone(&tries));
        move |_| {
            // Each of the answers that may pass, one of them no answer.
            let next = [503, 429, 408, 500, 0][tries.fetch_add(1, Relaxed) % 5];
            let status = status.load(Relaxed);
            (if status == 204 { 204 } else { next }, "busy".into())
        }
    })
    .await;
    let writing = write_to(&fake.url, "");
    let mut rows = 0;
    while tries.load(Relaxed) < 12 {
        writing.sink.points(&points(rows * 10..rows * 10 + 10)).await.unwrap();
        rows += 1;
        tokio::task::yield_now().await;
    }
    let stats = writing.sink.stats();
    assert!(stats.away && stats.retries >= 10, "{stats:?}");
    assert!(stats.last_error.contains("is away: "), "{}", stats.last_error);
    assert!(stats.points_dropped.is_empty());
    let failed = fake.received().len();
    status.store(204, Relaxed);
    writing.sink.flush().await;
    let stats = writing.sink.stats();
    assert_eq!((stats.points_written, stats.points_spooled, stats.away), (rows * 10, 0, false));
    assert!(stats.points_replayed > 0);
    let mut written = fake.received().split_off(failed);
    // The last failing answer may have been given after we counted.
    while written.len() > 1 && points(0..rows * 10) != bodies(&written) {
        written.remove(0);
    }
    assert_eq!(bodies(&written), points(0..rows * 10));
    writing.sink.close(writing.tasks).await;
}

fn bodies(received: &[super::fake::Received]) -> String {
    received.iter().map(|write| write.body.as_str()).collect()
}

#[tokio::test]
async fn a_point_that_is_refused_takes_no_other_with_it_and_is_not_tried_for_ever() {
    let refuse = |body: &str| match body.contains("n=77i") {
        true => (400, "{\"message\":\"unable to parse: field type conflict\"}".to_owned()),
        false => (204, String::new()),
    };
    let fake = Fake::start(refuse).await;
    let writing = write_to(&fake.url, "");
    writing.sink.points(&points(0..200)).await.unwrap();
    writing.sink.flush().await;
    let stats = writing.sink.stats();
    assert_eq!((stats.points_written, stats.points_dropped["refused"]), (199, 1));
    let error = &stats.last_error;
    assert!(error.contains("400 Bad Request") && error.contains("field type conflict"), "{error}");
    assert!(error.contains(&line(77)), "{error}");
    let mut taken = bodies(&fake.received()[1..]);
    taken.push('\n');
    for n in (0..200).filter(|&n| n != 77) {
        assert!(taken.contains(&(line(n) + "\n")), "{n}");
    }
    let tries = fake.received().len();
    writing.sink.points(&points(300..301)).await.unwrap();
    writing.sink.flush().await;
    assert_eq!(fake.received().len(), tries + 1, "what was refused is gone");
    writing.sink.close(writing.tasks).await;
}

#[tokio::test]
async fn of_a_batch_that_was_stored_in_part_nothing_is_sent_again() {
    for status in [400, 422] {
        let answer = "{\"error\":\"partial write: field type conflict: input field dropped=100\"}";
        let fake = Fake::start(move |_| (status, answer.to_owned())).await;
        let writing = write_to(&fake.url, "");
        writing.sink.points(&points(0..1_000)).await.unwrap();
        writing.sink.flush().await;
        let stats = writing.sink.stats();
        assert_eq!((stats.points_written, stats.points_dropped["refused"]), (900, 100));
        assert_eq!((fake.received().len(), stats.retries, stats.away), (1, 0, false));
        assert!(stats.last_error.contains("dropped=100"), "{}", stats.last_error);
        // Never more than there were.
        writing.sink.points(&points(0..3)).await.unwrap();
        writing.sink.flush().await;
        let stats = writing.sink.stats();
        assert_eq!((stats.points_written, stats.points_dropped["refused"]), (900, 103));
        writing.sink.close(writing.tasks).await;
    }
}

#[test]
fn an_error_is_said_once_for_its_kind_whatever_its_numbers_and_names() {
    let counts = Counts::default();
    let refused = |n: u32| format!("refused: 400: field \"f{n}\" conflicts dropped={n}");
    let said = |errors: &[String]| {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, || {
            errors.iter().for_each(|error| counts.say(error));
        });
        let text = String::from_utf8(lines.0.lock().clone()).unwrap();
        text.lines().filter(|line| line.contains("WARN")).count()
    };
    let many: Vec<_> = (0..398).map(refused).collect();
    assert_eq!(said(&many), 1);
    assert_eq!(said(&["the disk is full".to_owned(), refused(1)]), 1);
    counts.recovered();
    assert_eq!(said(&many), 1, "after a recovery it is news again");
}

/// What was logged.
#[derive(Clone, Default)]
struct Lines(Arc<parking_lot::Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn where_everything_is_refused_it_is_said_once_and_dropped() {
    let fake = Fake::start(|_| (401, "{\"message\":\"unauthorized access\"}".into())).await;
    let writing = write_to(&fake.url, "wrong");
    writing.sink.points(&points(0..500)).await.unwrap();
    writing.sink.flush().await;
    let stats = writing.sink.stats();
    assert_eq!((fake.received().len(), stats.points_dropped["refused"]), (1, 500));
    assert!(stats.last_error.contains("401 Unauthorized: "), "{}", stats.last_error);
    assert!(!stats.last_error.contains("wrong"), "{}", stats.last_error);
    writing.sink.close(writing.tasks).await;
}

#[tokio::test]
async fn a_batch_of_refused_points_costs_a_bounded_number_of_tries() {
    let fake = Fake::start(|_| (400, "no".into())).await;
    let writing = write_to(&fake.url, "");
    writing.sink.points(&points(0..3_000)).await.unwrap();
    writing.sink.flush().await;
    assert_eq!(writing.sink.stats().points_dropped["refused"], 3_000);
    assert!(fake.received().len() <= 81, "{}", fake.received().len());
    writing.sink.close(writing.tasks).await;
}

#[tokio::test]
async fn taking_rows_waits_for_nobody() {
    let fake = Fake::start(|_| (0, String::new())).await;
    let writing = write_to(&fake.url, "");
    // A future that is ready at its first poll has not waited for the network, the disk or another task.
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    for _ in 0..1_000 {
        let row = request(ledger::clock::now() + 500_000_000, 5_000);
        let mut taking = writing.sink.take(Batch::Requests([row].into()));
        assert!(taking.as_mut().poll(&mut context).is_ready());
    }
    writing.sink.close(writing.tasks).await;
}
