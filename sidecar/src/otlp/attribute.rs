//! OTLP attributes: a key and a value of some type, borrowed from the message.

use super::wire::{Value, WireError, fields};

/// The value of an attribute. Maps are of no interest here.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Any<'a> {
    /// Text, not yet checked to be UTF-8.
    Text(&'a [u8]),
    /// A whole number.
    Int(i64),
    /// A floating-point number.
    Double(f64),
    /// An array, as the message that it is.
    List(&'a [u8]),
    /// Bytes: what our own spans pack a record in.
    Packed(&'a [u8]),
    /// Anything else, or no value at all.
    Other,
}

/// Reads a `KeyValue`.
#[inline]
pub(super) fn key_value(message: &[u8]) -> Result<(&[u8], Any<'_>), WireError> {
    let (mut key, mut value): (&[u8], _) = (&[], Any::Other);
    fields(message, |number, field| {
        match (number, field) {
            (1, Value::Bytes(bytes)) => key = bytes,
            (2, Value::Bytes(any)) => value = Any::read(any)?,
            _ => {}
        }
        Ok::<_, WireError>(())
    })?;
    Ok((key, value))
}

impl<'a> Any<'a> {
    #[inline]
    fn read(message: &'a [u8]) -> Result<Self, WireError> {
        let mut any = Any::Other;
        fields(message, |number, field| {
            any = match (number, field) {
                (1, Value::Bytes(text)) => Any::Text(text),
                (3, Value::Varint(number)) => Any::Int(number.cast_signed()),
                (5, Value::Bytes(list)) => Any::List(list),
                (4, Value::Fixed64(bits)) => Any::Double(f64::from_bits(bits)),
                (7, Value::Bytes(bytes)) => Any::Packed(bytes),
                _ => Any::Other,
            };
            Ok::<_, WireError>(())
        })?;
        Ok(any)
    }

    /// The bytes of a text.
    pub(super) fn bytes(self) -> Option<&'a [u8]> {
        if let Any::Text(bytes) = self { Some(bytes) } else { None }
    }

    /// The text, or what it is instead.
    pub(super) fn text(self) -> Result<&'a str, &'static str> {
        std::str::from_utf8(self.bytes().ok_or("not a string")?).map_err(|_| "not UTF-8")
    }

    /// Any value as text of at most `limit` bytes; what is not UTF-8 is replaced.
    pub(super) fn lossy_text(self, limit: usize) -> String {
        match self {
            Any::Text(bytes) => {
                String::from_utf8_lossy(&bytes[..bytes.len().min(limit)]).into_owned()
            }
            Any::Int(number) => number.to_string(),
            Any::Double(number) => number.to_string(),
            Any::List(_) | Any::Packed(_) | Any::Other => String::new(),
        }
    }

    /// A whole number that is not negative. Load generators in other languages write numbers as
    /// doubles or text: those count too.
    pub(super) fn whole(self) -> Option<u64> {
        match self {
            Any::Int(number) => u64::try_from(number).ok(),
            // Doubles are exact up to 2^53.
            Any::Double(number) => (number.fract() == 0.0
                && (0.0..9_007_199_254_740_992.0).contains(&number))
            .then_some(number as u64),
            Any::Text(_) => self.text().ok()?.trim().parse().ok(),
            Any::List(_) | Any::Packed(_) | Any::Other => None,
        }
    }

    /// A number.
    pub(super) fn number(self) -> Option<f64> {
        match self {
            Any::Int(number) => Some(number as f64),
            Any::Double(number) => Some(number),
            Any::Text(_) => self.text().ok()?.trim().parse().ok(),
            Any::List(_) | Any::Packed(_) | Any::Other => None,
        }
    }

    /// The texts of an array, at most `most` of them, up to what cannot be read.
    pub(super) fn texts(self, most: usize) -> Vec<&'a str> {
        let list = if let Any::List(list) = self { list } else { &[] };
        let mut texts = Vec::new();
        let _ = fields(list, |number, field| {
            if let (1, Value::Bytes(any)) = (number, field)
                && texts.len() < most
            {
                texts.extend(Any::read(any).ok().and_then(|any| any.text().ok()));
            }
            Ok::<_, WireError>(())
        });
        texts
    }
}
