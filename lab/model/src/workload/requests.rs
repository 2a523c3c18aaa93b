//! The requests of a cell: what its workload says, with all of it filled in but what is drawn for each request.

use serde::Serialize;

use super::text::{Known, Piece, Text, Written, json, pieces, plain};
use super::{Draw, Template, Workload};

/// What is sent with a body of JSON, unless the workload says otherwise.
const JSON: (&str, &str) = ("content-type", "application/json");

/// A request of a cell, and the answer that is right.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The path without its query, with `{name}` where a drawn value stands.
    pub route: String,
    /// Path and query.
    pub path: Text,
    /// Headers, by their names.
    pub headers: Vec<(String, Text)>,
    /// The body.
    pub body: Option<Text>,
    /// Bytes of the body that are payload.
    pub payload_bytes: u64,
    /// How often it is chosen, beside the others.
    pub weight: u32,
    /// Where drawn values come from; who reads this as JSON is given values that were drawn.
    #[serde(skip)]
    pub draw: Option<Draw>,
    /// The answer that is right.
    pub answer: Expected,
}

/// The answer that is right.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Expected {
    /// Its status.
    pub status: u16,
    /// Fields of the JSON object that it is, each with the JSON of its value.
    pub json: Vec<(String, Text)>,
    /// The field that is the payload.
    pub payload: Option<String>,
    /// The whole of it.
    pub text: Option<Text>,
}

impl Request {
    /// What spans call it.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{} {}", self.method, self.route)
    }
}

impl Workload {
    /// The requests of a cell with this protocol and payload, in the order of their templates.
    pub(crate) fn requests(&self, protocol: &'static str, size: u64) -> Vec<Request> {
        let known = Known { protocol, size };
        self.request.iter().map(|template| template.request(known)).collect()
    }
}

impl Template {
    fn request(&self, known: Known) -> Request {
        let answer = &self.answer;
        let body = self.body.as_ref().map(|body| match body.as_str() {
            Some(text) => plain(text, known, Written::Plain),
            None => json(body, known),
        });
        let mut headers: Vec<(String, Text)> = self
            .headers
            .iter()
            .map(|(name, value)| (name.to_lowercase(), plain(value, known, Written::Plain)))
            .collect();
        let is_json = self.body.as_ref().is_some_and(|body| !body.is_string());
        if is_json && !headers.iter().any(|(name, _)| name == JSON.0) {
            headers.push((JSON.0.to_owned(), plain(JSON.1, known, Written::Plain)));
        }
        let path = self.path.split('?').next().unwrap_or_default();
        Request {
            method: self.method.clone(),
            route: plain(path, known, Written::Plain).render(|name, _| format!("{{{name}}}")),
            path: plain(&self.path, known, Written::Uri),
            headers,
            payload_bytes: payloads(self.body.as_ref()) * known.size,
            body,
            weight: self.weight,
            draw: self.draw.clone(),
            answer: Expected {
                status: answer.status,
                json: answer
                    .json
                    .iter()
                    .map(|(name, value)| (name.clone(), json(value, known)))
                    .collect(),
                payload: answer.payload.clone(),
                text: answer.text.as_ref().map(|text| plain(text, known, Written::Plain)),
            },
        }
    }
}

/// How often the payload stands in a body.
fn payloads(body: Option<&serde_json::Value>) -> u64 {
    let mut count = 0;
    super::check::strings(body.into_iter(), &mut |text| {
        let here = pieces(text).into_iter().filter(|piece| *piece == Piece::Place("payload"));
        count += here.count() as u64;
    });
    count
}
