//! What `requests.js` does, written down once more: requests and their right answers, as a file has them.

use std::path::Path;

use serde_json::Value;

use crate::question::{Answer, Question};

/// Requests to choose from.
#[derive(Debug)]
pub(crate) struct Requests(Vec<Value>);

impl Requests {
    pub(crate) fn read(path: &Path) -> Result<Requests, String> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            format!("The file \"{}\" couldn't be opened on local disk: {error}", path.display())
        })?;
        match serde_json::from_str(&text) {
            Ok(Value::Array(requests)) if !requests.is_empty() => Ok(Requests(requests)),
            _ => Err(format!("{} holds no list of requests", path.display())),
        }
    }

    /// The next request.
    pub(crate) fn question(&self) -> Question {
        let weight = |request: &Value| request["weight"].as_u64().unwrap_or(1);
        let mut place = rand::random_range(0..self.0.iter().map(weight).sum::<u64>().max(1));
        let mut chosen = 0;
        while chosen + 1 < self.0.len() && place >= weight(&self.0[chosen]) {
            place -= weight(&self.0[chosen]);
            chosen += 1;
        }
        let request = &self.0[chosen];
        let rows = request["rows"].as_array().map_or(&[][..], Vec::as_slice);
        let row = match rows.len() {
            0 => &Value::Null,
            count => &rows[rand::random_range(0..count)],
        };
        let pair =
            |pair: &Value| (pair[0].as_str().unwrap_or_default().to_owned(), text(&pair[1], row));
        let headers = request["headers"].as_array().into_iter().flatten().map(pair).collect();
        let answer = &request["answer"];
        Question {
            method: request["method"].as_str().unwrap_or_default().to_owned(),
            target: text(&request["path"], row),
            route: request["route"].as_str().unwrap_or_default().to_owned(),
            headers,
            body: request["body"].is_array().then(|| text(&request["body"], row)),
            template: Some(chosen),
            status: answer["status"].as_u64().and_then(|n| n.try_into().ok()).unwrap_or(200),
            answer: right(answer, row),
        }
    }
}

fn right(answer: &Value, row: &Value) -> Answer {
    if answer["text"].is_array() {
        return Answer::Whole(text(&answer["text"], row));
    }
    let field = |pair: &Value| {
        let value = serde_json::from_str(&text(&pair[1], row)).unwrap_or(Value::Null);
        (pair[0].as_str().unwrap_or_default().to_owned(), value)
    };
    Answer::Asked {
        json: answer["json"].as_array().into_iter().flatten().map(field).collect(),
        payload: answer["payload"].as_str().map(str::to_owned),
    }
}

/// A text: its parts are as they stand, so many letters, or values that are drawn.
fn text(parts: &Value, row: &Value) -> String {
    let part = |part: &Value| match (part.as_str(), part["letters"].as_u64()) {
        (Some(literal), _) => literal.to_owned(),
        (None, Some(count)) => ('a'..='z').cycle().take(count as usize).collect(),
        (None, None) => {
            let name = part["drawn"].as_str().unwrap_or_default();
            written(&row[name], part["written"].as_str().unwrap_or_default())
        }
    };
    parts.as_array().into_iter().flatten().map(part).collect()
}

/// A drawn value, as it is written where it stands.
fn written(value: &Value, how: &str) -> String {
    let plain = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match how {
        "uri" => escaped(&plain),
        "json" => value.to_string(),
        "in_json" => {
            let quoted = Value::from(plain).to_string();
            quoted[1..quoted.len() - 1].to_owned()
        }
        _ => plain,
    }
}

/// `encodeURIComponent`.
fn escaped(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&b);
    let byte = |b: u8| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") };
    text.bytes().map(byte).collect()
}
