//! Timed codecs: protobuf for tonic, JSON for HTTP/1.1 services.

use std::convert::Infallible;
use std::marker::PhantomData;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderValue, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use crate::slot::Slot;

/// Says how much of a message is the application's payload, as opposed to its envelope.
pub trait Carries {
    /// Bytes of application payload in the message.
    fn payload_bytes(&self) -> u64 {
        0
    }
}

/// tonic's protobuf codec, timed.
#[derive(Debug)]
pub struct TimedCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for TimedCodec<T, U> {
    fn default() -> Self {
        TimedCodec(PhantomData)
    }
}

impl<T, U> Codec for TimedCodec<T, U>
where
    T: Message + Carries + Send + 'static,
    U: Message + Carries + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = TimedEncoder<T>;
    type Decoder = TimedDecoder<U>;

    // Both constructors run inside the call's own future; encode() and decode() may not. So this
    // is where the call is found.
    fn encoder(&mut self) -> Self::Encoder {
        TimedEncoder { slot: Slot::current(), message: PhantomData }
    }

    fn decoder(&mut self) -> Self::Decoder {
        TimedDecoder { slot: Slot::current(), message: PhantomData }
    }
}

/// The sending half of [`TimedCodec`].
#[derive(Debug)]
pub struct TimedEncoder<T> {
    slot: Option<Slot>,
    message: PhantomData<T>,
}

impl<T: Message + Carries> Encoder for TimedEncoder<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, item: T, dst: &mut EncodeBuf<'_>) -> Result<(), Status> {
        let Some(slot) = &self.slot else {
            encode_into(&item, dst);
            return Ok(());
        };
        let payload = item.payload_bytes();
        slot.encode(|| Ok(((), encode_into(&item, dst), payload)))
    }
}

fn encode_into(item: &impl Message, dst: &mut EncodeBuf<'_>) -> u64 {
    let length = item.encoded_len();
    dst.reserve(length);
    item.encode_raw(dst);
    length as u64
}

/// The receiving half of [`TimedCodec`].
#[derive(Debug)]
pub struct TimedDecoder<U> {
    slot: Option<Slot>,
    message: PhantomData<U>,
}

impl<U: Message + Carries + Default> Decoder for TimedDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, src: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        let length = bytes::Buf::remaining(src) as u64;
        let malformed = |error: prost::DecodeError| {
            Status::invalid_argument(format!(
                "decoding a protobuf message of {length} bytes: {error}"
            ))
        };
        match &self.slot {
            Some(slot) => slot.decode(|| Ok((U::decode(src)?, length)), U::payload_bytes),
            None => U::decode(src),
        }
        .map(Some)
        .map_err(malformed)
    }
}

/// Why a JSON body was refused.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// The body is longer than the service accepts.
    #[error("the body is longer than {limit} bytes")]
    TooLong {
        /// The limit, in bytes.
        limit: usize,
    },
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
    read_with(body, limit, |bytes| Ok(serde_json::from_slice(bytes)?)).await
}

/// Reads a body of at most `limit` bytes, and decodes it by `read`, which is timed.
pub(crate) async fn read_with<T, B>(
    body: B,
    limit: usize,
    read: impl FnOnce(&[u8]) -> Result<T, JsonError>,
) -> Result<T, JsonError>
where
    T: Carries,
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let slot = Slot::current();
    let collected = Limited::new(body, limit).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            JsonError::TooLong { limit }
        } else {
            JsonError::Read(error.to_string())
        }
    })?;
    // Putting the pieces together is part of turning bytes into a message.
    let decode = || {
        let bytes = collected.to_bytes();
        Ok((read(&bytes)?, bytes.len() as u64))
    };
    match slot {
        Some(slot) => slot.decode(decode, T::payload_bytes),
        None => decode().map(|(message, _)| message),
    }
}

/// Encodes a message as JSON.
///
/// # Errors
/// As `serde_json::to_vec`.
pub(crate) fn encode_json<T: Serialize + Carries>(message: &T) -> Result<Bytes, serde_json::Error> {
    encode_with(|| {
        let payload = message.payload_bytes();
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
    match Slot::current() {
        Some(slot) => slot.encode(encode),
        None => encode().map(|(bytes, ..)| bytes),
    }
}

/// A JSON reply, timed.
#[derive(Debug)]
pub struct JsonReply<T>(pub StatusCode, pub T);

impl<T: Serialize + Carries> IntoResponse for JsonReply<T> {
    fn into_response(self) -> Response {
        let JsonReply(status, message) = self;
        match encode_json(&message) {
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
}

impl Carries for Infallible {}
impl Carries for serde_json::Value {}
