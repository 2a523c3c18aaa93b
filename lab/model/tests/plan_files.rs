//! What plan files may say: `docs/plans.md` and `docs/plan.schema.json` are made from the types that read them, and
//! every built-in plan is accepted by the schema and by `--plan`.

use std::fmt::Write as _;

use expect_test::expect_file;
use lab_model::plan::{self, BUILT_IN, Overrides, Plan};
use serde_json::{Map, Value};

/// Columns of a page.
const WIDTH: usize = 118;

const HEAD: &str = "\
# Plan files

A plan says what to run. It is a TOML file:

```toml
protocol = [\"rest\", \"grpc\"]
payload = [\"10\", \"1MB\"]
rate = 100
duration = \"10s\"
rounds = 6
```

```sh
run-lab run --plan mine.toml
run-lab plans --show smoke > mine.toml    # begin with a built-in plan
run-lab plans --schema > plan.schema.json
```

`protocol`, `payload`, `rate` and `[[variant]]` are *factors*: each combination of them is a *cell*, run `rounds` times.
Rounds run the cells forward, then backward, so that a drift of the machine weighs on both ends alike. The command line
changes a plan without another file: `--size`, `--rate`, `--set` and the rest ([configuration.md](configuration.md)).

A key that is not known, a value of another type or outside its limits is refused with file, line, key and what can be
written. So is a setting that no cell would read. An editor that checks TOML (Taplo, Even Better TOML) takes the
schema, [plan.schema.json](plan.schema.json), from a first line such as `#:schema plan.schema.json`.

This page is made from the types that read the file: `UPDATE_EXPECT=1 cargo test --workspace --test plan_files` writes
page and schema anew.
";

/// The tables of a plan file: what the page calls each, and the name of its schema.
const TABLES: [(&str, &str); 9] = [
    ("[knobs]", "knobs"),
    ("[[variant]]", "variant"),
    ("[[arm]]", "arm"),
    ("[[objective]]", "objective"),
    ("[certify]", "certify"),
    ("[workloads.NAME]", "workload"),
    ("[[workloads.NAME.request]]", "request"),
    ("[workloads.NAME.request.answer]", "answer"),
    ("[[workloads.NAME.carries]]", "carried"),
];

#[test]
fn the_page_of_plans_and_the_schema_are_what_the_reader_takes() {
    expect_file!["../../../docs/plan.schema.json"].assert_eq(&format!("{:#}\n", plan::schema()));
    expect_file!["../../../docs/plans.md"].assert_eq(&page(&plan::schema()));
}

#[test]
fn every_built_in_plan_is_accepted_by_the_schema_and_as_a_file() {
    let schema = jsonschema::validator_for(&plan::schema()).expect("a schema");
    let dir = tempfile::tempdir().expect("a folder");
    for (name, text) in BUILT_IN {
        let json: Value = toml::from_str(text).expect("TOML");
        let errors: Vec<String> =
            schema.iter_errors(&json).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{name}: {errors:?}");
        let path = dir.path().join(format!("{name}.toml"));
        std::fs::write(&path, text).expect("a file");
        let path = path.to_str().expect("a path");
        let [file, built_in] = [path, name].map(|plan| plan::load(plan, &Overrides::default()));
        assert_eq!(file.expect("a plan"), built_in.expect("a plan"), "{name}");
    }
}

#[test]
fn the_schema_refuses_what_the_reader_refuses() {
    let schema = jsonschema::validator_for(&plan::schema()).expect("a schema");
    let sound = "protocol = ['rest', 'grpc']\npayload = [10]\nrate = 100\nduration = '1s'\n";
    for (line, sound_too) in [
        ("", true),
        ("rounds = 6", true),
        ("rounds = 0", false),
        ("max_in_flight = 10001", false),
        ("crowd = 3", false),
        ("warmup = '1.5s'", true),
        ("warmup = '5'", false),
        ("timeout = 5", false),
        ("arrivals = 'poisson'", true),
        ("arrivals = 'often'", false),
        ("traces_per_second = 0", false),
        ("[knobs]\nstream_window = '64KiB'", true),
        ("[knobs]\nstream_window = '64Kib'", false),
        ("[knobs]\nwindow = 1", false),
        ("[knobs]\nworker_threads = 0", false),
        ("[knobs.inject]\n'echo:handler' = '5ms'", true),
        ("[[objective]]\nholds = 'p99<200ms'", true),
        ("[[objective]]\nholds = 'p42<200ms'", false),
        ("[certify]\npairs = 1", false),
        ("[[variant]]\nprotocol = ['soap']", false),
    ] {
        let text = format!("{sound}{line}\n");
        let value: Value = toml::from_str(&text).expect("TOML");
        let read = Plan::read("mine.toml", &text, &Overrides::default());
        assert_eq!(read.is_ok(), sound_too, "{line}: {read:?}");
        assert_eq!(schema.is_valid(&value), sound_too, "{line}");
    }
}

#[test]
fn a_default_that_is_written_out_changes_nothing() {
    let sound: toml::Table = toml::from_str(
        "protocol = ['rest']\npayload = [10]\nrate = 100\nduration = '1s'\ncertify = {}",
    )
    .expect("TOML");
    let read = |table: &toml::Table| {
        let text = toml::to_string(table).expect("TOML");
        Plan::read("mine.toml", &text, &Overrides::default()).expect("a plan")
    };
    let schema = plan::schema();
    let mut written = 0;
    let tables = [
        (None, &schema["properties"]),
        (Some("certify"), &schema["$defs"]["certify"]["properties"]),
    ];
    for (within, properties) in tables {
        for (key, property) in properties.as_object().expect("keys") {
            let Some(default) = property.get("default") else { continue };
            if within.is_none() && sound.contains_key(key) {
                continue;
            }
            let default: toml::Value = serde_json::from_value(default.clone()).expect("a value");
            let mut plan = sound.clone();
            let table = match within {
                Some(name) => plan[name].as_table_mut().expect("a table"),
                None => &mut plan,
            };
            table.insert(key.clone(), default);
            assert_eq!(read(&plan), read(&sound), "{key}");
            written += 1;
        }
    }
    assert!(written > 8, "{written} keys have defaults");
}

/// The page that says what the schema says.
fn page(schema: &Value) -> String {
    let mut page = HEAD.to_owned();
    page.push_str("\n## The plan itself\n\n");
    keys(schema, &mut page);
    for (title, name) in TABLES {
        let table = &schema["$defs"][name];
        let _ = write!(page, "\n## `{title}`\n\n{}\n\n", wrap(text(table, "description"), 0));
        keys(table, &mut page);
    }
    let told = schema["$defs"].as_object().expect("tables").len();
    assert_eq!(told, TABLES.len(), "the page leaves a table out: {}", schema["$defs"]);
    page
}

/// A list of the keys of `table`: those that must be there first.
fn keys(table: &Value, page: &mut String) {
    let required = |key: &str| {
        table["required"].as_array().is_some_and(|keys| keys.iter().any(|other| *other == key))
    };
    let all: &Map<String, Value> = table["properties"].as_object().expect("keys");
    let (must, may): (Vec<_>, Vec<_>) = all.iter().partition(|(key, _)| required(key));
    for (key, value) in must.iter().chain(&may) {
        let default = match value.get("default") {
            None => String::new(),
            Some(Value::String(text)) if text.is_empty() => String::new(),
            Some(Value::Array(list)) if list.is_empty() => String::new(),
            Some(Value::Object(_)) => String::new(),
            Some(default) => format!("; `{default}` if absent"),
        };
        let must = if required(key) { ", must be there" } else { "" };
        let about = text(value, "description");
        let line = format!("- **`{key}`**{must}: {}{default}. {about}", form(value));
        page.push_str(&wrap(&line, 2));
        page.push('\n');
    }
}

/// How a value is written, in words.
fn form(value: &Value) -> String {
    if let Some(title) = value["title"].as_str() {
        return title.to_owned();
    }
    if let Some(table) = value["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        let (title, _) = TABLES.iter().find(|(_, name)| *name == table).expect("a table");
        return format!("a table, see `{title}`");
    }
    if let Some(words) = value["enum"].as_array().or_else(|| value["oneOf"].as_array()) {
        let words = words.iter().map(|word| word.get("const").unwrap_or(word));
        return words.map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or ");
    }
    if let Some(choices) = value["anyOf"].as_array() {
        let mut forms: Vec<String> = choices.iter().map(form).collect();
        forms.dedup();
        return forms.join(", or ");
    }
    if let Some(only) = value.get("const") {
        return format!("`{only}`");
    }
    let limits = match (&value["minimum"], &value["maximum"]) {
        (Value::Number(low), Value::Number(high)) => {
            format!(" from {} to {}", low.as_f64().unwrap_or(0.0), high.as_f64().unwrap_or(0.0))
        }
        _ => String::new(),
    };
    match value["type"].as_str() {
        Some("integer") => format!("a whole number{limits}"),
        Some("number") => format!("a number{limits}"),
        Some("boolean") => "true or false".to_owned(),
        Some("string") => "a text".to_owned(),
        Some("array") => match form(&value["items"]) {
            of if of.starts_with("a table, see") => of.replace("a table", "tables"),
            of => format!("a list, each {of}"),
        },
        Some("object") => match value.get("additionalProperties") {
            Some(Value::Object(_)) => {
                format!("a table by name, each {}", form(&value["additionalProperties"]))
            }
            _ => "a table".to_owned(),
        },
        _ => "any value".to_owned(),
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no {key}: {value}"))
}

/// `text` in lines, every line but the first behind `indent` spaces.
fn wrap(text: &str, indent: usize) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("a line");
        if !line.trim().is_empty() && line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push(format!("{}{word}", " ".repeat(indent)));
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.join("\n")
}
