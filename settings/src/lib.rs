//! How every program of the lab reads its settings: from the command line, else from the environment, where
//! an empty variable is one that is not set; what the address of a peer or of a database may look like, a duration,
//! a size and a bandwidth.
//!
//! Which settings there are is each program's own.

mod allocator;
mod bandwidth;
mod database;
mod environment;
mod secret;
mod size;
mod span;
mod url;

pub use allocator::Allocator;
pub use bandwidth::{Bandwidth, BandwidthError};
pub use database::{DatabaseUrl, DatabaseUrlError};
pub use environment::{named, parse, parse_from, text, try_parse_from, variable, without_blank};
pub use secret::SecretParser;
pub use size::{Size, SizeError};
pub use span::{Span, SpanError};
pub use url::{HttpUrl, PeerUrl, UrlError};
