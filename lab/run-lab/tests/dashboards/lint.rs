//! What Grafana's dashboard-linter asks of a dashboard, as far as it is about InfluxQL, as tests; and what else has to be so
//! that a dashboard can be imported into anybody's Grafana. The rules about Prometheus and Loki have nothing to look at.
//!
//! One of its rules is not kept: that a dashboard cannot be edited. These are edited in Grafana (docs/dashboards.md).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::panels::board::{Panel, boards};
use crate::shape::objects;

/// Units of Grafana's that the dashboards use.
const UNITS: [&str; 7] = ["none", "percentunit", "µs", "reqps", "decbytes", "bytes", "ops"];
/// How the variable of the datasource is referred to.
const SOURCE: &str = "${datasource}";

/// Its rule template-datasource-rule.
pub(crate) fn the_datasource_is_a_variable_that_comes_first() {
    for board in boards() {
        let first = &board.json["templating"]["list"][0];
        let expected = [
            ("type", "datasource"),
            ("name", "datasource"),
            ("label", "Data source"),
            ("query", "influxdb"),
        ];
        for (key, value) in expected {
            assert_eq!(first[key], value, "{}: {key}", board.uid);
        }
        assert_eq!(first["hide"], 0, "{}: nobody could choose another", board.uid);
    }
}

/// Its rules panel-datasource-rule and target-*-datasource.
pub(crate) fn everything_is_asked_of_the_datasource_that_was_chosen() {
    for board in boards() {
        objects(&board.json, &mut |object| {
            let Some(source) = object.get("datasource") else { return };
            if object.get("builtIn") == Some(&json!(1)) {
                return; // Grafana's own annotations, which it adds to every dashboard.
            }
            assert_eq!(source, &json!({"type": "influxdb", "uid": SOURCE}), "{}", board.uid);
        });
        assert!(
            !board.json.to_string().contains("lab-influxdb"),
            "{}: a uid of one Grafana",
            board.uid
        );
    }
    let source = include_str!("../../../../grafana/provisioning/datasources/influxdb.yaml");
    let provider = include_str!("../../../../grafana/provisioning/dashboards/lab.yaml");
    for line in ["isDefault: true", "url: $LAB_INFLUXDB_URL", "dbName: $LAB_INFLUXDB_DATABASE"] {
        assert!(source.lines().any(|l| l.trim() == line), "no {line}");
    }
    assert!(source.contains("httpHeaderValue1: Token $LAB_INFLUXDB_TOKEN"));
    assert!(provider.contains("path: $LAB_GRAFANA_DASHBOARDS"));
}

/// Its rule template-on-time-change-reload-rule: runs come and go while one looks.
pub(crate) fn variables_are_asked_anew_when_the_time_changes() {
    for board in boards() {
        for variable in board.json["templating"]["list"].as_array().unwrap() {
            let query = variable["type"] == "query";
            assert!(!query || variable["refresh"] == 2, "{}: {}", board.uid, variable["name"]);
        }
    }
}

/// Its rules panel-title-description-rule, panel-units-rule and panel-no-targets-rule; and what a panel says where there is
/// nothing to show.
pub(crate) fn every_panel_says_what_it_means_in_which_unit_and_why_it_may_be_empty() {
    for board in boards() {
        let mut titles = BTreeSet::new();
        for Panel { title, json, targets, no_value, .. } in board.panels() {
            let at = format!("{}, {title}", board.uid);
            assert!(!title.is_empty() && titles.insert(title.clone()), "{at}: which one?");
            let description = json["description"].as_str().unwrap_or_default();
            assert!(description.len() > 25, "{at}: description {description:?}");
            assert!(!targets.is_empty(), "{at}: asks nothing");
            // A number has little room; everything else says a sentence.
            let least = if json["type"] == "stat" { 8 } else { 25 };
            assert!(no_value.len() >= least, "{at}: {no_value:?} where it is empty");
            objects(&json, &mut |object| {
                let own = object.get("unit").and_then(Value::as_str);
                let unit = object.get("id").filter(|id| *id == "unit").and(object.get("value"));
                for unit in own.into_iter().chain(unit.and_then(Value::as_str)) {
                    assert!(
                        UNITS.contains(&unit) || unit.starts_with("suffix:"),
                        "{at}: unit {unit:?}"
                    );
                }
            });
            assert!(json["fieldConfig"]["defaults"]["unit"].is_string(), "{at}: no unit");
        }
    }
}

/// What an import looks at: nothing has to be asked for, and which panels have to be there is told.
pub(crate) fn an_import_needs_nothing_but_an_influxdb() {
    for board in boards() {
        assert_eq!(board.json["__inputs"], json!([]), "{}", board.uid);
        assert_eq!(board.json["id"], Value::Null, "{}: an id is of one Grafana only", board.uid);
        let required = board.json["__requires"].as_array().unwrap();
        let of_kind = |kind: &str| -> BTreeSet<&str> {
            let of_it = required.iter().filter(|one| one["type"] == kind);
            of_it.map(|one| one["id"].as_str().unwrap()).collect()
        };
        let panels = board.panels();
        let kinds: BTreeSet<&str> =
            panels.iter().map(|panel| panel.json["type"].as_str().unwrap()).collect();
        assert_eq!(of_kind("panel"), kinds, "{}", board.uid);
        assert_eq!(of_kind("datasource"), ["influxdb"].into(), "{}", board.uid);
    }
}
