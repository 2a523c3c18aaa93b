//! What the requests of a cell are, as data: templates of requests with the answers that are right.
//!
//! A workload is a TOML table: one of `workloads/*.toml` ([`built_in`]), or a table of a plan file. Here is what it
//! may say; `Cell::requests` makes it a cell's own. Who sends the requests is the business of the load generators.

mod check;
mod list;
mod requests;
mod text;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Service;

pub use check::WorkloadError;
pub use list::{BUILT_IN, all, built_in, first};
pub use requests::{Expected, Request};
pub use text::{Part, Text, Written, letters};

/// What the requests of a cell are.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "workload")]
pub struct Workload {
    /// The name used in plans, cells and reports: the key of its table, or of its file.
    #[serde(skip)]
    pub name: String,
    /// What it is, in a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// What its requests are, in the plural, for reports: `questions about users`. Its name if absent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub asks: String,
    /// Whether its cells have a payload, of each size in the plan's `payload`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub payload: bool,
    /// The services behind the gateway that its requests reach, such as `echo`. A setting or a delay for another one would
    /// have no effect, and is refused; where one asks a database and there is none, the cells are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<String>,
    /// Of built-in workloads only: the k6 script of its own, in the folder `k6/`. Any other is driven by `requests.js`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
    /// The version of HTTP by which the gateway is asked: `1.1`, or `2` without TLS, which k6 cannot speak.
    #[serde(default, skip_serializing_if = "is_default")]
    pub http: Http,
    /// The payload that each hop must carry, from the edge inwards. A cell whose wire says otherwise is INVALID; a hop that
    /// is not named declares nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub carries: Vec<Carried>,
    /// The requests, 1 to 100, of which each is chosen as often as its weight says.
    pub request: Vec<Template>,
}

/// A version of HTTP, without TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[schemars(inline)]
pub enum Http {
    /// HTTP/1.1.
    #[default]
    #[serde(rename = "1.1")]
    One,
    /// HTTP/2 with prior knowledge (h2c).
    #[serde(rename = "2")]
    Two,
}

/// The payload of a hop's messages, in bytes: a number, or `"{size}"`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "carried")]
pub struct Carried {
    /// In the request.
    pub request: Value,
    /// In the reply.
    pub reply: Value,
    /// Bytes of a body beside the payload, at most, where bodies alone are known: as a relay counts them or spans claim
    /// them. 1024 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub envelope: Option<u64>,
}

/// A request, with places for values: `{protocol}`, `{size}`, `{payload}`, and those that are drawn.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "request")]
pub struct Template {
    /// The method, in capitals.
    pub method: String,
    /// Path and query, escaped as a URI is. Values that are put in are escaped.
    pub path: String,
    /// Headers beside those of HTTP and of tracing, which are the load generator's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The body: a text as it stands; a table, a list or a number as JSON, keys in the order of the alphabet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    /// How often it is chosen, in proportion to the weights of the others.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub weight: u32,
    /// Values that are new in each request: rows, of which each request draws one at random, with the same chance for all;
    /// or `users`, for `email` and `count` of the users table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draw: Option<Draw>,
    /// The answer that is right; any other is an error.
    #[serde(default, skip_serializing_if = "is_default")]
    pub answer: Answer,
}

/// Values that are new in each request.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "`draw` is \"users\", or a list of rows with the same names, such as [{ id = 1 }, { id = 2 }]"
)]
#[schemars(inline)]
pub enum Draw {
    /// From a source that is computed.
    From(Source),
    /// One of these rows, each as often as any other.
    Rows(Vec<Row>),
}

/// Values by their names.
pub type Row = BTreeMap<String, Value>;

/// A source of values that is computed; load generators know how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Source {
    /// An e-mail of the users table, and how many of its rows have it.
    Users,
}

impl Source {
    /// The names of its values.
    #[must_use]
    pub const fn names(self) -> &'static [&'static str] {
        match self {
            Source::Users => &["email", "count"],
        }
    }
}

/// What an answer must be. What is not named here is not looked at.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "answer")]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Fields of the JSON object that it is, each with the value that is right. Other fields may be there.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub json: BTreeMap<String, Value>,
    /// The field of that object that is the payload, a string of any length: what was sent is proved by the wire.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
    /// The whole of it, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

impl Default for Answer {
    fn default() -> Self {
        Answer { status: 200, json: BTreeMap::new(), payload: None, text: None }
    }
}

fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_one(weight: &u32) -> bool {
    *weight == 1
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Workload {
    /// A workload of which only its name is known, as a result of another version of the lab may have one.
    #[must_use]
    pub fn unknown(name: &str, payload: bool) -> Workload {
        Workload { name: name.to_owned(), payload, ..Workload::default() }
    }

    /// Whether its requests reach the database.
    #[must_use]
    pub fn asks_database(&self) -> bool {
        self.services().any(|service| service.database)
    }

    /// The services behind the gateway that its requests reach, as the lab's table of services has them.
    pub fn services(&self) -> impl Iterator<Item = &'static Service> {
        self.calls.iter().filter_map(|name| Service::named(name))
    }

    /// Whether some of its values come from `source`.
    #[must_use]
    pub fn draws(&self, source: Source) -> bool {
        self.request.iter().any(|request| request.draw == Some(Draw::From(source)))
    }

    /// Whether it is one of the lab's own, and not of a plan file.
    #[must_use]
    pub fn is_built_in(&self) -> bool {
        built_in(&self.name).is_some()
    }

    /// What its requests are, in the plural.
    #[must_use]
    pub fn asks(&self) -> &str {
        if self.asks.is_empty() { &self.name } else { &self.asks }
    }

    /// What its cells are called beside their payload: nothing where the payload says it all, as with the first
    /// workload.
    #[must_use]
    pub fn label(&self) -> Option<&str> {
        let payload_alone = self.payload && self.name == BUILT_IN[0].0;
        (!payload_alone).then_some(self.name.as_str())
    }

    /// The payload in bytes that the hop `depth` steps from the edge must carry, in request and reply, where the
    /// cell's is `size`; nothing where the workload declares none.
    #[must_use]
    pub fn declared(&self, depth: usize, size: u64) -> (Option<u64>, Option<u64>) {
        let bytes = |written: &Value| written.as_u64().or_else(|| self.payload.then_some(size));
        self.carries.get(depth).map_or((None, None), |hop| (bytes(&hop.request), bytes(&hop.reply)))
    }

    /// The bytes that a body at that hop may have beside its payload, where the workload declares it.
    #[must_use]
    pub fn envelope(&self, depth: usize) -> Option<u64> {
        self.carries.get(depth)?.envelope
    }
}
