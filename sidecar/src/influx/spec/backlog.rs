//! The backlog and its spool: nothing lost, nothing out of order, nothing unbounded, everything counted.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use crate::influx::backlog::{Backlog, MEMORY};
use crate::influx::counts::{Counts, InfluxStats};
use crate::influx::spool::{Spool, SpoolError};
use crate::influx::windows::Missed;

fn open(folder: &Path, limit: u64) -> (Backlog, Arc<Counts>) {
    let counts = Arc::new(Counts::default());
    let spool = Spool::open(folder, limit).unwrap();
    (Backlog::new(spool, Arc::clone(&counts)), counts)
}

fn stats(counts: &Counts) -> InfluxStats {
    let stats = counts.stats(Missed::default());
    let dropped: u64 = stats.points_dropped.values().sum();
    let placed = stats.points_written + dropped + stats.points_waiting + stats.points_spooled;
    assert_eq!(stats.points_taken + stats.points_found, placed, "{stats:?}");
    stats
}

fn lines(first: u64, count: u64) -> String {
    (first..first + count).map(|n| format!("m n={n}i {n}\n")).collect()
}

/// The numbers of lines.
fn numbers(batch: &[u8]) -> Vec<u64> {
    let lines = std::str::from_utf8(batch).unwrap().lines();
    lines.map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect()
}

#[derive(Debug, Clone)]
enum Step {
    Push(u64),
    /// A batch is on its way, and what comes of it is not known yet.
    Take,
    Send,
    Fail,
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (1..40_u64).prop_map(Step::Push),
        Just(Step::Push(15_000)),
        Just(Step::Push(40_000)),
        Just(Step::Take),
        Just(Step::Send),
        Just(Step::Send),
        Just(Step::Fail),
        Just(Step::Restart),
    ];
    proptest::collection::vec(step, 1..30)
}

/// Points that were dropped for want of room.
fn dropped(counts: &Counts) -> u64 {
    stats(counts).points_dropped.get("spool_full").copied().unwrap_or_default()
}

/// What came of some steps.
struct Replayed {
    backlog: Backlog,
    counts: Arc<Counts>,
    pushed: u64,
    /// Every line that InfluxDB was given, in the order in which it was.
    arrived: String,
    lost: u64,
}

/// Takes `steps` with a spool of `limit` bytes, then hands over what is left. Every step keeps the counters true.
fn replay(
    steps: impl IntoIterator<Item = Step>,
    folder: &Path,
    limit: u64,
) -> Result<Replayed, TestCaseError> {
    let (mut backlog, mut counts) = open(folder, limit);
    let (mut pushed, mut arrived, mut lost) = (0, String::new(), 0);
    for step in steps {
        match step {
            Step::Push(count) => {
                backlog.push(lines(pushed, count).as_bytes(), 0);
                pushed += count;
            }
            Step::Take => drop(backlog.next(0, true)),
            Step::Send => {
                if let Some(batch) = backlog.next(0, true) {
                    arrived.push_str(std::str::from_utf8(&batch).unwrap());
                    backlog.sent(0);
                }
            }
            Step::Fail => {
                if backlog.next(0, true).is_some() {
                    backlog.failed();
                }
            }
            Step::Restart => {
                backlog.close();
                lost += dropped(&counts);
                prop_assert_eq!(stats(&counts).points_waiting, 0);
                drop(backlog);
                (backlog, counts) = open(folder, limit);
            }
        }
        prop_assert!(stats(&counts).spool_bytes <= limit);
    }
    while let Some(batch) = backlog.next(0, true) {
        arrived.push_str(std::str::from_utf8(&batch).unwrap());
        backlog.sent(0);
    }
    Ok(Replayed { backlog, counts, pushed, arrived, lost })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Points arrive in order and each at least once, whatever fails and however often the sidecar restarts.
    #[test]
    fn every_point_arrives_in_order(steps in steps()) {
        let folder = tempfile::tempdir().unwrap();
        let Replayed { mut backlog, counts, pushed, arrived, .. } =
            replay(steps, folder.path(), 1 << 30)?;
        prop_assert!(arrived == lines(0, pushed), "{pushed} points, or their order, differ");
        let end = stats(&counts);
        prop_assert_eq!((end.points_spooled, end.points_waiting, end.spool_bytes), (0, 0, 0));
        backlog.close();
        prop_assert!(!folder.path().exists(), "an empty spool leaves nothing behind");
    }

    /// However small the spool, a point arrives in its order or is counted as dropped.
    #[test]
    fn with_a_spool_of_any_size_every_point_arrives_in_order_or_is_counted(
        steps in steps(),
        limit in prop_oneof![Just(0), 0..2_000_000_u64, 600_000..900_000_u64],
    ) {
        let folder = tempfile::tempdir().unwrap();
        let steps = steps.into_iter().chain([Step::Restart]);
        let Replayed { pushed, arrived, lost, .. } = replay(steps, folder.path(), limit)?;
        let arrived = numbers(arrived.as_bytes());
        prop_assert!(arrived.is_sorted_by(|a, b| a < b), "out of order");
        prop_assert_eq!(arrived.len() as u64 + lost, pushed);
    }
}

#[test]
fn memory_is_bounded_while_influxdb_is_away() {
    let folder = tempfile::tempdir().unwrap();
    let (mut backlog, counts) = open(folder.path(), 1 << 30);
    backlog.push(lines(0, 10).as_bytes(), 0);
    backlog.next(0, true).unwrap();
    backlog.failed();
    for n in 0..200 {
        backlog.push(lines(10 + n * 1_000, 1_000).as_bytes(), 0);
        assert_eq!(stats(&counts).points_waiting, 0, "what waits is on disk");
    }
    // A batch that is on its way for long does not make memory grow either.
    let (mut slow, counts) = (backlog, counts);
    slow.sent(0);
    slow.next(0, true).unwrap();
    for n in 0..200 {
        slow.push(lines(n * 1_000, 1_000).as_bytes(), 0);
        assert!(stats(&counts).points_waiting < 40_000);
    }
}

#[test]
fn a_batch_is_whole_old_or_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let (mut backlog, _) = open(folder.path(), 1 << 30);
    backlog.push(lines(0, 10).as_bytes(), 1_000);
    assert_eq!(backlog.next(1_000_000_999, false), None);
    assert!(backlog.next(1_000_001_000, false).is_some());
    backlog.sent(0);
    backlog.push(lines(0, 5_000).as_bytes(), 2_000_000_000);
    assert!(backlog.next(2_000_000_000, false).is_some());
}

#[test]
fn past_the_limit_the_oldest_points_are_dropped_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let (mut backlog, counts) = open(folder.path(), 2 << 20);
    backlog.push(lines(0, 1).as_bytes(), 0);
    backlog.next(0, true).unwrap();
    backlog.failed();
    let mut pushed = 1;
    for _ in 0..100 {
        backlog.push(lines(pushed, 5_000).as_bytes(), 0);
        pushed += 5_000;
        assert!(stats(&counts).spool_bytes <= 2 << 20);
    }
    let dropped = stats(&counts).points_dropped["spool_full"];
    let mut arrived = String::new();
    while let Some(batch) = backlog.next(0, true) {
        arrived.push_str(std::str::from_utf8(&batch).unwrap());
        backlog.sent(0);
    }
    // What was on its way, then the newest without a gap.
    let expected = lines(0, 1) + &lines(1 + dropped, pushed - 1 - dropped);
    assert!(dropped > 100_000 && arrived == expected, "{dropped} dropped");
}

#[test]
fn newer_points_in_the_spool_do_not_make_room_for_an_older_batch() {
    let folder = tempfile::tempdir().unwrap();
    let (mut backlog, counts) = open(folder.path(), 600_000);
    backlog.push(lines(0, 10_000).as_bytes(), 0);
    backlog.next(0, true).unwrap();
    // More than memory is to hold while the batch is on its way.
    backlog.push(lines(10_000, 32_000).as_bytes(), 0);
    assert_eq!(stats(&counts).points_spooled, 32_000);
    backlog.failed();
    let now = stats(&counts);
    assert_eq!((now.points_waiting, now.points_spooled), (10_000, 32_000), "{now:?}");
    assert!(now.points_dropped.is_empty() && now.last_error.contains("--spool-limit"), "{now:?}");
    // It is kept as long as there is a sidecar to keep it.
    assert_eq!(numbers(&backlog.next(0, true).unwrap()), Vec::from_iter(0..10_000));
    backlog.close();
    let end = stats(&counts);
    assert_eq!((end.points_dropped["spool_full"], end.points_spooled), (10_000, 32_000));
    drop(backlog);
    let (mut next, _) = open(folder.path(), 600_000);
    assert_eq!(numbers(&next.next(0, true).unwrap()), Vec::from_iter(10_000..42_000));
}

#[test]
fn without_room_on_disk_memory_keeps_the_newest_points_within_its_bound() {
    let folder = tempfile::tempdir().unwrap();
    let (mut backlog, counts) = open(folder.path(), 0);
    backlog.push(lines(0, 1).as_bytes(), 0);
    backlog.next(0, true).unwrap();
    backlog.failed();
    assert_eq!(stats(&counts).last_error, "cannot spool 9 bytes: --spool-limit is 0 bytes");
    for n in 0..100 {
        backlog.push(lines(1 + n * 5_000, 5_000).as_bytes(), 0);
        let waiting = stats(&counts).points_waiting;
        assert!(waiting * 8 < MEMORY as u64 + 100_000, "{waiting}");
    }
    assert!(stats(&counts).points_dropped["spool_full"] > 100_000);
    backlog.next(0, true).unwrap();
    backlog.sent(0);
    let newest = backlog.next(0, true).unwrap();
    assert!(newest.ends_with(lines(500_000, 1).as_bytes()), "the newest are kept");
    backlog.close();
    assert_eq!(stats(&counts).points_waiting, 0, "what could not be kept is counted");
}

#[test]
fn a_disk_that_takes_nothing_is_counted_said_and_survived() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spool");
    let (mut backlog, counts) = open(&path, 1 << 30);
    backlog.push(lines(0, 10).as_bytes(), 0);
    backlog.next(0, true).unwrap();
    // Root may write anywhere: take the folder itself away.
    std::fs::remove_dir_all(&path).unwrap();
    backlog.failed();
    backlog.push(lines(10, 10).as_bytes(), 0);
    let now = stats(&counts);
    assert_eq!((now.points_waiting, now.points_spooled), (20, 0));
    assert!(now.last_error.starts_with("cannot add to the spool "), "{}", now.last_error);
    std::fs::create_dir(&path).unwrap();
    backlog.failed();
    assert_eq!(stats(&counts).points_spooled, 20, "as soon as there is room, it is used");
}

#[test]
fn a_line_that_a_killed_sidecar_cut_off_is_not_sent() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("00000000000000000007.lp"), "m n=1i 1\nm n=2i 2\nm n=")
        .unwrap();
    std::fs::write(folder.path().join("00000000000000000003.lp"), "m n=0i 0\n").unwrap();
    std::fs::write(folder.path().join("notes.txt"), "not ours").unwrap();
    let (mut backlog, counts) = open(folder.path(), 1 << 30);
    backlog.push(b"m n=3i 3\n", 0);
    let mut arrived = Vec::new();
    while let Some(batch) = backlog.next(0, true) {
        arrived.extend_from_slice(&batch);
        backlog.sent(0);
    }
    assert_eq!(String::from_utf8(arrived).unwrap(), lines(0, 4));
    let end = stats(&counts);
    assert_eq!((end.points_found, end.points_written, end.points_replayed), (4, 4, 3));
    assert_eq!(end.points_dropped["spool_unreadable"], 1);
}

#[test]
fn a_spool_file_that_cannot_be_read_does_not_stop_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let (mut backlog, counts) = open(folder.path(), 1 << 30);
    backlog.push(lines(0, 1).as_bytes(), 0);
    backlog.next(0, true).unwrap();
    backlog.failed();
    backlog.push(lines(1, 60_000).as_bytes(), 0);
    backlog.push(lines(60_001, 1).as_bytes(), 0);
    backlog.sent(0);
    let mut files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().flatten().collect();
    files.retain(|file| file.file_name() != "lock");
    files.sort_by_key(std::fs::DirEntry::file_name);
    std::fs::remove_file(files[0].path()).unwrap();
    assert_eq!(backlog.next(0, true).unwrap(), lines(60_001, 1));
    assert_eq!(stats(&counts).points_dropped["spool_unreadable"], 60_000);
    assert!(stats(&counts).last_error.starts_with("cannot read the spool "));
}

#[test]
fn a_spool_has_one_user() {
    let folder = tempfile::tempdir().unwrap();
    let first = Spool::open(folder.path(), 1).unwrap();
    let second = Spool::open(folder.path(), 1).unwrap_err();
    assert!(matches!(second, SpoolError::InUse(_)), "{second}");
    drop(first);
    Spool::open(folder.path(), 1).unwrap();
    let file = folder.path().join("a file");
    std::fs::write(&file, "").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o400)).unwrap();
    let error = Spool::open(&file, 1).unwrap_err().to_string();
    assert!(error.starts_with("cannot make the spool ") && error.contains("a file"), "{error}");
}

#[test]
fn refused_points_are_counted_apart() {
    let folder = tempfile::tempdir().unwrap();
    let (mut backlog, counts) = open(folder.path(), 1 << 30);
    backlog.push(lines(0, 10).as_bytes(), 0);
    backlog.next(0, true).unwrap();
    backlog.sent(3);
    let now = stats(&counts);
    assert_eq!((now.points_written, now.points_dropped["refused"]), (7, 3));
    assert_eq!(counts.settled(), 10);
}
