//! A request of a cell, made ready to be sent: whatever does not change from one to the next is made once.

use std::borrow::Cow;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use lab_model::Cell;
use lab_model::workload::{Part, Request, Row, Text};
use probe::{Call, Client, Exchange};
use serde_json::Value;

use super::reply::Right;
use super::values::{Values, write};

/// A request, made ready.
pub(super) struct Prepared {
    name: String,
    method: Method,
    path: Filled<PathAndQuery>,
    headers: Filled<HeaderMap>,
    body: Option<Filled<Bytes>>,
    payload_bytes: u64,
    /// How often it is chosen, beside the others.
    pub(super) weight: u32,
    values: Option<Values>,
    status: StatusCode,
    answer: Answer,
}

/// What is the same in every request, or is made anew in each.
enum Filled<T> {
    Fixed(T),
    Drawn(Vec<Text>),
}

enum Answer {
    Any,
    Text(Filled<String>),
    Json(Vec<String>, Filled<Vec<(String, Value)>>, Option<String>),
}

impl<T: Clone> Filled<T> {
    /// Made of `texts` by `make`: once, if they are always the same. What cannot be made is tried again with each
    /// request, which is then refused by the reason.
    fn of(texts: Vec<Text>, make: impl FnOnce(&[String]) -> Result<T, String>) -> Filled<T> {
        if texts.iter().all(Text::is_fixed) {
            let written: Vec<String> =
                texts.iter().map(|text| text.render(|_, _| String::new())).collect();
            if let Ok(made) = make(&written) {
                return Filled::Fixed(made);
            }
        }
        Filled::Drawn(texts)
    }

    fn with(
        &self,
        row: &Row,
        make: impl FnOnce(&[String]) -> Result<T, String>,
    ) -> Result<Cow<'_, T>, String> {
        match self {
            Filled::Fixed(made) => Ok(Cow::Borrowed(made)),
            Filled::Drawn(texts) => {
                let written: Vec<String> = texts
                    .iter()
                    .map(|text| text.render(|name, written| write(row, name, written)))
                    .collect();
                make(&written).map(Cow::Owned)
            }
        }
    }
}

impl Prepared {
    /// `request` of `cell`.
    pub(super) fn new(request: Request, cell: &Cell) -> Prepared {
        let name = request.name();
        let (names, values): (Vec<String>, Vec<Text>) = request.headers.into_iter().unzip();
        // Each text of a header is its name and its value.
        let words = names.into_iter().map(|name| Text(vec![Part::Literal(name)]));
        let named = words.zip(values).flat_map(|(name, value)| [name, value]).collect();
        let expected = request.answer;
        let answer = match (expected.text, expected.json, expected.payload) {
            (Some(text), ..) => Answer::Text(Filled::of(vec![text], one)),
            (None, fields, None) if fields.is_empty() => Answer::Any,
            (None, fields, payload) => {
                let (names, texts): (Vec<String>, Vec<Text>) = fields.into_iter().unzip();
                let values = Filled::of(texts, |texts| json(&names, texts));
                Answer::Json(names, values, payload)
            }
        };
        Prepared {
            name,
            method: Method::from_bytes(request.method.as_bytes()).unwrap_or_default(),
            path: Filled::of(vec![request.path], path),
            headers: Filled::of(named, headers),
            body: request.body.map(|body| Filled::of(vec![body], bytes)),
            payload_bytes: request.payload_bytes,
            weight: request.weight,
            values: request.draw.map(|draw| Values::of(&draw, cell)),
            status: StatusCode::from_u16(expected.status).unwrap_or_default(),
            answer,
        }
    }

    /// Sends it, and checks the answer.
    pub(super) async fn send(&self, client: &Client, call: Call) -> Result<(), Cow<'static, str>> {
        let none = Row::new();
        let row = self.values.as_ref().map_or(Cow::Borrowed(&none), Values::next);
        let mut head = http::Request::new(());
        *head.method_mut() = self.method.clone();
        *head.uri_mut() = http::Uri::from(self.path.with(&row, path)?.into_owned());
        *head.headers_mut() = self.headers.with(&row, headers)?.into_owned();
        let body = self.body.as_ref().map(|body| {
            let (row, payload) = (&*row, self.payload_bytes);
            // Bytes of any text there are.
            move || (body.with(row, bytes).map(Cow::into_owned).unwrap_or_default(), payload)
        });
        let (text, fields);
        let right = match &self.answer {
            Answer::Any => Right::Any,
            Answer::Text(filled) => {
                text = filled.with(&row, one)?;
                Right::Text(&text)
            }
            Answer::Json(names, filled, payload) => {
                fields = filled.with(&row, |texts| json(names, texts))?;
                Right::Json(&fields, payload.as_deref())
            }
        };
        let read = |body: &[u8]| right.read(body);
        let exchange = Exchange { head, body, status: self.status, read };
        let reply = client.exchange(|| self.name.clone(), exchange, call).await;
        match reply.map_err(|error| error.to_string())?.differs {
            None => Ok(()),
            Some(differs) => Err(differs.into()),
        }
    }
}

fn one(texts: &[String]) -> Result<String, String> {
    Ok(texts.concat())
}

fn bytes(texts: &[String]) -> Result<Bytes, String> {
    Ok(Bytes::from(texts.concat()))
}

fn path(texts: &[String]) -> Result<PathAndQuery, String> {
    let whole = texts.concat();
    whole.parse().map_err(|error| format!("bad path {whole:?}: {error}"))
}

/// Headers, of names and values in turn.
fn headers(texts: &[String]) -> Result<HeaderMap, String> {
    let mut map = HeaderMap::with_capacity(texts.len() / 2 + 1);
    for pair in texts.chunks_exact(2) {
        let bad = || format!("bad header {:?}: {:?}", pair[0], pair[1]);
        let name = HeaderName::from_bytes(pair[0].as_bytes()).map_err(|_| bad())?;
        map.append(name, HeaderValue::from_str(&pair[1]).map_err(|_| bad())?);
    }
    Ok(map)
}

/// Fields with these names, and values of which these are the JSON.
fn json(names: &[String], texts: &[String]) -> Result<Vec<(String, Value)>, String> {
    let value = |text: &String| {
        serde_json::from_str(text).map_err(|error| format!("bad answer {text}: {error}"))
    };
    names.iter().zip(texts).map(|(name, text)| Ok((name.clone(), value(text)?))).collect()
}
