//! How much of a message is the application's payload, as opposed to its envelope.

use std::convert::Infallible;

/// A message that knows how many of its bytes are payload.
pub trait Carries {
    /// Bytes of application payload in the message.
    fn payload_bytes(&self) -> u64 {
        0
    }
}

impl Carries for Infallible {}
impl Carries for serde_json::Value {}

/// Knows how many bytes are payload in messages that cannot say it themselves, such as those of other crates.
pub trait Weigh<T> {
    /// Bytes of application payload in `message`.
    fn payload_bytes(message: &T) -> u64;
}

/// Asks the messages themselves ([`Carries`]).
#[derive(Debug, Clone, Copy)]
pub struct ByCarries;

impl<T: Carries> Weigh<T> for ByCarries {
    fn payload_bytes(message: &T) -> u64 {
        message.payload_bytes()
    }
}

/// Nothing of any message counts as payload.
#[derive(Debug, Clone, Copy)]
pub struct NoPayload;

impl<T> Weigh<T> for NoPayload {
    fn payload_bytes(_: &T) -> u64 {
        0
    }
}
