//! `docs/reference.md` and `docs/troubleshooting.md` say what the code does.

use lab_judge::verdict::rules;
use ledger::{Family, Stage};

use crate::fixture::sample_run;

const PAGE: &str = include_str!("../../../../docs/reference.md");
const TROUBLES: &str = include_str!("../../../../docs/troubleshooting.md");

#[test]
fn the_page_lists_every_rule_with_its_limits() {
    let rows: Vec<String> = rules::ALL.iter().map(rules::Rule::row).collect();
    let missing: Vec<&String> = rows.iter().filter(|row| !PAGE.contains(row.as_str())).collect();
    assert!(missing.is_empty(), "docs/reference.md should have these rows:\n{}", rows.join("\n"));
    let listed = PAGE
        .lines()
        .filter(|line| line.starts_with("| `") && line.matches('|').count() == 7)
        .count();
    assert_eq!(listed, rules::ALL.len(), "docs/reference.md lists rules that do not exist");
}

#[test]
fn every_reason_has_a_section_that_says_what_to_do() {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (_, by_code) = TROUBLES.split_once("## Reasons by code").expect("the section");
    let sections: Vec<(&str, String)> = by_code
        .split("\n### `")
        .skip(1)
        .filter_map(|section| section.split_once('`'))
        .map(|(code, text)| (code, words(text)))
        .collect();
    let listed: Vec<&str> = sections.iter().map(|(code, _)| *code).collect();
    let codes: Vec<&str> = rules::ALL.iter().map(|rule| rule.code).collect();
    assert_eq!(listed, codes, "docs/troubleshooting.md has other codes than the rules");
    for (rule, (code, text)) in std::iter::zip(rules::ALL, &sections) {
        for said in [rule.value, rule.meaning] {
            assert!(text.contains(&words(said)), "`{code}` should say {said:?}: {text}");
        }
        let todo = text.split_once("**Do**: ").map_or(0, |(_, todo)| todo.split(' ').count());
        assert!(todo >= 3, "`{code}` should say what to do: {text}");
    }
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
    assert!(missing.is_empty(), "docs/reference.md does not name {missing:?}");
}
