//! Timed JSON: bodies of requests and replies, as arguments and results of handlers.
//!
//! Messages that know how many of their bytes are payload ([`Carries`]) use [`JsonBody`] and [`JsonReply`]; all others
//! use [`Json`].

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderValue, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::carries::Carries;
use crate::pace::TooSlow;
use crate::slot::Slot;
use crate::transport::{causes, find};

/// A body longer than this is refused: 16 MiB of payload and its envelope.
pub const LONGEST_BODY: usize = 17 * 1024 * 1024;

/// Why a JSON body was refused.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// The body is longer than the service accepts.
    #[error("the body is longer than {limit} bytes")]
    TooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The body did not come in time.
    #[error(transparent)]
    TooSlow(TooSlow),
    /// The body broke off.
    #[error("reading the body: {0}")]
    Read(String),
    /// The body is not the JSON that was expected.
    #[error(transparent)]
    Malformed(#[from] serde_json::Error),
}

/// Reads and decodes the JSON body of a request or reply of at most `limit` bytes.
///
/// # Errors
/// [`JsonError`] says whether the body was too long, broke off, or is not the JSON expected.
pub async fn read_json<T, B>(body: B, limit: usize) -> Result<T, JsonError>
where
    T: DeserializeOwned + Carries,
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    read_json_with(body, limit, T::payload_bytes).await
}

/// The same of any message; `payload` says how many bytes of it are the application's.
///
/// # Errors
/// As [`read_json`].
pub async fn read_json_with<T, B>(
    body: B,
    limit: usize,
    payload: impl FnOnce(&T) -> u64,
) -> Result<T, JsonError>
where
    T: DeserializeOwned,
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let read = |bytes: &[u8]| Ok(serde_json::from_slice(bytes)?);
    read_with(body, limit, read, payload).await
}

/// Reads a body of at most `limit` bytes, and decodes it by `read`, which is timed.
pub(crate) async fn read_with<T, B>(
    body: B,
    limit: usize,
    read: impl FnOnce(&[u8]) -> Result<T, JsonError>,
    payload: impl FnOnce(&T) -> u64,
) -> Result<T, JsonError>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let collected = Limited::new(body, limit).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            return JsonError::TooLong { limit };
        }
        match find::<TooSlow>(error.as_ref()) {
            Some(slow) => JsonError::TooSlow(*slow),
            None => JsonError::Read(causes(error.as_ref())),
        }
    })?;
    // Putting the pieces together is part of turning bytes into a message.
    let decode = || {
        let bytes = collected.to_bytes();
        Ok((read(&bytes)?, bytes.len() as u64))
    };
    Slot::with(|slot| match slot {
        Some(slot) => slot.decode(decode, payload),
        None => decode().map(|(message, _)| message),
    })
}

/// Encodes a message as JSON, `payload` bytes of which are the application's.
///
/// # Errors
/// As `serde_json::to_vec`.
pub(crate) fn encode_json<T: Serialize>(
    message: &T,
    payload: u64,
) -> Result<Bytes, serde_json::Error> {
    encode_with(|| {
        // Text of letters and digits is as long as it is; the rest of a message is short.
        let mut writer = BytesMut::with_capacity(payload as usize + 128).writer();
        serde_json::to_writer(&mut writer, message)?;
        Ok((writer.into_inner().freeze(), payload))
    })
}

/// Encodes a message by `make`, which answers its bytes and how many of them are payload, and is timed.
pub(crate) fn encode_with<E>(make: impl FnOnce() -> Result<(Bytes, u64), E>) -> Result<Bytes, E> {
    let encode = || {
        let (bytes, payload) = make()?;
        let length = bytes.len() as u64;
        Ok((bytes, length, payload))
    };
    Slot::with(|slot| match slot {
        Some(slot) => slot.encode(encode),
        None => encode().map(|(bytes, ..)| bytes),
    })
}

/// A JSON reply, timed.
#[derive(Debug)]
pub struct JsonReply<T>(pub StatusCode, pub T);

impl<T: Serialize + Carries> IntoResponse for JsonReply<T> {
    fn into_response(self) -> Response {
        let JsonReply(status, message) = self;
        json_reply(status, &message, message.payload_bytes())
    }
}

/// A JSON reply of any message, timed; `payload` bytes of it are the application's.
pub fn json_reply<T: Serialize>(status: StatusCode, message: &T, payload: u64) -> Response {
    match encode_json(message, payload) {
        Ok(bytes) => {
            let mut reply = Response::new(Body::from(bytes));
            *reply.status_mut() = status;
            let json = HeaderValue::from_static("application/json");
            reply.headers_mut().insert(header::CONTENT_TYPE, json);
            reply
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// The JSON body of a request, as an argument of a handler. Its decoding is timed; a body that is not
/// the JSON expected, or too long, is refused with the status it earns.
#[derive(Debug)]
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned + Carries, S: Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refusal> {
        Ok(JsonBody(read_json(request.into_body(), LONGEST_BODY).await?))
    }
}

/// Any message as JSON, timed: an argument or a result of a handler. None of it counts as payload.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Json<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refusal> {
        Ok(Json(read_json_with(request.into_body(), LONGEST_BODY, |_| 0).await?))
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        json_reply(StatusCode::OK, &self.0, 0)
    }
}

/// The body of an answer to a request that was refused or failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorReply {
    /// Names the field, its value and the limit.
    pub error: String,
}

impl Carries for ErrorReply {}

/// A request that was not answered with what it asked for.
#[derive(Debug)]
pub struct Refusal {
    /// What it is answered with.
    pub status: StatusCode,
    /// Why, for the caller: the field, its value and the limit.
    pub error: String,
}

impl Refusal {
    /// A refusal with this status, which says why.
    pub fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Refusal { status, error: error.into() }
    }
}

/// The status that answers a body which cannot be read: the one place that decides it.
impl From<JsonError> for Refusal {
    fn from(error: JsonError) -> Self {
        let status = match &error {
            JsonError::TooLong { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            JsonError::TooSlow(_) => StatusCode::REQUEST_TIMEOUT,
            JsonError::Read(_) | JsonError::Malformed(_) => StatusCode::BAD_REQUEST,
        };
        Refusal::new(status, error.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        JsonReply(self.status, ErrorReply { error: self.error }).into_response()
    }
}
