//! How every program of the lab reads its settings: from the command line, else from the environment, where
//! an empty variable is one that is not set; what an address of a peer may look like, a duration and a size.
//!
//! Which settings there are is each program's own.

mod environment;
mod size;
mod span;
mod url;

pub use environment::{named, parse, parse_from, text, try_parse_from, variable, without_blank};
pub use size::{Size, SizeError};
pub use span::{Span, SpanError};
pub use url::{HttpUrl, PeerUrl, UrlError};
