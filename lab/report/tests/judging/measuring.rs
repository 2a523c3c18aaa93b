//! `docs/measuring.md` says what the code does.

use lab_judge::verdict::rules;
use ledger::{Family, Stage};

use crate::fixture::sample_run;

const PAGE: &str = include_str!("../../../../docs/measuring.md");

#[test]
fn the_page_lists_every_rule_with_its_limits() {
    let rows: Vec<String> = rules::ALL.iter().map(rules::Rule::row).collect();
    let missing: Vec<&String> = rows.iter().filter(|row| !PAGE.contains(row.as_str())).collect();
    assert!(missing.is_empty(), "docs/measuring.md should have these rows:\n{}", rows.join("\n"));
    let listed = PAGE
        .lines()
        .filter(|line| line.starts_with("| `") && line.matches('|').count() == 9)
        .count();
    assert_eq!(listed, rules::ALL.len(), "docs/measuring.md lists rules that do not exist");
}

#[test]
fn the_page_names_every_family_and_stage() {
    for family in Family::ALL {
        assert!(PAGE.contains(&format!("`{}`", family.name())), "{}", family.name());
    }
    for stage in Stage::ALL {
        assert!(
            PAGE.contains(&format!("| `{stage}` | {} |", stage.meaning())),
            "{stage}: {}",
            stage.meaning()
        );
    }
}

#[test]
fn the_page_names_every_field_of_a_result() {
    fn keys(value: &serde_json::Value, found: &mut Vec<String>) {
        match value {
            serde_json::Value::Object(map) => {
                for (key, value) in map {
                    found.push(key.clone());
                    // What errors said, what spans were lost for and the hops of a round are text, not fields.
                    let hops = key == "stages" && value.is_object();
                    if key != "errors" && key != "spans_lost" && key != "inject" && !hops {
                        keys(value, found);
                    }
                }
            }
            serde_json::Value::Array(values) => values.iter().for_each(|value| keys(value, found)),
            _ => {}
        }
    }
    let mut fixture = sample_run();
    fixture.rows[0].hops[0].injected.push((Stage::Handler, 1));
    fixture.rows[0].hops[1].claimed.reply = Some(24);
    let json = serde_json::from_str(&lab_report::json(&fixture.result())).expect("JSON");
    let mut found = Vec::new();
    keys(&json, &mut found);
    found.sort_unstable();
    found.dedup();
    let missing: Vec<_> = found.iter().filter(|key| !PAGE.contains(&format!("`{key}`"))).collect();
    assert!(missing.is_empty(), "docs/measuring.md does not name {missing:?}");
}
