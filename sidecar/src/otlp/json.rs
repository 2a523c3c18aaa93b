//! OTLP/JSON into the same message in protobuf, so that one decoder reads both.
//!
//! The encoding is proto3's JSON with three exceptions of OTLP: ids are hexadecimal, names are lowerCamelCase
//! alone, enums are numbers alone. Unknown names are passed over. Fields that [`super::decode`] does not read
//! (events, bytes) are left out. Nothing is built in between: what is written takes at most twice the bytes
//! of what is read.
//! <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The fields of a message: name, number and what the value is.
type Schema = [(&'static str, u8, Kind)];

#[derive(Clone, Copy)]
enum Kind {
    Text,
    /// Bytes as hexadecimal digits.
    Hex,
    /// Integers, enums and booleans. Those of 64 bits may be written as text.
    Varint,
    Fixed64,
    Fixed32,
    Double,
    Message(&'static Schema),
}

static REQUEST: &Schema = &[("resourceSpans", 1, Kind::Message(RESOURCE_SPANS))];
static RESOURCE_SPANS: &Schema =
    &[("resource", 1, Kind::Message(RESOURCE)), ("scopeSpans", 2, Kind::Message(SCOPE_SPANS))];
static RESOURCE: &Schema = &[("attributes", 1, Kind::Message(&KEY_VALUE))];
static SCOPE_SPANS: &Schema = &[("spans", 2, Kind::Message(SPAN))];
static SPAN: &Schema = &[
    ("traceId", 1, Kind::Hex),
    ("spanId", 2, Kind::Hex),
    ("traceState", 3, Kind::Text),
    ("parentSpanId", 4, Kind::Hex),
    ("name", 5, Kind::Text),
    ("kind", 6, Kind::Varint),
    ("startTimeUnixNano", 7, Kind::Fixed64),
    ("endTimeUnixNano", 8, Kind::Fixed64),
    ("attributes", 9, Kind::Message(&KEY_VALUE)),
    ("links", 13, Kind::Message(LINK)),
    ("status", 15, Kind::Message(STATUS)),
    ("flags", 16, Kind::Fixed32),
];
static LINK: &Schema =
    &[("traceId", 1, Kind::Hex), ("spanId", 2, Kind::Hex), ("traceState", 3, Kind::Text)];
static STATUS: &Schema = &[("code", 3, Kind::Varint)];
static KEY_VALUE: [(&str, u8, Kind); 2] =
    [("key", 1, Kind::Text), ("value", 2, Kind::Message(&ANY_VALUE))];
static ANY_VALUE: [(&str, u8, Kind); 6] = [
    ("stringValue", 1, Kind::Text),
    ("boolValue", 2, Kind::Varint),
    ("intValue", 3, Kind::Varint),
    ("doubleValue", 4, Kind::Double),
    ("arrayValue", 5, Kind::Message(&ARRAY_VALUE)),
    ("kvlistValue", 6, Kind::Message(&KEY_VALUE_LIST)),
];
static ARRAY_VALUE: [(&str, u8, Kind); 1] = [("values", 1, Kind::Message(&ANY_VALUE))];
static KEY_VALUE_LIST: [(&str, u8, Kind); 1] = [("values", 1, Kind::Message(&KEY_VALUE))];

/// The `ExportTraceServiceRequest` in `json`, as protobuf.
///
/// # Errors
/// Where `json` is none, or a field is of another type than OTLP says. An id that is not hexadecimal is left
/// out: its span is then refused alone.
pub(super) fn to_protobuf(json: &[u8]) -> Result<Vec<u8>, serde_json::Error> {
    let mut out = Vec::with_capacity(json.len());
    let mut from = serde_json::Deserializer::from_slice(json);
    from.deserialize_map(Fields { of: REQUEST, out: &mut out })?;
    from.end()?;
    Ok(out)
}

/// Reads an object as the fields of a message.
struct Fields<'a> {
    of: &'static Schema,
    out: &'a mut Vec<u8>,
}

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key_seed(Name(self.of))? {
            match name {
                Some((name, number, kind)) => {
                    map.next_value_seed(Field { name, number, kind, out: self.out })?;
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// Reads a name as the field that it means.
struct Name(&'static Schema);

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Option<(&'static str, u8, Kind)>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_identifier(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Option<(&'static str, u8, Kind)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().find(|(known, ..)| *known == name).copied())
    }
}

/// Reads the value of one field, or of each of a repeated one, and writes it.
struct Field<'a> {
    name: &'static str,
    number: u8,
    kind: Kind,
    out: &'a mut Vec<u8>,
}

impl Field<'_> {
    /// Field numbers here are below 32, so their keys take two bytes at most.
    fn key(&mut self, wire_type: u8) {
        let key = u64::from(self.number) << 3 | u64::from(wire_type);
        prost::encoding::encode_varint(key, self.out);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.key(2);
        prost::encoding::encode_varint(bytes.len() as u64, self.out);
        self.out.extend_from_slice(bytes);
    }

    fn whole<E: Error>(&mut self, bits: u64) -> Result<(), E> {
        match self.kind {
            Kind::Varint => {
                self.key(0);
                prost::encoding::encode_varint(bits, self.out);
            }
            Kind::Fixed64 => {
                self.key(1);
                self.out.extend(bits.to_le_bytes());
            }
            Kind::Fixed32 => {
                self.key(5);
                self.out.extend((bits as u32).to_le_bytes());
            }
            Kind::Double => self.double(bits as f64),
            Kind::Text | Kind::Hex | Kind::Message(_) => return Err(self.wrong("a number")),
        }
        Ok(())
    }

    fn double(&mut self, number: f64) {
        self.key(1);
        self.out.extend(number.to_le_bytes());
    }

    fn wrong<E: Error>(&self, what: &str) -> E {
        E::custom(format_args!("{} must not be {what}", self.name))
    }
}

impl<'de> DeserializeSeed<'de> for Field<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Field<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the value of {}", self.name)
    }

    /// Null is what is not there.
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(mut self, value: bool) -> Result<(), E> {
        match self.kind {
            Kind::Varint => self.whole(value.into()),
            _ => Err(self.wrong("a boolean")),
        }
    }

    fn visit_u64<E: Error>(mut self, value: u64) -> Result<(), E> {
        self.whole(value)
    }

    fn visit_i64<E: Error>(mut self, value: i64) -> Result<(), E> {
        match self.kind {
            Kind::Double => self.double(value as f64),
            Kind::Fixed64 | Kind::Fixed32 => return Err(self.wrong("negative")),
            _ => return self.whole(value.cast_unsigned()),
        }
        Ok(())
    }

    fn visit_f64<E: Error>(mut self, value: f64) -> Result<(), E> {
        match self.kind {
            Kind::Double => {
                self.double(value);
                Ok(())
            }
            // Doubles are exact up to 2^53.
            _ if value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0 => {
                self.visit_i64(value as i64)
            }
            _ => Err(self.wrong("a number with a fraction")),
        }
    }

    fn visit_str<E: Error>(mut self, text: &str) -> Result<(), E> {
        match self.kind {
            Kind::Text => self.bytes(text.as_bytes()),
            Kind::Hex => self.bytes(&from_hex(text).unwrap_or_default()),
            Kind::Varint => match text.parse::<i64>() {
                Ok(number) => return self.whole(number.cast_unsigned()),
                Err(_) => return Err(self.wrong("text but for an integer")),
            },
            Kind::Fixed64 | Kind::Fixed32 => match text.parse::<u64>() {
                Ok(number) => return self.whole(number),
                Err(_) => return Err(self.wrong("text but for an integer that is not negative")),
            },
            Kind::Double => match text.parse::<f64>() {
                Ok(number) => self.double(number),
                Err(_) => return Err(self.wrong("text but for a number")),
            },
            Kind::Message(_) => return Err(self.wrong("text")),
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Field { name, number, kind, out } = self;
        if !matches!(kind, Kind::Message(_)) {
            return Err(A::Error::custom(format_args!("{name} must not be a list")));
        }
        while seq.next_element_seed(Field { name, number, kind, out })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, map: A) -> Result<(), A::Error> {
        let Kind::Message(of) = self.kind else {
            return Err(self.wrong("an object"));
        };
        self.key(2);
        // The length comes when it is known, in as many bytes as the longest body needs: 2^28 is beyond it.
        let at = self.out.len();
        self.out.extend([0; 4]);
        Fields { of, out: self.out }.visit_map(map)?;
        let length = self.out.len() - at - 4;
        let seven = |shift: u32| (length >> shift) as u8 & 0x7f;
        let padded = [seven(0) | 0x80, seven(7) | 0x80, seven(14) | 0x80, seven(21)];
        self.out[at..at + 4].copy_from_slice(&padded);
        Ok(())
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pair = |pair: &[u8]| Some((digit(pair[0])? << 4 | digit(*pair.get(1)?)?) as u8);
    text.as_bytes().chunks(2).map(pair).collect()
}
