//! The gateway's reply, read without keeping its payload.
//!
//! A payload of 1 MB a hundred times a second must not cost the load generator a copy each.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

use lab_model::Protocol;

/// What the driver checks of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Reply {
    /// The protocol that the gateway says it used.
    pub protocol: Protocol,
    /// The size that the gateway says was asked for, in bytes.
    pub size: u64,
    /// The payload, of which only the length is kept.
    pub payload: Length,
}

impl Reply {
    /// Whether the reply answers what was asked.
    ///
    /// A payload of another length than declared is not an error: the request was answered, and its
    /// latency is that of the bytes that were really sent. That they are not the declared ones is
    /// proved from the wire and judged for the cell as a whole, which a count of errors would hide.
    ///
    /// # Errors
    /// What differs, and how.
    pub fn check(&self, protocol: Protocol, size: u64) -> Result<(), Cow<'static, str>> {
        if self.protocol != protocol {
            let (got, asked) = (self.protocol.name(), protocol.name());
            return Err(format!("the reply says protocol {got}, asked was {asked}").into());
        }
        if self.size != size {
            return Err(format!("the reply says size {}, asked was {size}", self.size).into());
        }
        Ok(())
    }
}

/// The length of a string, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Length(pub u64);

struct LengthVisitor;

impl Visitor<'_> for LengthVisitor {
    type Value = Length;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Length, E> {
        Ok(Length(value.len() as u64))
    }
}

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(LengthVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(text: &str) -> Reply {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_reply_is_checked_for_protocol_and_size() {
        let reply = reply(r#"{"from":"gateway","protocol":"rest","size":3,"payload":"abc"}"#);
        assert_eq!(reply.payload, Length(3));
        assert_eq!(reply.check(Protocol::Rest, 3), Ok(()));
        assert_eq!(
            reply.check(Protocol::Grpc, 3).unwrap_err(),
            "the reply says protocol rest, asked was grpc"
        );
        assert_eq!(
            reply.check(Protocol::Rest, 4).unwrap_err(),
            "the reply says size 3, asked was 4"
        );
    }

    #[test]
    fn a_payload_of_another_length_is_left_to_the_verdict() {
        let reply = reply(r#"{"from":"gateway","protocol":"rest","size":10,"payload":"abc"}"#);
        assert_eq!(reply.check(Protocol::Rest, 10), Ok(()));
    }
}
