//! A request that a script makes, and what it makes of the answer.

use serde_json::{Map, Value};

/// One request, and what to make of its answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Question {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    /// What its samples are named by, behind the address of the gateway.
    pub(crate) route: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Option<String>,
    /// Which of several requests it is, where the script says so.
    pub(crate) template: Option<usize>,
    pub(crate) status: u16,
    pub(crate) answer: Answer,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    /// Begins with this, and has so many bytes in all.
    Payload(String, usize),
    Exactly(String),
    /// The whole answer, as `requests.js` has it.
    Whole(String),
    /// An object with these fields, and a payload in the field of that name; any answer where neither is named.
    Asked {
        json: Vec<(String, Value)>,
        payload: Option<String>,
    },
}

impl Question {
    /// The checks of the answer, and whether it counts as answered.
    pub(crate) fn judge(&self, status: u16, body: &[u8]) -> (Vec<(String, bool)>, bool) {
        let mut checks = vec![(format!("status is {}", self.status), status == self.status)];
        let mut check = |name: &str, passed| checks.push((name.to_owned(), passed));
        match &self.answer {
            Answer::Payload(envelope, whole) => {
                check("says what was asked", body.starts_with(envelope.as_bytes()));
                check("payload has the size asked for", body.len() == *whole);
            }
            Answer::Exactly(text) => check("counts the users there are", body == text.as_bytes()),
            Answer::Whole(text) => {
                check("says what was asked", body == text.as_bytes());
            }
            Answer::Asked { json, payload } => {
                let any = json.is_empty() && payload.is_none();
                check("says what was asked", any || says(body, json, payload.as_deref()));
            }
        }
        // A payload of another length was answered all the same.
        let answered = checks.iter().take(2).all(|(_, passed)| *passed);
        (checks, answered)
    }
}

/// Whether `body` is an object with these fields and a payload.
fn says(body: &[u8], json: &[(String, Value)], payload: Option<&str>) -> bool {
    let Ok(Value::Object(found)) = serde_json::from_slice(body) else { return false };
    json.iter().all(|(name, right)| found.get(name).is_some_and(|found| same(found, right)))
        && payload.is_none_or(|name| found.get(name).is_some_and(Value::is_string))
}

/// Whether two values of JSON say the same.
fn same(one: &Value, other: &Value) -> bool {
    let all = |one: &Map<String, Value>, other: &Map<String, Value>| {
        let has = |(name, value)| other.get(name).is_some_and(|other| same(value, other));
        one.len() == other.len() && one.iter().all(has)
    };
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => all(one, other),
        _ => one == other,
    }
}
