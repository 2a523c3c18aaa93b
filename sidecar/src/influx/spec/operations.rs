//! What a second says of its operations, and of what is in no request.

use ledger::names;

use super::windows::{all, field, of, tag};
use super::{START, START_S, request, windows};
use crate::influx::SECOND;
use crate::runfile::{Aside, RequestRow};

#[test]
fn operations_are_lines_of_their_own_and_bounded() {
    let mut windows = windows();
    let of_kind = |operation: &str, us: i64| RequestRow {
        operation: operation.into(),
        ..request(START, us * 1_000)
    };
    windows
        .requests(&[of_kind("/healthz", 2), of_kind("/checkout", 900), of_kind("", 5)], START + 1);
    let points = all(&mut windows, START + 2);
    let found: Vec<_> = of(&points, names::M_REQUEST)
        .iter()
        .map(|point| (tag(point, names::T_OPERATION), field(point, names::F_P50_US)))
        .collect();
    assert_eq!(found, [("/healthz", 2.0), ("/checkout", 900.0), ("none", 5.0)]);
    let many: Vec<_> = (0..100).map(|n| of_kind(&format!("/{n}"), 5)).collect();
    windows.requests(&many, START + 3);
    let points = all(&mut windows, START + 4);
    let lines = of(&points, names::M_REQUEST);
    assert_eq!(lines.len(), 33);
    let counted: f64 = lines.iter().map(|point| field(point, names::F_COUNT)).sum();
    assert_eq!(counted, 103.0);
}

#[test]
fn bytes_that_nobody_counted_are_absent_and_not_0() {
    let mut windows = windows();
    let mut row = request(START, 5_000);
    (row.hops[0].request, row.hops[0].reply) = (None, None);
    windows.requests(&[row], START + 1);
    let points = all(&mut windows, START + 2);
    let whole = of(&points, names::M_REQUEST)[0];
    let has = |key| whole.fields.iter().any(|(known, _)| known == key);
    assert_eq!([names::F_WIRE_BYTES, names::F_PAYLOAD_BYTES].map(has), [false, false]);
}

#[test]
fn what_is_late_or_a_fragment_is_counted_in_the_second_in_which_it_came() {
    let mut windows = windows();
    let aside = |cell: &str, fragments, late| Aside {
        cell: cell.into(),
        new_fragments: fragments,
        late,
        ..Aside::default()
    };
    let now = START + 3 * SECOND;
    windows.asides(&[aside("rest-10B", 0, 2), aside("", 5, 0), aside("", 0, 0)], now);
    let points = all(&mut windows, now);
    let found: Vec<_> = of(&points, names::M_REQUEST)
        .iter()
        .map(|point| {
            assert_eq!(point.at_ns as u64 / SECOND, START_S + 3);
            (
                tag(point, names::T_CELL),
                [names::F_LATE, names::F_FRAGMENTS].map(|key| field(point, key)),
            )
        })
        .collect();
    assert_eq!(found, [("rest-10B", [2.0, 0.0]), ("none", [0.0, 5.0])]);
}
