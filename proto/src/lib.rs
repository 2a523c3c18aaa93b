//! The lab's messages, as protobuf (gRPC) and as JSON (REST), and the gateway's public JSON.
//!
//! The generated code names the probe's codec, so whoever calls or serves a message is measured.

mod email;
mod gateway;

/// Code generated from `proto/lab/v1`.
#[expect(missing_docs, clippy::allow_attributes, clippy::too_many_lines, reason = "generated code")]
pub mod v1 {
    tonic::include_proto!("lab.v1");
}

pub use email::{EmailError, LONGEST_EMAIL, check_email, email_of_query, query_of_email};
pub use gateway::{ErrorReply, PingReply, PingRequest, UsersCountReply};
pub use v1::{CountReply, CountRequest, EchoReply, EchoRequest};

impl probe::Carries for EchoRequest {
    fn payload_bytes(&self) -> u64 {
        self.payload.len() as u64
    }
}

impl probe::Carries for EchoReply {
    fn payload_bytes(&self) -> u64 {
        self.payload.len() as u64
    }
}

// An e-mail and a count are what is asked and answered, not payload: a users cell declares none.
impl probe::Carries for CountRequest {}
impl probe::Carries for CountReply {}
