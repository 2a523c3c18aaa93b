//! The ping routes: `{"size": N}` in, a payload of N letters and digits out.

use std::fmt;
use std::sync::Arc;

use axum::extract::{Request, State};
use http::StatusCode;
use lab_proto::v1::echo_client::EchoClient;
use lab_proto::{EchoReply, EchoRequest, PingReply};
use probe::{Carries, JsonReply, LONGEST_BODY, Refusal, Routes, Service as _};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::config::{GatewayConfig, LARGEST_SIZE};
use crate::payload::Generator;
use crate::upstream::Upstream;
use crate::workload::Workload;

/// A request's body may be this long, in bytes.
const LONGEST_REQUEST: usize = 4_096;
/// What a message shows of a value, in bytes.
const LONGEST_SHOWN: usize = 64;

/// The ping routes, through the echo service.
pub(super) const WORKLOAD: Workload = Workload {
    peer: "echo",
    routes: |config| {
        // One of it: its lock is what requests are to wait for.
        let generator = Arc::new(Generator::new(config.payload_source));
        let rest_size_bug = config.rest_size_bug;
        Box::new(move |echo| {
            let ping = Ping { echo, generator: Arc::clone(&generator), rest_size_bug };
            Routes::new()
                .post("/rest/ping", rest)
                .post("/grpc/ping", grpc)
                .with_state(Arc::new(ping))
        })
    },
};

/// What every ping needs.
struct Ping {
    echo: Upstream,
    generator: Arc<Generator>,
    rest_size_bug: Option<u64>,
}

async fn rest(
    State(ping): State<Arc<Ping>>,
    request: Request,
) -> Result<JsonReply<PingReply>, Refusal> {
    let size = asked(request).await?;
    let turn = ping.generator.turn().await;
    let sent = ping.rest_size_bug.unwrap_or(size);
    probe::handler(async {
        let request = EchoRequest { payload: made(turn.make(sent as usize).await)? };
        let EchoReply { payload } = ping.echo.post_json("/echo", &request).await?;
        whole(sent, &payload)?;
        Ok(reply("rest", size, payload))
    })
    .await
}

async fn grpc(
    State(ping): State<Arc<Ping>>,
    request: Request,
) -> Result<JsonReply<PingReply>, Refusal> {
    let size = asked(request).await?;
    let turn = ping.generator.turn().await;
    probe::handler(async {
        let request = EchoRequest { payload: made(turn.make(size as usize).await)? };
        let call = |channel| async move {
            let mut client = EchoClient::new(channel)
                .max_decoding_message_size(LONGEST_BODY)
                .max_encoding_message_size(LONGEST_BODY);
            client.echo(request).await
        };
        let EchoReply { payload } = ping.echo.grpc("lab.v1.Echo/Echo", call).await?;
        whole(size, &payload)?;
        Ok(reply("grpc", size, payload))
    })
    .await
}

fn reply(protocol: &str, size: u64, payload: String) -> JsonReply<PingReply> {
    let reply =
        PingReply { from: GatewayConfig::NAME.into(), protocol: protocol.into(), size, payload };
    JsonReply(StatusCode::OK, reply)
}

/// Whether the payload that came back is as long as the one that was sent.
fn whole(sent: u64, payload: &str) -> Result<(), Refusal> {
    let back = payload.len() as u64;
    if back == sent {
        return Ok(());
    }
    let error = format!("echo answered with a payload of {back} bytes to one of {sent} bytes");
    Err(Refusal::new(StatusCode::BAD_GATEWAY, error))
}

fn made(payload: Result<String, String>) -> Result<String, Refusal> {
    payload.map_err(|error| {
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format!("making the payload: {error}"))
    })
}

/// Reads the size that a request asks for.
async fn asked(request: Request) -> Result<u64, Refusal> {
    let query = request.uri().query().unwrap_or_default();
    if query.split('&').any(|pair| pair.split('=').next() == Some("size")) {
        let error =
            format!("size: belongs into the JSON body, not into the query string {query:?}");
        return Err(Refusal::new(StatusCode::BAD_REQUEST, error));
    }
    let size = probe::read_json::<Asked, _>(request.into_body(), LONGEST_REQUEST).await?;
    match size {
        Asked::Whole(size) => Ok(size),
        Asked::Beyond(size) => {
            let error = format!("size: {size} is above the limit of {LARGEST_SIZE}");
            Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, error))
        }
    }
}

/// The body of a request, as strictly as the contract has it.
enum Asked {
    Whole(u64),
    /// Larger than it may be, as it was sent.
    Beyond(String),
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
            // As it was sent: read as a number, 1e3 would be 1000.0 and 1e400 none at all.
            let value: &RawValue = fields.next_value()?;
            let (raw, value) = (value.get(), shown(value.get()));
            if name != "size" {
                let error = format!("{name}: unknown field (value {value}); the only one is size");
                return Err(A::Error::custom(error));
            }
            if size.is_some() {
                let error = format!("size: given more than once, again as {value}");
                return Err(A::Error::custom(error));
            }
            size = Some(asked_for(raw).ok_or_else(|| {
                let limit = format!("a whole number from 0 to {LARGEST_SIZE}");
                A::Error::custom(format!("size: {value} is not {limit}"))
            })?);
        }
        let missing = || format!("size: missing; a whole number from 0 to {LARGEST_SIZE}");
        size.ok_or_else(|| A::Error::custom(missing()))
    }
}

/// The size that a value is, if it is written as a whole number: in digits alone.
fn asked_for(value: &str) -> Option<Asked> {
    if !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    match value.parse() {
        Ok(size) if size <= LARGEST_SIZE => Some(Asked::Whole(size)),
        _ => Some(Asked::Beyond(shown(value))),
    }
}

/// A value as a message shows it: not all of one that is long.
fn shown(value: &str) -> String {
    if value.len() <= LONGEST_SHOWN {
        return value.to_owned();
    }
    format!("{}...", &value[..value.floor_char_boundary(LONGEST_SHOWN)])
}
