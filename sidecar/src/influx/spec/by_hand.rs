//! Requests that no run asked for are grouped by what they have in common.

use ledger::{Traffic, names};

use super::windows::{all, field, of, tag};
use super::{START, START_S, hop, request, windows};
use crate::influx::SECOND;
use crate::influx::parse::Point;
use crate::runfile::RequestRow;

/// A request by hand that begins at `edge`, with so many payload bytes in the reply as a tap counted.
fn by_hand(operation: &str, edge: &str, counted: Option<u64>) -> RequestRow {
    let mut edge = hop(edge, &[(ledger::Stage::Handler, 4_000)]);
    edge.reply = counted.map(|payload| Traffic { payload, ..Traffic::default() });
    RequestRow {
        cell: "".into(),
        unasked: true,
        operation: operation.into(),
        latency_ns: 4_000,
        hops: vec![edge],
        ..request(START, 5_000)
    }
}

fn tags(point: &Point) -> [&str; 3] {
    [names::T_CELL, names::T_PROTOCOL, names::T_PAYLOAD].map(|key| tag(point, key))
}

#[test]
fn protocol_and_payload_come_from_the_route_and_the_counted_bytes() {
    for (operation, counted, expected) in [
        ("POST /rest/ping", Some(20), ["rest-20B", "rest", "20"]),
        ("/grpc/ping", Some(1_000_000), ["grpc-1MB", "grpc", "1000000"]),
        ("/rest/users/count", Some(0), ["rest-users-count", "rest", "none"]),
        ("/grpc/ping", None, ["grpc-ping", "grpc", "none"]),
        ("GET /checkout", Some(10), ["GET /checkout", "none", "none"]),
        ("", None, ["unnamed", "none", "none"]),
    ] {
        let mut windows = windows();
        windows.requests(&[by_hand(operation, "?→gateway", counted)], START + 1);
        let points = all(&mut windows, START + 2);
        for measurement in [names::M_REQUEST, names::M_HOP, names::M_CELL] {
            let found: Vec<_> = of(&points, measurement).into_iter().map(tags).collect();
            assert_eq!(found, [expected], "{measurement} of {operation}");
        }
    }
}

#[test]
fn a_cell_by_hand_begins_once_with_its_first_answer_and_says_what_it_is_listed_under() {
    let mut windows = windows();
    let failed = RequestRow { error: true, ..by_hand("/rest/ping", "?→gateway", Some(10)) };
    windows.requests(&[failed], START + 1);
    assert!(of(&all(&mut windows, START + 2), names::M_CELL).is_empty());
    let row = by_hand("/rest/ping", "?→gateway", Some(10));
    windows.requests(std::slice::from_ref(&row), START + 3);
    let points = all(&mut windows, START + 4);
    let [began] = of(&points, names::M_CELL)[..] else { panic!("{points:?}") };
    assert_eq!(tag(began, names::T_GROUP), "02 10 B = 10");
    assert_eq!(began.at_ns as u64, START_S * SECOND);
    windows.requests(&[row], START + 5);
    assert!(of(&all(&mut windows, START + 6), names::M_CELL).is_empty());
}

#[test]
fn load_by_hand_is_never_in_a_cell_of_a_plan() {
    let mut windows = windows();
    windows.requests(&[by_hand("/rest/ping", "?→gateway", Some(10))], START + 1);
    let planned = RequestRow { cell: "".into(), ..request(START, 5_000) };
    windows.requests(&[planned], START + 2);
    let points = all(&mut windows, START + 3);
    let found: Vec<_> = of(&points, names::M_REQUEST).into_iter().map(tags).collect();
    // The second is of a run, but of no cell of it: certifications are so.
    assert_eq!(found, [["rest-10B by hand", "rest", "10"], ["none"; 3]]);
}

/// A request of a script of somebody's own, in a cell of the run that nobody announced.
fn of_a_script(cell: &str) -> RequestRow {
    RequestRow { cell: cell.into(), ..request(START, 5_000) }
}

#[test]
fn what_a_script_asks_for_is_in_a_cell_of_its_own_which_begins_with_its_first_answer() {
    let mut windows = windows();
    windows.requests(&[of_a_script("default GET /page"), of_a_script("rest-10B")], START + 1);
    let points = all(&mut windows, START + 2);
    let found: Vec<_> = of(&points, names::M_REQUEST).into_iter().map(tags).collect();
    assert_eq!(found, [["default GET /page", "none", "none"], ["rest-10B", "rest", "10"]]);
    let began: Vec<_> = of(&points, names::M_CELL).into_iter().map(tags).collect();
    assert_eq!(began, [["default GET /page", "none", "none"]]);
    // Nobody who is of no run has one.
    let stranger = RequestRow { unasked: true, ..of_a_script("default GET /other") };
    windows.requests(&[stranger], START + 3);
    let found: Vec<_> = all(&mut windows, START + 4);
    assert!(of(&found, names::M_REQUEST).into_iter().any(|point| tags(point) == ["none"; 3]));
}

#[test]
fn cells_of_scripts_are_bounded_too_and_share_what_is_past_the_bound() {
    let mut windows = windows();
    let rows: Vec<_> = (0..1_000).map(|n| of_a_script(&format!("default GET /{n}"))).collect();
    windows.requests(&rows, START + 1);
    windows.requests(&[by_hand("GET /one-more", "?→shop", None)], START + 1);
    let points = all(&mut windows, START + 2);
    let cells: Vec<_> = of(&points, names::M_REQUEST).into_iter().map(tags).collect();
    let cells: std::collections::BTreeSet<_> = cells.into_iter().collect();
    assert!(cells.contains(&["other", "none", "none"]));
    assert_eq!(cells.len(), 265);
    let counted = of(&points, names::M_REQUEST).into_iter().map(|p| field(p, names::F_COUNT));
    assert_eq!(counted.sum::<f64>(), 1_001.0);
}

#[test]
fn the_latency_of_load_by_hand_is_told_where_its_generator_tells_it() {
    let mut windows = windows();
    let told = by_hand("/rest/ping", "k6→gateway", Some(10));
    let untold = by_hand("/rest/ping", "?→gateway", Some(10));
    windows.requests(&[told.clone(), told, untold], START + 1);
    let points = all(&mut windows, START + 2);
    let [by_k6, by_nobody] = of(&points, names::M_REQUEST)[..] else { panic!("{points:?}") };
    assert_eq!([by_k6, by_nobody].map(|point| tag(point, names::T_GENERATOR)), ["k6", "none"]);
    assert_eq!(field(by_k6, names::F_END_TO_END_SUM_US), 8.0);
    assert_eq!(field(by_k6, names::F_END_TO_END_COUNT), 2.0);
    let has = |key| by_nobody.fields.iter().any(|(known, _)| known == key);
    assert!(!has(names::F_END_TO_END_SUM_US) && !has(names::F_END_TO_END_COUNT));
}

#[test]
fn cells_by_hand_are_bounded_whatever_peers_send() {
    let mut windows = windows();
    let rows: Vec<_> = (0..1_000).map(|n| by_hand(&format!("GET /{n}"), "?→shop", None)).collect();
    windows.requests(&rows, START + 1);
    let points = all(&mut windows, START + 2);
    let cells: std::collections::BTreeSet<_> =
        of(&points, names::M_REQUEST).into_iter().map(|point| tag(point, names::T_CELL)).collect();
    assert_eq!(cells.len(), 65);
    assert!(cells.contains("other"));
    let counted: f64 =
        of(&points, names::M_REQUEST).iter().map(|point| field(point, names::F_COUNT)).sum();
    assert_eq!(counted, 1_000.0);
}
