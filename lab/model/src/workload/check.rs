//! What a workload may not say. Whatever is refused is refused by the workload's name, the key, and what it may be.

use serde_json::Value;

use super::text::{Piece, pieces};
use super::{Draw, Template, Workload};
use crate::Service;

/// Requests of a workload, rows to draw from, and the weight of a request, at most.
const MOST: (usize, usize, u32) = (100, 100_000, 1_000_000);
/// Bytes of a name at most.
const MAX_NAME: usize = 50;
/// Places that every cell fills.
const OF_CELLS: [&str; 3] = ["protocol", "size", "payload"];
/// Headers that are the load generator's to say.
const RESERVED: [&str; 7] = [
    "connection",
    "content-length",
    "host",
    "te",
    "traceparent",
    "tracestate",
    "transfer-encoding",
];

/// Why a workload is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("workload {name:?}: {reason}")]
pub struct WorkloadError {
    /// Its name.
    name: String,
    /// What is wrong with it.
    reason: String,
}

impl WorkloadError {
    pub(super) fn new(name: &str, reason: impl Into<String>) -> WorkloadError {
        WorkloadError { name: name.to_owned(), reason: reason.into() }
    }
}

impl Workload {
    /// It, if nothing is wrong with it.
    pub(super) fn checked(self) -> Result<Workload, WorkloadError> {
        match self.wrong() {
            None => Ok(self),
            Some(reason) => Err(WorkloadError::new(&self.name, reason)),
        }
    }

    /// It, as a plan file's own.
    ///
    /// # Errors
    /// If something is wrong with it, or it asks for what only the lab's own may.
    pub(crate) fn checked_of_plan(self) -> Result<Workload, WorkloadError> {
        let refused = if self.is_built_in() {
            Some("a built-in workload is called so; choose another name")
        } else if self.script.is_some() {
            Some("`script`: only a built-in workload has one; k6 drives this one by requests.js")
        } else {
            None
        };
        match refused {
            Some(reason) => Err(WorkloadError::new(&self.name, reason)),
            None => self.checked(),
        }
    }

    /// Whether the lab starts every service that it calls.
    ///
    /// # Errors
    /// If not: names the one that it does not.
    pub(crate) fn starts(&self) -> Result<(), WorkloadError> {
        let behind = Service::names().into_iter().filter(|name| *name != Service::entry().name);
        let behind: Vec<&str> = behind.collect();
        match self.calls.iter().find(|call| !behind.contains(&call.as_str())) {
            None => Ok(()),
            Some(call) => Err(WorkloadError::new(
                &self.name,
                format!(
                    "`calls`: the lab starts no service behind the first that is called {call:?}; there are {}. A system of \
                     your own is driven with --target",
                    behind.join(", ")
                ),
            )),
        }
    }

    fn wrong(&self) -> Option<String> {
        let word = |text: &str| {
            (1..=MAX_NAME).contains(&text.len())
                && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        if !word(&self.name) {
            return Some(format!(
                "its name: {:?} is not 1 to {MAX_NAME} lower-case letters, digits and hyphens",
                self.name
            ));
        }
        let named = |call: &&String| {
            !(1..=MAX_NAME).contains(&call.len()) || !call.bytes().all(|b| b.is_ascii_graphic())
        };
        if let Some(call) = self.calls.iter().find(named) {
            return Some(format!(
                "`calls`: {call:?} is not 1 to {MAX_NAME} visible ASCII characters, as services are called"
            ));
        }
        if self.about.contains(char::is_control) || self.asks.contains(char::is_control) {
            return Some("`about` and `asks` are one line each".to_owned());
        }
        if !(1..=MOST.0).contains(&self.request.len()) {
            let count = self.request.len();
            return Some(format!("{count} requests: a workload has 1 to {} of them", MOST.0));
        }
        for (depth, hop) in self.carries.iter().enumerate() {
            for value in [&hop.request, &hop.reply] {
                let is_size = value.as_str() == Some("{size}") && self.payload;
                if value.as_u64().is_none() && !is_size {
                    let size = if self.payload { " or \"{size}\"" } else { "" };
                    return Some(format!(
                        "`carries`: {value} at hop {depth}: write whole bytes{size}"
                    ));
                }
            }
        }
        let wrong = self.request.iter().enumerate().find_map(|(at, template)| {
            let reason = template.wrong(self.payload)?;
            Some(format!("request {}: {reason}", at + 1))
        });
        let sized = || self.request.iter().any(|template| template.places().any(of_payload));
        wrong.or_else(|| {
            (self.payload && !sized()).then(|| {
                "`payload = true`, but no request has a place for {size} or {payload}".to_owned()
            })
        })
    }
}

fn of_payload(name: String) -> bool {
    name == "size" || name == "payload"
}

impl Template {
    /// The names of all places.
    fn places(&self) -> impl Iterator<Item = String> {
        let mut names = Vec::new();
        self.texts(&mut |_, text| {
            names.extend(pieces(text).into_iter().filter_map(|piece| match piece {
                Piece::Place(name) => Some(name.to_owned()),
                Piece::Literal(_) => None,
            }));
        });
        names.into_iter()
    }

    /// Shows every text with places, and the key that it stands at.
    fn texts(&self, see: &mut dyn FnMut(&'static str, &str)) {
        see("path", &self.path);
        self.headers.values().for_each(|value| see("headers", value));
        strings(self.body.iter(), &mut |text| see("body", text));
        strings(self.answer.json.values(), &mut |text| see("answer.json", text));
        self.answer.text.iter().for_each(|text| see("answer.text", text));
    }

    fn wrong(&self, has_payload: bool) -> Option<String> {
        let drawn = match self.drawn() {
            Ok(drawn) => drawn,
            Err(reason) => return Some(reason),
        };
        self.wrong_head()
            .or_else(|| self.wrong_answer())
            .or_else(|| self.wrong_place(&drawn, has_payload))
    }

    /// The names of what is drawn.
    fn drawn(&self) -> Result<Vec<&str>, String> {
        let rows = match &self.draw {
            None => return Ok(Vec::new()),
            Some(Draw::From(source)) => return Ok(source.names().to_vec()),
            Some(Draw::Rows(rows)) => rows,
        };
        if !(1..=MOST.1).contains(&rows.len()) {
            return Err(format!("`draw`: {} rows; write 1 to {} of them", rows.len(), MOST.1));
        }
        let names: Vec<&str> = rows[0].keys().map(String::as_str).collect();
        for (at, row) in rows.iter().enumerate() {
            if !row.keys().eq(rows[0].keys()) {
                return Err(format!("`draw`: row {} has other names than row 1", at + 1));
            }
            if let Some((name, value)) = row.iter().find(|(_, v)| v.is_array() || v.is_object()) {
                return Err(format!(
                    "`draw`: {name} = {value} in row {}: write a string, a number, true or false",
                    at + 1
                ));
            }
        }
        let place = |name: &str| pieces(&format!("{{{name}}}")) == [Piece::Place(name)];
        match names.iter().find(|name| !place(name) || OF_CELLS.contains(name)) {
            Some(name) => Err(format!(
                "`draw`: {name:?} is not a word of lower-case letters, digits and _, or is one of {}",
                OF_CELLS.join(", ")
            )),
            None => Ok(names),
        }
    }

    fn wrong_head(&self) -> Option<String> {
        let token = |text: &str| {
            let allowed = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
            !text.is_empty() && text.bytes().all(allowed)
        };
        let upper = !self.method.is_empty() && self.method.bytes().all(|b| b.is_ascii_uppercase());
        if !upper || self.method == "CONNECT" {
            return Some(format!(
                "`method`: {:?}: write it in capitals, such as GET; CONNECT is none",
                self.method
            ));
        }
        let in_uri = |b: u8| b.is_ascii_graphic() && !b"#\"<>\\^`".contains(&b);
        if !self.path.starts_with('/') || !self.path.bytes().all(in_uri) {
            return Some(format!(
                "`path`: {:?}: it begins with / and has the characters of a URI, others as %XX",
                self.path
            ));
        }
        for (name, value) in &self.headers {
            if !token(name) || RESERVED.contains(&name.to_lowercase().as_str()) {
                return Some(format!(
                    "`headers`: {name:?} is no name of a header, or is the load generator's to say ({})",
                    RESERVED.join(", ")
                ));
            }
            if !value.bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
                return Some(format!("`headers`: {name}: {value:?} is more than visible ASCII"));
            }
        }
        if !(1..=MOST.2).contains(&self.weight) {
            return Some(format!("`weight`: {} is outside 1 to {}", self.weight, MOST.2));
        }
        None
    }

    fn wrong_answer(&self) -> Option<String> {
        let answer = &self.answer;
        if !(200..=599).contains(&answer.status) {
            return Some(format!("`answer.status`: {} is outside 200 to 599", answer.status));
        }
        let as_json = !answer.json.is_empty() || answer.payload.is_some();
        if as_json && answer.text.is_some() {
            return Some(
                "`answer`: `text` is the whole answer; leave `json` and `payload` out".into(),
            );
        }
        let payload = answer.payload.as_ref().filter(|name| answer.json.contains_key(*name))?;
        Some(format!("`answer`: {payload:?} is the payload, whose text is not looked at"))
    }

    /// A place that nothing fills, or where it cannot stand.
    fn wrong_place(&self, drawn: &[&str], has_payload: bool) -> Option<String> {
        let mut wrong = None;
        self.texts(&mut |key, text| {
            for piece in pieces(text) {
                let Piece::Place(name) = piece else { continue };
                let of_payload = ["size", "payload"].contains(&name);
                let reason = if of_payload && !has_payload {
                    format!("{{{name}}}: the workload has none; write `payload = true`")
                } else if name == "payload" && key != "body" {
                    "{payload}: only a body has room for it".to_owned()
                } else if OF_CELLS.contains(&name) || drawn.contains(&name) {
                    continue;
                } else {
                    let known = OF_CELLS.iter().chain(drawn).copied().collect::<Vec<_>>();
                    format!("{{{name}}}: there is no such value; there are {}", known.join(", "))
                };
                wrong.get_or_insert(format!("`{key}`: {reason}"));
            }
        });
        let places: Vec<String> = self.places().collect();
        let unused = drawn.iter().find(|name| !places.iter().any(|place| place == *name));
        let plain = !matches!(self.draw, Some(Draw::From(_)));
        wrong.or_else(|| {
            unused.filter(|_| plain).map(|name| format!("`draw`: no place {{{name}}} needs it"))
        })
    }
}

/// Shows every string in `values`.
pub(super) fn strings<'a>(values: impl Iterator<Item = &'a Value>, see: &mut dyn FnMut(&'a str)) {
    for value in values {
        match value {
            Value::String(text) => see(text),
            Value::Array(values) => strings(values.iter(), &mut *see),
            Value::Object(fields) => strings(fields.values(), &mut *see),
            _ => {}
        }
    }
}
