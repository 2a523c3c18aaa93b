//! How a client connects.

use std::time::Duration;

use crate::limits::Limits;

/// HTTP version a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Version {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2 with prior knowledge, as gRPC does.
    Http2,
}

/// How a client connects. Windows and frame sizes are in bytes; `None` leaves hyper's default.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// HTTP version.
    pub version: Version,
    /// HTTP/2 stream window for replies.
    pub stream_window: Option<u32>,
    /// HTTP/2 connection window for replies.
    pub connection_window: Option<u32>,
    /// Largest HTTP/2 frame accepted.
    pub frame_size: Option<u32>,
    /// Keep connections for later calls; otherwise each call connects anew.
    pub pooled: bool,
    /// A connection of HTTP/1.1 without a call is closed after this: before its peer does so, which might be just when
    /// a call is sent on it.
    pub idle: Duration,
    /// TCP_NODELAY.
    pub nodelay: bool,
}

impl ClientOptions {
    /// How long a connection is kept to a peer that closes its connections after `idle`.
    #[must_use]
    pub fn idle_before(idle: Duration) -> Duration {
        idle / 4 * 3
    }
}

impl Default for ClientOptions {
    fn default() -> Self {
        ClientOptions {
            version: Version::Http1,
            stream_window: None,
            connection_window: None,
            frame_size: None,
            pooled: true,
            idle: Self::idle_before(Limits::default().idle),
            nodelay: true,
        }
    }
}
