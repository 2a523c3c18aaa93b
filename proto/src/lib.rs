//! The lab's messages, as protobuf (gRPC) and as JSON (REST), and the gateway's public JSON.
//!
//! The generated code names the probe's codec, so whoever calls or serves a message is measured.

mod email;
pub mod emails;
mod gateway;

/// Code generated from `proto/lab/v1`.
#[expect(missing_docs, clippy::allow_attributes, clippy::too_many_lines, reason = "generated code")]
pub mod v1 {
    tonic::include_proto!("lab.v1");
}

pub use email::{EmailError, LONGEST_EMAIL, check_email, email_of_query, query_of_email};
pub use gateway::{PingReply, PingRequest, UsersCountReply};
pub use v1::{CountReply, CountRequest, EchoReply, EchoRequest};

// How much of each message is payload. An e-mail and a count are what is asked and answered, not payload:
// a users cell declares none.
include!(concat!(env!("OUT_DIR"), "/carries.rs"));
