//! The size of a payload: no more than the gateway takes.

use std::borrow::Cow;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use settings::{Size, SizeError};

use super::written::size;

/// The largest payload a request may ask for, in bytes (16 MiB): the gateway's own limit.
pub const MAX_PAYLOAD: u64 = 16_777_216;

/// A size that is a payload: at most [`MAX_PAYLOAD`] bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Payload(pub u64);

/// Why a size is no payload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// No size at all.
    #[error(transparent)]
    Size(#[from] SizeError),
    /// More than a payload may have.
    #[error("a payload of {0} bytes is above the limit of 16777216 bytes (16 MiB)")]
    TooLarge(u64),
}

impl TryFrom<Size> for Payload {
    type Error = PayloadError;

    fn try_from(size: Size) -> Result<Self, PayloadError> {
        if size.0 > MAX_PAYLOAD { Err(PayloadError::TooLarge(size.0)) } else { Ok(Payload(size.0)) }
    }
}

impl FromStr for Payload {
    type Err = PayloadError;

    fn from_str(text: &str) -> Result<Self, PayloadError> {
        text.parse::<Size>()?.try_into()
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Size::deserialize(deserializer)?.try_into().map_err(D::Error::custom)
    }
}

impl JsonSchema for Payload {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "payload".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        size(0, MAX_PAYLOAD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_above_the_limit_names_value_and_limit() {
        let error = "16777217".parse::<Payload>().unwrap_err().to_string();
        assert_eq!(
            error,
            "a payload of 16777217 bytes is above the limit of 16777216 bytes (16 MiB)"
        );
        assert_eq!("16MiB".parse::<Payload>(), Ok(Payload(MAX_PAYLOAD)));
    }
}
