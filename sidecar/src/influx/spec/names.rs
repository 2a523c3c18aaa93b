//! Names: what is written is a constant of `ledger::names`, and `docs/influxdb.md` lists it, no more and no less.

use std::collections::{BTreeMap, BTreeSet};

use ledger::names;

use super::{START, request, windows};
use crate::influx::SECOND;
use crate::influx::parse::{Value, point};
use crate::runfile::{ProcessSample, RequestRow};

const NAMES: &str = include_str!("../../../../ledger/src/names.rs");
const PAGE: &str = include_str!("../../../../docs/influxdb.md");

/// Tags and fields of a measurement.
#[derive(Debug, Default, PartialEq, Eq)]
struct Shape {
    tags: Vec<String>,
    /// With a letter for the type: `i`nteger, `t`ext, `f`raction.
    fields: BTreeSet<(String, char)>,
}

/// What the sidecar writes when it has seen everything there is.
fn written() -> BTreeMap<String, Shape> {
    let mut windows = windows();
    let by_hand = RequestRow { cell: "".into(), unasked: true, ..request(START, 5_000) };
    windows.requests(&[request(START, 5_000), by_hand], START + 1);
    for at_ns in [START, START + SECOND] {
        let sample = ProcessSample { at_ns, process: "echo".into(), pid: 7, ..Default::default() };
        windows.samples(&[sample], at_ns);
    }
    let mut shapes: BTreeMap<String, Shape> = BTreeMap::new();
    for line in windows.due(START + 2 * SECOND, true).as_str().lines() {
        let point = point(line).unwrap();
        let shape = shapes.entry(point.measurement).or_default();
        shape.tags = point.tags.into_iter().map(|(key, _)| key).collect();
        shape.fields.extend(point.fields.into_iter().map(|(key, value)| match value {
            Value::Int(_) => (key, 'i'),
            Value::Text(_) => (key, 't'),
            Value::Float(_) | Value::Bool(_) => (key, 'f'),
        }));
    }
    shapes
}

/// What the page lists.
fn documented() -> BTreeMap<String, Shape> {
    let section = PAGE.split("## Measurements").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut shapes = BTreeMap::new();
    for part in section.split("\n### `").skip(1) {
        let (name, text) = part.split_once('`').unwrap();
        let tags = text.split("Tags:").nth(1).unwrap().split('.').next().unwrap();
        let quoted = |text: &str| -> Vec<String> {
            text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
        };
        let tags = quoted(tags).into_iter().filter(|tag| tag != "host").collect();
        let rows = text.lines().filter(|line| line.starts_with("| `"));
        let fields = rows.map(|row| {
            let unit = row.split('|').nth(2).unwrap();
            let kind = ['i', 't'].into_iter().find(|kind| unit.contains(&format!("*{kind}*")));
            (quoted(row)[0].clone(), kind.unwrap_or('f'))
        });
        shapes.insert(name.to_owned(), Shape { tags, fields: fields.collect() });
    }
    shapes
}

/// The values of the constants whose names begin with `prefix`.
fn constants(prefix: &str) -> BTreeSet<String> {
    let lines = NAMES.lines().filter_map(|line| line.strip_prefix("pub const "));
    let ours = lines.filter(|line| line.starts_with(prefix));
    ours.map(|line| line.split('"').nth(1).unwrap().to_owned()).collect()
}

#[test]
fn the_page_lists_what_the_sidecar_writes() {
    let documented = documented();
    let written = written();
    assert_eq!(written.len(), 4);
    for (measurement, shape) in written {
        assert_eq!(Some(&shape), documented.get(&measurement), "{measurement}");
    }
}

#[test]
fn the_page_lists_every_constant_and_no_other_name() {
    let documented = documented();
    let (mut tags, mut fields) = (BTreeSet::new(), BTreeSet::new());
    for shape in documented.values() {
        tags.extend(shape.tags.iter().cloned());
        fields.extend(shape.fields.iter().map(|(name, _)| name.clone()));
    }
    assert_eq!(documented.into_keys().collect::<BTreeSet<_>>(), constants("M_"));
    assert_eq!(tags, constants("T_"));
    assert_eq!(fields, constants("F_"));
    assert!(constants("M_").contains(names::M_HOP), "the constants are read");
}
