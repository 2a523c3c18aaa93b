//! What holds for the dashboards' files without any data.

use std::collections::BTreeSet;

use lab_model::Protocol;
use ledger::{Family, names};
use serde_json::{Value, json};

use crate::panels::board::{Board, Panel, boards};
use crate::words::Words;

const UIDS: [&str; 4] = ["lab-breakdown", "lab-rest-vs-grpc", "lab-processes", "lab-trust"];
const SOURCE: &str = "lab-influxdb";
/// Words of InfluxQL that the dashboards use.
const LANGUAGE: [&str; 26] = [
    "AND", "AS", "BY", "DESC", "FROM", "GROUP", "KEY", "ORDER", "SELECT", "SHOW", "TAG", "VALUES",
    "WHERE", "WITH", "count", "fill", "last", "max", "mean", "min", "none", "null", "sum", "time",
    "s", "distinct",
];

/// Every query of a board, with where it is.
pub(crate) fn queries(board: &Board) -> Vec<(String, String)> {
    let panels = board.panels();
    let targets = panels.iter().flat_map(|panel| {
        let at = |name: &str| format!("{}, {} ({name})", board.uid, panel.title);
        panel.targets.iter().map(move |target| (at(&target.name), target.query.clone()))
    });
    let variables =
        board.variables().into_iter().map(|v| (format!("{}, ${}", board.uid, v.name), v.query));
    targets.chain(variables).chain(board.annotations()).collect()
}

/// Calls `each` with every object in `json`.
fn objects<'a>(json: &'a Value, each: &mut impl FnMut(&'a serde_json::Map<String, Value>)) {
    match json {
        Value::Object(map) => {
            each(map);
            map.values().for_each(|value| objects(value, each));
        }
        Value::Array(list) => list.iter().for_each(|value| objects(value, each)),
        _ => {}
    }
}

pub(crate) fn the_uids_are_the_four_and_the_schema_is_that_of_grafana_12() {
    let boards = boards();
    assert_eq!(boards.iter().map(|b| b.json["uid"].as_str().unwrap()).collect::<Vec<_>>(), UIDS);
    for board in &boards {
        assert_eq!(board.json["schemaVersion"], 42, "{}", board.uid);
        assert_eq!(board.json["id"], Value::Null, "{}: an id is of one Grafana only", board.uid);
        assert!(!board.panels().is_empty());
    }
}

pub(crate) fn every_panel_says_what_it_means_and_in_which_unit() {
    for board in boards() {
        for Panel { title, json, targets, .. } in board.panels() {
            let at = format!("{}, {title}", board.uid);
            let description = json["description"].as_str().unwrap_or_default();
            assert!(description.len() > 25, "{at}: description {description:?}");
            let unit = json["fieldConfig"]["defaults"]["unit"].as_str().unwrap_or_default();
            assert!(!unit.is_empty(), "{at}: no unit");
            assert!(!targets.is_empty(), "{at}: asks nothing");
        }
    }
}

pub(crate) fn everything_is_asked_of_the_datasource_that_is_provisioned() {
    for board in boards() {
        objects(&board.json, &mut |object| {
            let Some(source) = object.get("datasource") else { return };
            if object.get("builtIn") == Some(&json!(1)) {
                return; // Grafana's own annotations, which it adds to every dashboard.
            }
            assert_eq!(source, &json!({"type": "influxdb", "uid": SOURCE}), "{}", board.uid);
        });
    }
    let source = include_str!("../../../../grafana/provisioning/datasources/influxdb.yaml");
    let provider = include_str!("../../../../grafana/provisioning/dashboards/lab.yaml");
    for line in ["uid: lab-influxdb", "url: $LAB_INFLUXDB_URL", "dbName: $LAB_INFLUXDB_DATABASE"] {
        assert!(source.lines().any(|l| l.trim() == line), "no {line}");
    }
    assert!(source.contains("httpHeaderValue1: Token $LAB_INFLUXDB_TOKEN"));
    assert!(provider.contains("path: $LAB_GRAFANA_DASHBOARDS"));
}

pub(crate) fn links_lead_to_dashboards_that_exist_and_keep_time_and_variables() {
    for board in boards() {
        let mut others: BTreeSet<&str> = UIDS.into_iter().filter(|uid| *uid != board.uid).collect();
        objects(&board.json, &mut |object| {
            let Some(url) = object.get("url").and_then(Value::as_str) else { return };
            let path = url.split(['?', '&']).next().unwrap();
            let uid = path.strip_prefix("/d/").unwrap_or_else(|| panic!("{}: {url}", board.uid));
            assert!(UIDS.contains(&uid), "{}: no dashboard {uid}", board.uid);
            if object.get("type") == Some(&json!("link")) {
                others.remove(uid);
                assert_eq!(
                    (&object["keepTime"], &object["includeVars"]),
                    (&json!(true), &json!(true))
                );
            } else {
                assert!(
                    url.contains("${run:queryparam}") && url.contains("${__url_time_range}"),
                    "{url}"
                );
            }
        });
        assert!(others.is_empty(), "{} has no link to {others:?}", board.uid);
    }
}

pub(crate) fn queries_name_only_what_the_lab_writes() {
    let protocols = [Protocol::Rest, Protocol::Grpc].map(Protocol::name);
    for (at, query) in boards().iter().flat_map(queries) {
        let words = Words::of(&query);
        let measurement = words.measurement().unwrap_or_else(|error| panic!("{at}: {error}"));
        for name in &words.names {
            let known = measurement.tags.contains(&name.as_str())
                || measurement.fields.concat().contains(&name.as_str())
                || words.aliases.contains(name);
            assert!(known, "{at}: {:?} has no tag or field {name:?}", measurement.name);
        }
        for (name, value) in &words.compared {
            let known = match name.as_str() {
                names::T_FAMILY => Family::from_name(value).is_some(),
                names::T_PROTOCOL => value == names::NO_CELL || protocols.contains(&value.as_str()),
                names::F_EVENT => value == "began",
                _ => false,
            };
            assert!(known, "{at}: {name:?} is never {value:?}");
        }
        for word in &words.bare {
            assert!(LANGUAGE.contains(&word.as_str()), "{at}: {word} is not in double quotes");
        }
    }
}

pub(crate) fn a_family_is_named_by_its_own_stages_and_all_are_there() {
    let board = &boards()[0];
    let panel = board.panels().into_iter().find(|p| p.title == "Where the latency goes").unwrap();
    let words = Words::of(&panel.targets[0].query);
    let asked: BTreeSet<_> = words.compared.iter().map(|(_, value)| value.as_str()).collect();
    assert_eq!(asked, Family::ALL.map(Family::name).into_iter().collect());
}

pub(crate) fn variables_that_are_used_are_there_and_all_that_are_there_are_used() {
    for board in boards() {
        let there: BTreeSet<_> = board.variables().into_iter().map(|v| v.name).collect();
        let words = queries(&board).into_iter().flat_map(|(_, query)| Words::of(&query).variables);
        let used: BTreeSet<_> =
            words.filter(|name| !name.starts_with("__") && name != "timeFilter").collect();
        assert_eq!(used, there, "{}", board.uid);
    }
}

pub(crate) fn looks_and_transformations_name_columns_that_there_are() {
    for board in boards() {
        for panel in board.panels() {
            let mut columns: BTreeSet<String> = ["Time".to_owned()].into();
            for target in &panel.targets {
                let words = Words::of(&target.query);
                columns.extend(words.aliases.into_iter().chain(words.names));
            }
            let targets = panel.json["targets"].as_array().unwrap();
            columns.extend(targets.iter().filter_map(|t| t["alias"].as_str().map(str::to_owned)));
            let mut named: Vec<&str> = Vec::new();
            objects(&panel.json, &mut |object| {
                if object.get("id") == Some(&json!("byName")) {
                    named.extend(object["options"].as_str());
                }
                for list in ["excludeByName", "indexByName", "renameByName"] {
                    let keys = object.get(list).and_then(Value::as_object);
                    named.extend(keys.into_iter().flat_map(|map| map.keys().map(String::as_str)));
                }
                named.extend(object.get("xField").and_then(Value::as_str));
            });
            for name in named {
                assert!(
                    columns.contains(name),
                    "{}, {}: no column {name:?}",
                    board.uid,
                    panel.title
                );
            }
        }
    }
}

pub(crate) fn panels_lie_side_by_side() {
    for board in boards() {
        let mut taken = BTreeSet::new();
        for panel in board.json["panels"].as_array().unwrap() {
            let [x, y, w, h] =
                ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().unwrap());
            assert!(x + w <= 24, "{}, {}", board.uid, panel["title"]);
            for place in (y..y + h).flat_map(|y| (x..x + w).map(move |x| (x, y))) {
                assert!(taken.insert(place), "{}: {} covers another", board.uid, panel["title"]);
            }
        }
    }
}
