//! What a plan file may say, as a JSON schema: for editors that check TOML, and for the page of keys.
//!
//! It is made from the types that read the file, so that it cannot say anything else than they do. What follows from
//! several keys together (two cells of one name, a setting without effect) is refused by the reader alone.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use super::file::PlanFile;

/// The schema of a plan file.
#[must_use]
pub fn schema() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<PlanFile>().to_value();
    for_toml(&mut schema);
    schema
}

/// TOML has no null: a key is there or not. And what a number is called in Rust says nothing.
fn for_toml(schema: &mut Value) {
    let is_null = |value: &Value| *value == "null" || value["type"] == "null";
    match schema {
        Value::Object(object) => {
            object.remove("format");
            if object.get("default").is_some_and(Value::is_null) {
                object.remove("default");
            }
            for key in ["type", "anyOf", "enum"] {
                let Some(Value::Array(choices)) = object.get_mut(key) else { continue };
                choices.retain(|choice| !choice.is_null() && !is_null(choice));
                if let [only] = choices.as_slice() {
                    let only = only.clone();
                    alone(object, key, only);
                }
            }
            object.values_mut().for_each(for_toml);
        }
        Value::Array(values) => values.iter_mut().for_each(for_toml),
        _ => {}
    }
}

/// Puts what is left of several choices in their place.
fn alone(object: &mut Map<String, Value>, key: &str, only: Value) {
    match (key, only) {
        ("type", only) => {
            object.insert("type".to_owned(), only);
        }
        ("anyOf", Value::Object(only)) => {
            object.remove("anyOf");
            object.extend(only);
        }
        _ => {}
    }
}
