//! The ping routes: `{"size": N}` in, a payload of N letters and digits out.

use std::fmt;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use http::StatusCode;
use lab_proto::PingReply;
use probe::{Carries, JsonError, JsonReply};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;

use crate::echo;
use crate::reply::Refusal;

/// Largest payload that can be asked for, in bytes: 16 MiB.
pub const LARGEST_SIZE: u64 = 16_777_216;
/// A request's body may be this long, in bytes.
const LONGEST_REQUEST: usize = 4_096;

type Shared = State<Arc<crate::State>>;

/// `POST /rest/ping`.
pub(crate) async fn rest(
    State(state): Shared,
    request: Request<Body>,
) -> Result<JsonReply<PingReply>, Refusal> {
    let size = asked(request).await?;
    let turn = state.generator.turn().await;
    let sent = state.rest_size_bug.unwrap_or(size);
    probe::handler(async {
        let payload = echo::rest(&state.echo, made(turn.make(sent as usize).await)?).await?;
        Ok(reply("rest", size, payload))
    })
    .await
}

/// `POST /grpc/ping`.
pub(crate) async fn grpc(
    State(state): Shared,
    request: Request<Body>,
) -> Result<JsonReply<PingReply>, Refusal> {
    let size = asked(request).await?;
    let turn = state.generator.turn().await;
    probe::handler(async {
        let payload = echo::grpc(&state.echo, made(turn.make(size as usize).await)?).await?;
        Ok(reply("grpc", size, payload))
    })
    .await
}

fn reply(protocol: &str, size: u64, payload: String) -> JsonReply<PingReply> {
    let reply = PingReply { from: crate::SERVICE.into(), protocol: protocol.into(), size, payload };
    JsonReply(StatusCode::OK, reply)
}

fn made(payload: Result<String, String>) -> Result<String, Refusal> {
    payload.map_err(|error| {
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format!("making the payload: {error}"))
    })
}

/// Reads the size that a request asks for.
async fn asked(request: Request<Body>) -> Result<u64, Refusal> {
    let query = request.uri().query().unwrap_or_default();
    if query.split('&').any(|pair| pair.split('=').next() == Some("size")) {
        let error =
            format!("size: belongs into the JSON body, not into the query string {query:?}");
        return Err(Refusal::new(StatusCode::BAD_REQUEST, error));
    }
    let size = probe::read_json::<Asked, _>(request.into_body(), LONGEST_REQUEST).await.map_err(
        |error| match &error {
            JsonError::TooLong { .. } => {
                Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, error.to_string())
            }
            JsonError::Read(_) | JsonError::Malformed(_) => {
                Refusal::new(StatusCode::BAD_REQUEST, error.to_string())
            }
        },
    )?;
    match size {
        Asked::Whole(size) if size <= LARGEST_SIZE => Ok(size),
        Asked::Whole(size) => Err(too_large(size)),
        Asked::Beyond(size) => Err(too_large(size)),
    }
}

fn too_large(size: impl fmt::Display) -> Refusal {
    let error = format!("size: {size} is above the limit of {LARGEST_SIZE}");
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, error)
}

/// The body of a request, as strictly as the contract has it.
enum Asked {
    Whole(u64),
    /// Larger than 64 bits hold.
    Beyond(f64),
}

impl Carries for Asked {}

impl<'de> Deserialize<'de> for Asked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(AskedVisitor)
    }
}

struct AskedVisitor;

impl<'de> Visitor<'de> for AskedVisitor {
    type Value = Asked;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object {{\"size\": N}} with N a whole number from 0 to {LARGEST_SIZE}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Asked, A::Error> {
        let mut size = None;
        while let Some(name) = fields.next_key::<String>()? {
            let value: Value = fields.next_value()?;
            if name != "size" {
                let error = format!("{name}: unknown field (value {value}); the only one is size");
                return Err(A::Error::custom(error));
            }
            if size.is_some() {
                let error = format!("size: given more than once, again as {value}");
                return Err(A::Error::custom(error));
            }
            size = Some(whole(&value).ok_or_else(|| {
                let limit = format!("a whole number from 0 to {LARGEST_SIZE}");
                A::Error::custom(format!("size: {value} is not {limit}"))
            })?);
        }
        let missing = || format!("size: missing; a whole number from 0 to {LARGEST_SIZE}");
        size.ok_or_else(|| A::Error::custom(missing()))
    }
}

fn whole(value: &Value) -> Option<Asked> {
    let number = value.as_number()?;
    if let Some(size) = number.as_u64() {
        return Some(Asked::Whole(size));
    }
    // Integers past 64 bits arrive as floating point; nothing else that large can be meant.
    number.as_f64().filter(|size| number.is_f64() && *size >= u64::MAX as f64).map(Asked::Beyond)
}
