//! The gateway's public JSON, as the contracts have it.

use probe::Carries;
use serde::{Deserialize, Serialize};

/// Body of `POST /rest/ping` and `POST /grpc/ping`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PingRequest {
    /// Size of the payload wanted, in bytes.
    pub size: u64,
}

impl Carries for PingRequest {}

/// Answer to a [`PingRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PingReply {
    /// Always `gateway`.
    pub from: String,
    /// Protocol of the inner hop.
    pub protocol: String,
    /// Size that was asked for, in bytes.
    pub size: u64,
    /// The payload.
    pub payload: String,
}

impl Carries for PingReply {
    fn payload_bytes(&self) -> u64 {
        self.payload.len() as u64
    }
}

/// Answer to `GET /rest/users/count` and `GET /grpc/users/count`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsersCountReply {
    /// Protocol of the inner hop.
    pub protocol: String,
    /// The e-mail asked for.
    pub email: String,
    /// How many users have it.
    pub count: u64,
}

impl Carries for UsersCountReply {}
