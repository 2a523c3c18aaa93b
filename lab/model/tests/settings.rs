//! A setting is never swallowed: each has the form it has, and any other value of it is refused by key, value and
//! form, wherever in a plan or on the command line it stands.

use lab_model::Knobs;
use lab_model::plan::{Form, KNOBS, Knob, Overrides, Plan, assignment, read_knobs};
use proptest::prelude::*;
use toml::{Table, Value};

const PLAN: &str =
    "protocol = [\"rest\", \"grpc\"]\npayload = [10]\nrate = 100\nduration = \"2s\"\n";

/// A value of every type that TOML has.
fn any_value() -> impl Strategy<Value = Value> {
    let word = "[a-zA-Z0-9:=._ -]{0,12}";
    let leaf = prop_oneof![
        word.prop_map(Value::String),
        "[0-9]{1,6}(kB|KiB|MB)?".prop_map(Value::String),
        any::<i64>().prop_map(Value::Integer),
        (-9_i64..20_000).prop_map(Value::Integer),
        (-1e9..1e9).prop_map(Value::Float),
        Just(Value::Float(f64::INFINITY)),
        any::<bool>().prop_map(Value::Boolean),
        Just("1979-05-27T07:32:00Z".parse().map(Value::Datetime).expect("a date")),
        Just("07:32:00".parse().map(Value::Datetime).expect("a time")),
    ];
    leaf.prop_recursive(2, 8, 3, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            prop::collection::btree_map("[a-z:_-]{1,8}", inner, 0..3)
                .prop_map(|map| Value::Table(map.into_iter().collect())),
        ]
    })
}

/// Whether `value` has the type that the form asks for: what it says is another question.
fn has_type(form: Form, value: &Value) -> bool {
    match form {
        Form::Bytes(..) => matches!(value, Value::Integer(0..)) || value.is_str(),
        Form::Number(..) => matches!(value, Value::Integer(0..)),
        Form::Flag => value.is_bool(),
        Form::Word(_) | Form::Duration(_) | Form::Bandwidth => value.is_str(),
        Form::Delays => value.is_table(),
    }
}

fn knob() -> impl Strategy<Value = Knob> {
    prop::sample::select(KNOBS.to_vec())
}

fn one(name: &str, value: &Value) -> Table {
    Table::from_iter([(name.to_owned(), value.clone())])
}

/// The error of a plan with `settings` in the table called `place`.
fn in_plan(place: &str, settings: &Table) -> Result<Plan, String> {
    let mut table: Table = PLAN.parse().expect("a plan");
    let knobs = Value::Table(settings.clone());
    match place {
        "knobs" => table.insert("knobs".to_owned(), knobs),
        _ => table
            .insert("variant".to_owned(), Value::Array(vec![Value::Table(one("knobs", &knobs))])),
    };
    let text = toml::to_string(&table).expect("it is TOML");
    Plan::read("my.toml", &text, &Overrides::default()).map_err(|error| error.to_string())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// Taken means that it has an effect or is the default, refused means that key, value and form are named.
    #[test]
    fn a_value_is_taken_or_refused_by_key_value_and_form(knob in knob(), value in any_value()) {
        let read = read_knobs(&one(knob.name, &value)).map_err(|error| error.to_string());
        if !has_type(knob.form, &value) {
            let error = read.expect_err("another type");
            let whole = format!("{} = {value}: write {}", knob.name, knob.form.described());
            prop_assert_eq!(&error, &whole);
            for place in ["knobs", "variant"] {
                let error = in_plan(place, &one(knob.name, &value)).expect_err("another type");
                prop_assert_eq!(&error, &format!("my.toml: key `knobs`: {whole}"));
            }
            return Ok(());
        }
        match (read, &value) {
            (Ok(knobs), value) => prop_assert!(
                knobs != Knobs::default() || is_default(&knob, value),
                "{} = {value} is taken and says nothing", knob.name
            ),
            (Err(error), Value::Table(delays)) => {
                prop_assert!(delays.keys().any(|place| error.contains(&format!("{place:?}"))), "{error}");
            }
            (Err(error), _) => prop_assert!(error.starts_with(&format!("{} = ", knob.name)), "{error}"),
        }
    }

    /// The command line takes what a plan takes: a value in TOML means the same in both.
    #[test]
    fn an_assignment_means_what_the_same_line_of_a_plan_means(knob in knob(), value in any_value()) {
        let text = format!("{} = {value}", knob.name);
        let (name, read) = assignment(&text).expect("an assignment");
        prop_assert_eq!((name.as_str(), read.to_string()), (knob.name, value.to_string()));
    }

    /// No text after `--set KNOB=` is left out: it is taken, or refused by the name of the knob.
    #[test]
    fn no_text_is_left_out(knob in knob(), text in "[ -~\n]{0,20}") {
        let (name, value) = assignment(&format!("{}={text}", knob.name)).expect("an assignment");
        match read_knobs(&one(&name, &value)) {
            Ok(knobs) => prop_assert!(knobs != Knobs::default() || is_default(&knob, &value), "{text:?}"),
            Err(error) => prop_assert!(
                error.to_string().contains(knob.name) || knob.form == Form::Delays, "{error}"
            ),
        }
    }
}

/// Whether `value` asks for what is so anyway.
fn is_default(knob: &Knob, value: &Value) -> bool {
    match (knob.form, value) {
        (Form::Flag, Value::Boolean(on)) => !on,
        (Form::Word(words), Value::String(word)) => word == words[0],
        (Form::Delays, Value::Table(delays)) => delays.is_empty(),
        _ => false,
    }
}

#[test]
fn every_knob_of_the_services_has_a_form_and_each_form_an_effect() {
    for knob in KNOBS {
        let value = match knob.form {
            Form::Bytes(low, _) | Form::Number(low, _) => Value::Integer(low as i64),
            Form::Flag => Value::Boolean(true),
            Form::Word(words) => Value::String(words[1].to_owned()),
            Form::Duration(_) => Value::String("0s".to_owned()),
            Form::Bandwidth => Value::String("1kbit".to_owned()),
            Form::Delays => Value::Table(one("handler", &Value::String("1ms".to_owned()))),
        };
        let knobs = read_knobs(&one(knob.name, &value)).expect("the smallest value");
        assert_ne!(knobs, Knobs::default(), "{}", knob.name);
    }
    let Ok(Value::Table(all)) = Value::try_from(Knobs {
        stream_window: Some(1),
        connection_window: Some(1),
        frame_size: Some(1),
        rtt: Some(1),
        bandwidth: Some(1),
        worker_threads: Some(1),
        rest_size_bug: Some(1),
        users: Some(1),
        pool_size: Some(1),
        ..Knobs::default()
    }) else {
        panic!("knobs are a table");
    };
    let mut listed: Vec<_> = KNOBS.map(|knob| knob.name).into();
    let mut known: Vec<_> = all.keys().map(String::as_str).collect();
    listed.sort_unstable();
    known.sort_unstable();
    assert_eq!(listed, known);
}

/// Every key of a plan outside its knobs, with the types that it takes.
const KEYS: [(&str, &[&str]); 17] = [
    ("name", &["string"]),
    ("about", &["string"]),
    ("workload", &["string"]),
    ("protocol", &["array"]),
    ("payload", &["array"]),
    ("rate", &["integer", "float", "array"]),
    ("duration", &["string"]),
    ("warmup", &["string"]),
    ("rounds", &["integer"]),
    ("max_in_flight", &["integer"]),
    ("preallocated", &["integer"]),
    ("timeout", &["string"]),
    ("certify", &["table"]),
    ("knobs", &["table"]),
    ("variant", &["array"]),
    ("certify.pairs", &["integer"]),
    ("certify.round", &["string"]),
];

/// A value of each type of TOML.
const VALUES: [(&str, &str); 8] = [
    ("string", "\"words\""),
    ("integer", "7"),
    ("integer", "-7"),
    ("float", "1.5"),
    ("boolean", "true"),
    ("array", "[[true]]"),
    ("table", "{ none = 1 }"),
    ("datetime", "1979-05-27T07:32:00Z"),
];

#[test]
fn a_value_of_another_type_is_refused_at_every_key_of_a_plan() {
    for (key, types) in KEYS {
        for (of, value) in VALUES.into_iter().filter(|(of, _)| !types.contains(of)) {
            let base: String = PLAN
                .lines()
                .filter(|line| !line.starts_with(&format!("{key} =")))
                .map(|line| format!("{line}\n"))
                .collect();
            let text = format!("{base}{key} = {value}\n");
            let read = Plan::read("my.toml", &text, &Overrides::default());
            let error = read.map(|_| ()).expect_err(&format!("{of}: {text}")).to_string();
            assert!(error.starts_with("my.toml: "), "{error}");
            assert!(error.contains(&format!("{key} = {value}")), "{of} at {key}: {error}");
        }
    }
}

#[test]
fn an_unknown_key_is_refused_at_every_level() {
    for text in [
        "else = 1",
        "certify.else = 1",
        "knobs.else = 1",
        "variant = [{ else = 1 }]",
        "variant = [{ knobs = { else = 1 } }]",
        "certify = { knobs = {} }",
    ] {
        let read = Plan::read("my.toml", &format!("{PLAN}{text}\n"), &Overrides::default());
        let error = read.map(|_| ()).expect_err(text).to_string();
        assert!(error.contains("else") || error.contains("`knobs`"), "{error}");
    }
}

#[test]
fn what_no_cell_would_read_is_refused() {
    for (text, named) in [
        ("knobs = { inject = { \"pg-client:handler\" = \"1ms\" } }", "inject pg-client:handler"),
        ("knobs = { pool_size = 3 }", "pool_size"),
        ("protocol = [\"rest\"]\nknobs = { stream_window = 1 }", "stream_window"),
        ("knobs = { probes_off = true, inject = { handler = \"1ms\" } }", "probes inject"),
    ] {
        let base = if text.starts_with("protocol") {
            &PLAN[PLAN.find('\n').expect("a line")..]
        } else {
            PLAN
        };
        let read = Plan::read("my.toml", &format!("{base}\n{text}\n"), &Overrides::default());
        let error = read.map(|_| ()).expect_err(text).to_string();
        assert!(error.contains(named) && error.contains("would have no effect"), "{error}");
    }
}
