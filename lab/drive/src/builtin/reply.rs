//! What is right about an answer, and whether it is; read without keeping its payload.
//!
//! A payload of 1 MB a hundred times a second must not cost the load generator a copy each.

use std::fmt;

use probe::{Carries, JsonError};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

/// Characters of a wrong value that an error shows.
const SHOWN: usize = 100;

/// An answer that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    payload_bytes: u64,
    /// What differs from the answer that is right, and how.
    pub(super) differs: Option<String>,
}

impl Carries for Reply {
    fn payload_bytes(&self) -> u64 {
        self.payload_bytes
    }
}

/// The answer that is right. A payload of another length than declared is not looked at: the request was answered,
/// and its latency is that of the bytes that were really sent. That they are not the declared ones is proved from
/// the wire and judged for the cell as a whole, which a count of errors would hide.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Right<'a> {
    /// Any.
    Any,
    /// This text.
    Text(&'a str),
    /// A JSON object with these fields, and a payload in the field of that name.
    Json(&'a [(String, Value)], Option<&'a str>),
}

impl Right<'_> {
    /// Reads `body`.
    ///
    /// # Errors
    /// If it is not such an answer at all: no JSON, or a field is missing.
    pub(super) fn read(&self, body: &[u8]) -> Result<Reply, JsonError> {
        match *self {
            Right::Any => Ok(Reply { payload_bytes: 0, differs: None }),
            Right::Text(text) => {
                let differs = (body != text.as_bytes()).then(|| {
                    let found = String::from_utf8_lossy(body);
                    format!("the reply is {}, expected {}", short(&found), short(text))
                });
                Ok(Reply { payload_bytes: 0, differs })
            }
            Right::Json(fields, payload) => {
                let mut json = serde_json::Deserializer::from_slice(body);
                let reply = Object { fields, payload }.deserialize(&mut json)?;
                json.end()?;
                Ok(reply)
            }
        }
    }
}

/// `text`, cut off where it is long.
fn short(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// A value as errors show it: a string without its quotes.
fn shown(value: &Value) -> String {
    short(&value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

/// Whether two values say the same: 10 and 10.0 are one number.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        _ => one == other,
    }
}

/// Reads an object whose fields are to be these.
#[derive(Clone, Copy)]
struct Object<'a> {
    fields: &'a [(String, Value)],
    payload: Option<&'a str>,
}

/// Which field a name is.
enum Field {
    Compared(usize),
    Payload,
    Other,
}

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = Reply;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Reply, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = Reply;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Reply, A::Error> {
        let (mut seen, mut payload, mut differs) = (vec![false; self.fields.len()], None, None);
        let twice = |name: &str| A::Error::custom(format!("duplicate field `{name}`"));
        let missing = |name: &str| A::Error::custom(format!("missing field `{name}`"));
        while let Some(field) = map.next_key_seed(Name(self))? {
            match field {
                Field::Other => _ = map.next_value::<IgnoredAny>()?,
                Field::Payload => {
                    let length = map.next_value_seed(Length)?;
                    if payload.replace(length).is_some() {
                        return Err(twice(self.payload.unwrap_or_default()));
                    }
                }
                Field::Compared(at) => {
                    let (name, right) = &self.fields[at];
                    let found: Value = map.next_value()?;
                    if std::mem::replace(&mut seen[at], true) {
                        return Err(twice(name));
                    }
                    if !same(&found, right) {
                        differs.get_or_insert_with(|| {
                            let (found, right) = (shown(&found), shown(right));
                            format!("the reply says {name} {found}, expected {right}")
                        });
                    }
                }
            }
        }
        if let Some(at) = seen.iter().position(|seen| !seen) {
            return Err(missing(&self.fields[at].0));
        }
        match (self.payload, payload) {
            (Some(name), None) => Err(missing(name)),
            (_, length) => Ok(Reply { payload_bytes: length.unwrap_or(0), differs }),
        }
    }
}

/// The name of a field.
struct Name<'a>(Object<'a>);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Field;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Field, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Field;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Field, E> {
        if self.0.payload == Some(name) {
            return Ok(Field::Payload);
        }
        let known = self.0.fields.iter().position(|(field, _)| field == name);
        Ok(known.map_or(Field::Other, Field::Compared))
    }
}

/// The length of a string, in bytes.
struct Length;

impl<'de> DeserializeSeed<'de> for Length {
    type Value = u64;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u64, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Length {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<u64, E> {
        Ok(value.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPLY: &str = r#"{"from":"gateway","protocol":"rest","size":3,"payload":"abcd"}"#;

    fn fields(protocol: &str, size: u64) -> [(String, Value); 2] {
        [("protocol".to_owned(), protocol.into()), ("size".to_owned(), size.into())]
    }

    fn read(fields: &[(String, Value)], text: &str) -> Result<Reply, String> {
        let right = Right::Json(fields, Some("payload"));
        right.read(text.as_bytes()).map_err(|error| error.to_string())
    }

    fn differs(fields: &[(String, Value)], text: &str) -> Option<String> {
        read(fields, text).unwrap().differs
    }

    #[test]
    fn a_reply_is_checked_for_protocol_and_size_and_the_payload_left_to_the_verdict() {
        assert_eq!(read(&fields("rest", 3), REPLY), Ok(Reply { payload_bytes: 4, differs: None }));
        let says = |protocol, size| differs(&fields(protocol, size), REPLY).unwrap();
        assert_eq!(says("grpc", 3), "the reply says protocol rest, expected grpc");
        assert_eq!(says("rest", 4), "the reply says size 3, expected 4");
    }

    #[test]
    fn numbers_are_compared_by_their_value_and_objects_field_by_field() {
        let right = |value: Value| [("a".to_owned(), value)];
        let text = r#"{"a":{"b":[1.0,"x"],"c":null},"payload":""}"#;
        assert_eq!(differs(&right(serde_json::json!({"c": null, "b": [1, "x"]})), text), None);
        let wrong = differs(&right(serde_json::json!({"b": [1, "x"]})), text).unwrap();
        assert!(wrong.contains("expected {\"b\":[1,\"x\"]}"), "{wrong}");
    }

    #[test]
    fn what_is_no_such_answer_is_an_error() {
        let right = fields("rest", 3);
        for (text, says) in [
            ("<html>", "expected value"),
            ("[]", "expected an object"),
            (r#"{"protocol":"rest","payload":""}"#, "missing field `size`"),
            (r#"{"protocol":"rest","size":3}"#, "missing field `payload`"),
            (r#"{"size":3,"size":3}"#, "duplicate field `size`"),
            (r#"{"protocol":"rest","size":3,"payload":7}"#, "expected a string"),
            (&format!("{REPLY}x"), "trailing characters"),
        ] {
            let error = read(&right, text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn a_text_is_right_as_a_whole_and_any_answer_where_none_is_named() {
        assert_eq!(Right::Any.read(b"\xff").unwrap().differs, None);
        assert_eq!(Right::Text("ok").read(b"ok").unwrap().differs, None);
        let differs = Right::Text("ok").read("é".repeat(500).as_bytes()).unwrap().differs.unwrap();
        assert_eq!(differs, format!("the reply is {}…, expected ok", "é".repeat(SHOWN)));
    }
}
