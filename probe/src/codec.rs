//! Timed codecs for protobuf messages, for tonic. JSON is in [`crate::json`].

use std::marker::PhantomData;

use prost::Message;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use crate::carries::{ByCarries, Carries, NoPayload, Weigh};
use crate::slot::Slot;

/// tonic's protobuf codec, timed, for messages that say what they carry.
#[derive(Debug)]
pub struct TimedCodec<T, U>(PhantomData<(T, U)>);

/// The same for messages of any type. None of their bytes count as payload.
#[derive(Debug)]
pub struct AnyCodec<T, U>(PhantomData<(T, U)>);

/// The same for messages of any type; `W` knows how many of their bytes are payload.
#[derive(Debug)]
pub struct WeighingCodec<T, U, W>(PhantomData<(T, U, W)>);

macro_rules! codec {
    ($name:ident<$($parameter:ident),*>, $weigh:ty, $($bound:tt)*) => {
        impl<$($parameter),*> Default for $name<$($parameter),*> {
            fn default() -> Self {
                $name(PhantomData)
            }
        }

        impl<$($parameter),*> Codec for $name<$($parameter),*>
        where
            $($bound)*
        {
            type Encode = T;
            type Decode = U;
            type Encoder = TimedEncoder<T, $weigh>;
            type Decoder = TimedDecoder<U, $weigh>;

            // Both constructors run inside the call's own future; encode() and decode() may not. So this
            // is where the call is found.
            fn encoder(&mut self) -> Self::Encoder {
                TimedEncoder { slot: Slot::current(), message: PhantomData }
            }

            fn decoder(&mut self) -> Self::Decoder {
                TimedDecoder { slot: Slot::current(), message: PhantomData }
            }
        }
    };
}

codec!(TimedCodec<T, U>, ByCarries,
    T: Message + Carries + Send + 'static,
    U: Message + Carries + Default + Send + 'static,);
codec!(AnyCodec<T, U>, NoPayload,
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,);
codec!(WeighingCodec<T, U, W>, W,
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
    W: Weigh<T> + Weigh<U> + Send + 'static,);

/// The sending half of a codec.
#[derive(Debug)]
pub struct TimedEncoder<T, W = ByCarries> {
    slot: Option<Slot>,
    message: PhantomData<(T, W)>,
}

impl<T: Message, W: Weigh<T>> Encoder for TimedEncoder<T, W> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, item: T, dst: &mut EncodeBuf<'_>) -> Result<(), Status> {
        let Some(slot) = &self.slot else {
            encode_into(&item, dst);
            return Ok(());
        };
        let payload = W::payload_bytes(&item);
        slot.encode(|| Ok(((), encode_into(&item, dst), payload)))
    }
}

fn encode_into(item: &impl Message, dst: &mut EncodeBuf<'_>) -> u64 {
    let length = item.encoded_len();
    dst.reserve(length);
    item.encode_raw(dst);
    length as u64
}

/// The receiving half of a codec.
#[derive(Debug)]
pub struct TimedDecoder<U, W = ByCarries> {
    slot: Option<Slot>,
    message: PhantomData<(U, W)>,
}

impl<U: Message + Default, W: Weigh<U>> Decoder for TimedDecoder<U, W> {
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
            Some(slot) => slot.decode(|| Ok((U::decode(src)?, length)), W::payload_bytes),
            None => U::decode(src),
        }
        .map(Some)
        .map_err(malformed)
    }
}
