//! How every program of the lab reads its settings: from the command line, else from the environment, where
//! an empty variable is one that is not set; and what an address of a peer may look like.
//!
//! Which settings there are is each program's own.

mod environment;
mod url;

pub use environment::{named, parse, parse_from, text, try_parse_from, variable, without_blank};
pub use url::{HttpUrl, PeerUrl, UrlError};
