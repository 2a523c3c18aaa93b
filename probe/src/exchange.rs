//! A request and its answer for callers that have no message types for them.

use http::{Request, StatusCode};

/// How a request is made, and how its answer is read.
#[derive(Debug)]
pub struct Exchange<B, D> {
    /// Method, path with query, and headers. The peer's address and the trace context are added.
    pub head: Request<()>,
    /// Makes the body, and says how many of its bytes are payload; this is the stage of encoding. `None` sends none.
    pub body: Option<B>,
    /// The status of an answer; any other is an error.
    pub status: StatusCode,
    /// Reads the whole body of the answer; this is the stage of decoding.
    pub read: D,
}
