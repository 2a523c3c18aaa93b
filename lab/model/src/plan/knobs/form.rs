//! What the value of a setting looks like.

use schemars::{Schema, json_schema};
use toml::Value;

use super::KnobError;
use crate::plan::written::{duration, size};
use settings::{Bandwidth, Size, Span};

/// The form of a setting's value, with its smallest and largest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A size in bytes, with a unit or without.
    Bytes(u64, u64),
    /// A whole number.
    Number(u64, u64),
    /// Yes or no.
    Flag,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Delays, by the place they are injected into.
    Delays,
    /// A duration, no longer than this.
    Duration(Span),
    /// What a line carries.
    Bandwidth,
}

impl Form {
    /// How to write it.
    #[must_use]
    pub fn described(self) -> String {
        match self {
            Form::Bytes(low, high) => format!(
                "whole bytes, or a size in quotes such as \"64KiB\", from {low} to {high} bytes"
            ),
            Form::Number(low, high) => format!("a whole number from {low} to {high}"),
            Form::Flag => "true or false".to_owned(),
            Form::Word(words) => format!("\"{}\"", words.join("\" or \"")),
            Form::Delays => {
                "a table of delays, such as inject = { \"echo:handler\" = \"5ms\" }, or --inject \
                 echo:handler=5ms"
                    .to_owned()
            }
            Form::Duration(longest) => {
                format!("a duration in quotes such as \"10ms\", at most {longest}")
            }
            Form::Bandwidth => {
                "whole bits a second with a unit, in quotes, such as \"100Mbit\", from 1kbit to 1000Gbit".to_owned()
            }
        }
    }

    /// The same for programs.
    pub(super) fn schema(self) -> Schema {
        match self {
            Form::Bytes(low, high) => size(low, high),
            Form::Number(low, high) => {
                json_schema!({ "type": "integer", "minimum": low, "maximum": high })
            }
            Form::Flag => json_schema!({ "type": "boolean" }),
            Form::Word(words) => json_schema!({ "type": "string", "enum": words }),
            Form::Delays => json_schema!({
                "type": "object",
                "title": "a table of delays such as `{ \"echo:handler\" = \"5ms\" }`",
                "additionalProperties": duration(),
            }),
            Form::Duration(_) => duration(),
            Form::Bandwidth => json_schema!({
                "type": "string",
                "title": "a bandwidth such as `\"100Mbit\"`",
                "pattern": r"^\s*[0-9]+\s*[kMG]?bit(/s)?\s*$",
            }),
        }
    }

    /// `value` of the setting `knob`, in one spelling.
    ///
    /// # Errors
    /// If it has another form, or is outside its limits.
    pub(super) fn read(self, knob: &'static str, value: &Value) -> Result<Value, KnobError> {
        let within = |number: u64, low: u64, high: u64| match i64::try_from(number) {
            Ok(integer) if (low..=high).contains(&number) => Ok(Value::Integer(integer)),
            _ => Err(KnobError::Limit { knob, value: number, low, high }),
        };
        match (self, value) {
            (Form::Bytes(low, high) | Form::Number(low, high), Value::Integer(number))
                if *number >= 0 =>
            {
                within(number.unsigned_abs(), low, high)
            }
            (Form::Bytes(low, high), Value::String(text)) => match text.parse::<Size>() {
                Ok(size) => within(size.0, low, high),
                Err(_) => Err(self.refused(knob, value)),
            },
            (Form::Duration(longest), Value::String(text)) => {
                match Span::within(Span(0)..=longest)(text) {
                    Ok(span) => within(span.0, 0, longest.0),
                    Err(_) => Err(self.refused(knob, value)),
                }
            }
            (Form::Bandwidth, Value::String(text)) => match text.parse::<Bandwidth>() {
                Ok(Bandwidth(bits)) => within(bits, 0, u64::MAX),
                Err(_) => Err(self.refused(knob, value)),
            },
            (Form::Flag, Value::Boolean(_)) => Ok(value.clone()),
            (Form::Word(words), Value::String(word)) if words.contains(&word.as_str()) => {
                Ok(value.clone())
            }
            _ => Err(self.refused(knob, value)),
        }
    }

    fn refused(self, knob: &str, value: &Value) -> KnobError {
        KnobError::Form { knob: knob.to_owned(), value: value.to_string(), form: self.described() }
    }
}
