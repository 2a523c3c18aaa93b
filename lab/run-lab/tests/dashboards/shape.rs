//! What holds for the dashboards' files without any data: that they fit each other and what is written. What Grafana's
//! own dashboard-linter asks for is in [`crate::lint`].

use std::collections::BTreeSet;

use lab_model::Protocol;
use ledger::{Family, Stage, names};
use serde_json::{Value, json};

use crate::panels::board::{Board, Panel, boards};
use crate::words::Words;

pub(crate) const UIDS: [&str; 5] =
    ["lab-breakdown", "lab-rest-vs-grpc", "lab-processes", "lab-trust", "lab-history"];
/// Words of InfluxQL that the dashboards use.
const LANGUAGE: [&str; 27] = [
    "AND", "AS", "BY", "DESC", "FROM", "GROUP", "KEY", "ORDER", "SELECT", "SHOW", "TAG", "VALUES",
    "WHERE", "WITH", "count", "fill", "last", "max", "mean", "min", "none", "null", "sum", "time",
    "s", "distinct", "median",
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
pub(crate) fn objects<'a>(
    json: &'a Value,
    each: &mut impl FnMut(&'a serde_json::Map<String, Value>),
) {
    match json {
        Value::Object(map) => {
            each(map);
            map.values().for_each(|value| objects(value, each));
        }
        Value::Array(list) => list.iter().for_each(|value| objects(value, each)),
        _ => {}
    }
}

pub(crate) fn the_uids_are_the_five_and_the_schema_is_that_of_grafana_12() {
    let boards = boards();
    assert_eq!(boards.iter().map(|b| b.json["uid"].as_str().unwrap()).collect::<Vec<_>>(), UIDS);
    for board in &boards {
        assert_eq!(board.json["schemaVersion"], 42, "{}", board.uid);
        assert_eq!(board.json["id"], Value::Null, "{}: an id is of one Grafana only", board.uid);
        assert!(!board.panels().is_empty());
    }
}

pub(crate) fn links_lead_to_dashboards_that_exist_and_keep_time_and_variables() {
    for board in boards() {
        let mut others: BTreeSet<&str> = UIDS.into_iter().filter(|uid| *uid != board.uid).collect();
        objects(&board.json, &mut |object| {
            let Some(url) = object.get("url").and_then(Value::as_str) else { return };
            let path = url.split(['?', '&']).next().unwrap();
            let uid = path.strip_prefix("/d/").unwrap_or_else(|| panic!("{}: {url}", board.uid));
            assert!(UIDS.contains(&uid), "{}: no dashboard {uid}", board.uid);
            let history = uid == "lab-history";
            if object.get("type") == Some(&json!("link")) {
                others.remove(uid);
                // All runs are more than the time of one.
                assert_eq!(object["keepTime"], !history, "{}: {url}", board.uid);
                assert_eq!(object["includeVars"], true);
            } else {
                let run =
                    ["${run:queryparam}", "var-run=${__data.fields.run}", "var-run=${__value.raw}"];
                assert!(history || run.iter().any(|run| url.contains(run)), "{url}");
                assert!(history || url.contains("${__url_time_range}"), "{url}");
                assert!(url.contains("${datasource:queryparam}"), "{url}");
            }
        });
        assert!(others.is_empty(), "{} has no link to {others:?}", board.uid);
    }
}

pub(crate) fn queries_name_only_what_the_lab_writes() {
    let protocols = [Protocol::Rest, Protocol::Grpc].map(Protocol::name);
    assert_eq!(protocols, names::PROTOCOLS);
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
                names::T_FAMILY => value == names::WHOLE || Family::from_name(value).is_some(),
                names::T_STAGE => Stage::from_name(value).is_ok(),
                names::T_PROTOCOL => protocols.contains(&value.as_str()),
                names::T_CELL | names::T_PAYLOAD => value == names::NO_CELL,
                names::T_PROCESS => value == "host",
                names::F_EVENT => value == names::BEGAN,
                _ => false,
            };
            assert!(known, "{at}: {name:?} is never {value:?}");
        }
        for word in &words.bare {
            assert!(LANGUAGE.contains(&word.as_str()), "{at}: {word} is not in double quotes");
        }
    }
}

fn panel<'a>(panels: &'a [Panel], title: &str) -> &'a Panel {
    panels.iter().find(|panel| panel.title == title).unwrap_or_else(|| panic!("no panel {title:?}"))
}

/// The fixed colours of a panel's series, by the pattern or the name of the series.
fn colours(panel: &Panel) -> Vec<(&str, &str)> {
    let overrides = panel.json["fieldConfig"]["overrides"].as_array().unwrap().iter();
    let colour = |one: &'_ &Value| {
        let properties = one["properties"].as_array().unwrap();
        properties.iter().find(|property| property["id"] == "color").is_some()
    };
    let coloured = overrides.filter(colour).map(|one| {
        let properties = one["properties"].as_array().unwrap();
        let of_it = properties.iter().find(|property| property["id"] == "color").unwrap();
        (
            one["matcher"]["options"].as_str().unwrap(),
            of_it["value"]["fixedColor"].as_str().unwrap(),
        )
    });
    coloured.collect()
}

pub(crate) fn a_family_is_named_by_its_own_stages_and_all_are_there() {
    let panels = boards()[0].panels();
    let panel = panel(&panels, "Latency over time");
    let words = Words::of(&panel.targets[0].query);
    let families = words.compared.iter().filter(|(name, _)| name == names::T_FAMILY);
    let asked: BTreeSet<_> = families.map(|(_, value)| value.as_str()).collect();
    assert_eq!(asked, Family::ALL.map(Family::name).into_iter().collect());
    // What is inferred is taken out of the network, and is beside it.
    let stages: Vec<_> = words.compared.iter().filter(|(name, _)| name == names::T_STAGE).collect();
    assert!(stages.len() == 2 && stages.iter().all(|(_, value)| value == "network_inferred"));
}

/// A stage has the colour that one pattern says, whose beginning is what its series begins with.
pub(crate) fn every_stage_has_one_colour_and_those_of_a_family_differ() {
    let panels = boards()[0].panels();
    let panel = panel(&panels, "Stages over time");
    let alias = panel.json["targets"][0]["alias"].as_str().unwrap();
    assert_eq!(alias, "$tag_family: $tag_stage ($tag_hop)");
    let colours = colours(panel);
    let edge_and_inner = Stage::ALL.iter().flat_map(|stage| [(stage, 0), (stage, 1)]);
    let mut patterns = BTreeSet::new();
    for (stage, depth) in edge_and_inner {
        let name = format!("{}: {} (", stage.family_at(depth).name(), stage.name());
        let fits = |(pattern, _): &&(&str, &str)| {
            let begins = pattern.strip_prefix("/^").and_then(|rest| rest.strip_suffix('/'));
            name.starts_with(begins.expect("a pattern"))
        };
        let found: Vec<_> = colours.iter().filter(fits).collect();
        assert_eq!(found.len(), 1, "{name}: {found:?}");
        patterns.insert(found[0].0);
    }
    assert_eq!(patterns.len(), colours.len(), "each is of a stage that there is");
    let different: BTreeSet<_> = colours.iter().map(|(_, colour)| *colour).collect();
    assert_eq!(different.len(), colours.len(), "no two are alike");
}

pub(crate) fn a_protocol_has_one_colour_everywhere_and_it_is_no_familys() {
    let boards = boards();
    let panels = boards[0].panels();
    let families: BTreeSet<_> = colours(panel(&panels, "Latency over time"))
        .into_iter()
        .map(|(_, c)| c.to_owned())
        .collect();
    for (protocol, of_cells) in [("REST", "/^rest/"), ("gRPC", "/^grpc/")] {
        let mut found = BTreeSet::new();
        for panel in boards.iter().flat_map(Board::panels) {
            let own =
                colours(&panel).into_iter().filter(|(name, _)| [protocol, of_cells].contains(name));
            found.extend(own.map(|(_, colour)| colour.to_owned()));
        }
        assert_eq!(found.len(), 1, "{protocol}: {found:?}");
        assert!(found.is_disjoint(&families), "{protocol} has the colour of a family");
    }
}

pub(crate) fn what_is_stacked_begins_at_0_and_what_is_repeated_can_be() {
    for board in boards() {
        let variables: Vec<String> = board.variables().into_iter().map(|v| v.name).collect();
        for Panel { title, json, repeat, .. } in board.panels() {
            let at = format!("{}, {title}", board.uid);
            let custom = &json["fieldConfig"]["defaults"]["custom"];
            let stacked =
                custom["stacking"]["mode"] == "normal" || json["options"]["stacking"] == "normal";
            assert!(!stacked || json["fieldConfig"]["defaults"]["min"] == 0, "{at}: no min");
            let log = custom["scaleDistribution"]["type"] == "log";
            assert!(
                !(log && json["type"] == "barchart"),
                "{at}: bars have no foot on a logarithmic axis"
            );
            if let Some(by) = repeat {
                assert!(variables.contains(&by), "{at}: no variable {by}");
                assert!(title.contains(&format!("${{{by}")), "{at}: which of them is it?");
            }
        }
    }
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
            // Frames that are joined keep their times, which are told apart by number.
            let mut columns: BTreeSet<String> =
                ["Time", "Time 1", "Time 2"].map(str::to_owned).into();
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
                for one in ["xField", "byField"] {
                    named.extend(object.get(one).and_then(Value::as_str));
                }
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
        let top = board.json["panels"].as_array().unwrap();
        check_places(&board.uid, top);
        for row in top.iter().filter(|panel| panel["type"] == "row") {
            check_places(&board.uid, row["panels"].as_array().unwrap());
        }
    }
}

/// No panel covers another.
fn check_places(board: &str, panels: &[Value]) {
    let mut taken = BTreeSet::new();
    for panel in panels {
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().unwrap());
        assert!(x + w <= 24, "{board}, {}", panel["title"]);
        for place in (y..y + h).flat_map(|y| (x..x + w).map(move |x| (x, y))) {
            assert!(taken.insert(place), "{board}: {} covers another", panel["title"]);
        }
    }
}
