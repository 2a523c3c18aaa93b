//! Texts with places for values: how they are written, and what is left of them once a cell is known.
//!
//! `{name}` is a place. Which names there are, is said by who reads the text; any other word between braces is
//! refused, so that a slip of the pen is not sent as it stands. Braces round anything but a word are braces.

use serde::Serialize;
use serde_json::Value;

/// What is written, piece by piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    Literal(&'a str),
    Place(&'a str),
}

/// The pieces of `text`.
pub(super) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let word = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    let (mut pieces, mut literal, mut at) = (Vec::new(), 0, 0);
    while let Some(open) = text[at..].find('{').map(|found| at + found) {
        at = open + 1;
        let Some(close) = text[at..].find('}').map(|found| at + found) else { break };
        if word(&text[at..close]) {
            pieces.push(Piece::Literal(&text[literal..open]));
            pieces.push(Piece::Place(&text[at..close]));
            at = close + 1;
            literal = at;
        }
    }
    pieces.push(Piece::Literal(&text[literal..]));
    pieces.retain(|piece| *piece != Piece::Literal(""));
    pieces
}

/// How a drawn value is written where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Written {
    /// A text as it is, a number by its digits.
    Plain,
    /// So, and escaped for a URI: as JavaScript's `encodeURIComponent` does it.
    Uri,
    /// As a value of JSON.
    Json,
    /// Within a string of JSON.
    InJson,
}

/// A part of a text.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Part {
    /// As it stands.
    Literal(String),
    /// A payload of so many letters ([`letters`]).
    Letters {
        /// Their number.
        letters: u64,
    },
    /// A value that is drawn for each request.
    Drawn {
        /// Its name.
        drawn: String,
        /// How it is written.
        written: Written,
    },
}

/// A text in which only drawn values are missing.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(transparent)]
pub struct Text(pub Vec<Part>);

impl Text {
    /// Whether it is the same in every request.
    #[must_use]
    pub fn is_fixed(&self) -> bool {
        !self.0.iter().any(|part| matches!(part, Part::Drawn { .. }))
    }

    /// It, with each drawn value as `draw` writes it.
    #[must_use]
    pub fn render(&self, mut draw: impl FnMut(&str, Written) -> String) -> String {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Letters { letters: count } => text.push_str(&letters(*count)),
                Part::Drawn { drawn, written } => text.push_str(&draw(drawn, *written)),
            }
        }
        text
    }

    fn push(&mut self, literal: &str) {
        match self.0.last_mut() {
            Some(Part::Literal(last)) => last.push_str(literal),
            _ => self.0.push(Part::Literal(literal.to_owned())),
        }
    }
}

/// So many letters, the alphabet over and over: what a payload that is sent consists of.
#[must_use]
pub fn letters(count: u64) -> String {
    ('a'..='z').cycle().take(count as usize).collect()
}

/// What is known of a cell when its texts are made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) protocol: &'static str,
    pub(super) size: u64,
}

/// A text of `written` that stands outside of JSON, with drawn values written as `how`.
pub(super) fn plain(written: &str, known: Known, how: Written) -> Text {
    let mut text = Text::default();
    fill(&mut text, &pieces(written), known, how);
    text
}

/// The JSON of `value`, with the places in its strings filled. A string that is nothing but a place becomes the
/// place's value, a number for a number.
pub(super) fn json(value: &Value, known: Known) -> Text {
    let mut text = Text::default();
    write(&mut text, value, known);
    text
}

fn write(text: &mut Text, value: &Value, known: Known) {
    match value {
        Value::String(string) => match pieces(string)[..] {
            [Piece::Place("size")] => text.push(&known.size.to_string()),
            [Piece::Place(name)] if !matches!(name, "protocol" | "payload") => {
                text.0.push(Part::Drawn { drawn: name.to_owned(), written: Written::Json });
            }
            ref pieces => {
                text.push("\"");
                fill(text, pieces, known, Written::InJson);
                text.push("\"");
            }
        },
        Value::Array(values) => {
            text.push("[");
            for (at, value) in values.iter().enumerate() {
                text.push(if at == 0 { "" } else { "," });
                write(text, value, known);
            }
            text.push("]");
        }
        Value::Object(fields) => {
            text.push("{");
            for (at, (name, value)) in fields.iter().enumerate() {
                text.push(if at == 0 { "" } else { "," });
                text.push(&Value::from(name.as_str()).to_string());
                text.push(":");
                write(text, value, known);
            }
            text.push("}");
        }
        other => text.push(&other.to_string()),
    }
}

fn fill(text: &mut Text, pieces: &[Piece<'_>], known: Known, how: Written) {
    for piece in pieces {
        match *piece {
            Piece::Literal(literal) if how == Written::InJson => {
                let quoted = Value::from(literal).to_string();
                text.push(&quoted[1..quoted.len() - 1]);
            }
            Piece::Literal(literal) => text.push(literal),
            Piece::Place("protocol") => text.push(known.protocol),
            Piece::Place("size") => text.push(&known.size.to_string()),
            Piece::Place("payload") => text.0.push(Part::Letters { letters: known.size }),
            Piece::Place(name) => {
                text.0.push(Part::Drawn { drawn: name.to_owned(), written: how });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: Known = Known { protocol: "rest", size: 3 };

    #[test]
    fn only_a_word_between_braces_is_a_place() {
        let text = "{a}b{\"c\":{d_1}}{}{E}{f";
        let places: Vec<_> =
            pieces(text).into_iter().filter(|one| matches!(one, Piece::Place(_))).collect();
        assert_eq!(places, [Piece::Place("a"), Piece::Place("d_1")]);
        let whole: String = pieces(text)
            .into_iter()
            .map(|piece| match piece {
                Piece::Literal(literal) => literal.to_owned(),
                Piece::Place(name) => format!("{{{name}}}"),
            })
            .collect();
        assert_eq!(whole, text);
    }

    #[test]
    fn a_string_that_is_a_place_becomes_its_value_and_others_are_filled() {
        let value = serde_json::json!({
            "size": "{size}", "text": "\"{protocol}\"\n{id}", "id": "{id}", "payload": "{payload}",
            "list": [1.5, true, null, "x"],
        });
        let text = json(&value, KNOWN).render(|name, written| format!("<{name} {written:?}>"));
        let expected = "{\"id\":<id Json>,\"list\":[1.5,true,null,\"x\"],\"payload\":\"abc\",\
                        \"size\":3,\"text\":\"\\\"rest\\\"\\n<id InJson>\"}";
        assert_eq!(text, expected);
        assert!(json(&Value::from("{size}"), KNOWN).is_fixed());
    }
}
