//! Reading protobuf fields in place, without building messages.
//!
//! OTLP spans carry dozens of strings that the sidecar never looks at; generated code allocates
//! every one of them. This reader walks the fields of one message and borrows their bytes. It knows
//! the protobuf encoding and nothing of OTLP.
//! Encoding: <https://protobuf.dev/programming-guides/encoding/>.

/// The value of a field as it stands on the wire.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value<'a> {
    /// int32, int64, uint32, uint64, bool, enum.
    Varint(u64),
    /// fixed64, double.
    Fixed64(u64),
    /// fixed32, float.
    Fixed32(u32),
    /// string, bytes, message.
    Bytes(&'a [u8]),
}

/// Bytes that are no protobuf message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WireError {
    /// The message ends inside a field.
    #[error("the protobuf message ends inside a field")]
    Truncated,
    /// A variable-length integer has more than ten bytes.
    #[error("a protobuf varint has more than 10 bytes")]
    LongVarint,
    /// A field has a wire type that proto3 does not use.
    #[error("protobuf wire type {0} is not one of 0, 1, 2, 5")]
    WireType(u8),
    /// A field is numbered zero or past the limit of protobuf.
    #[error("protobuf field number {0} is not in 1 … 536870911")]
    FieldNumber(u64),
}

/// Gives `each` the fields of one message, by number, in the order in which they stand; ends at the first error.
#[inline]
pub(super) fn fields<'a, E: From<WireError>>(
    message: &'a [u8],
    mut each: impl FnMut(u32, Value<'a>) -> Result<(), E>,
) -> Result<(), E> {
    let mut rest = message;
    while !rest.is_empty() {
        let key = varint(&mut rest)?;
        let number = key >> 3;
        if number == 0 || number >= 1 << 29 {
            return Err(WireError::FieldNumber(number).into());
        }
        let value = match (key & 7) as u8 {
            0 => Value::Varint(varint(&mut rest)?),
            1 => Value::Fixed64(u64::from_le_bytes(array(&mut rest)?)),
            2 => {
                let length = usize::try_from(varint(&mut rest)?).unwrap_or(usize::MAX);
                let (taken, after) = rest.split_at_checked(length).ok_or(WireError::Truncated)?;
                rest = after;
                Value::Bytes(taken)
            }
            5 => Value::Fixed32(u32::from_le_bytes(array(&mut rest)?)),
            other => return Err(WireError::WireType(other).into()),
        };
        each(number as u32, value)?;
    }
    Ok(())
}

/// Reads a number off the front. Keys of fields and lengths have mostly one byte, else two.
#[inline]
fn varint(rest: &mut &[u8]) -> Result<u64, WireError> {
    match *rest {
        [byte @ 0..0x80, after @ ..] => {
            *rest = after;
            Ok(u64::from(*byte))
        }
        [low, high @ 0..0x80, after @ ..] => {
            *rest = after;
            Ok(u64::from(low & 0x7f) | u64::from(*high) << 7)
        }
        _ => long_varint(rest),
    }
}

#[cold]
fn long_varint(rest: &mut &[u8]) -> Result<u64, WireError> {
    let mut value = 0_u64;
    for (at, &byte) in rest.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            *rest = &rest[at + 1..];
            return Ok(value);
        }
    }
    Err(if rest.len() < 10 { WireError::Truncated } else { WireError::LongVarint })
}

#[inline]
fn array<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], WireError> {
    let (taken, after) = rest.split_first_chunk::<N>().ok_or(WireError::Truncated)?;
    *rest = after;
    Ok(*taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(bytes: &[u8]) -> Result<Vec<(u32, Value<'_>)>, WireError> {
        let mut all = Vec::new();
        fields(bytes, |number, value| {
            all.push((number, value));
            Ok::<_, WireError>(())
        })?;
        Ok(all)
    }

    #[test]
    fn every_wire_type_is_read() {
        let bytes = [
            0x08, 0x96, 0x01, // 1: varint 150
            0x11, 1, 0, 0, 0, 0, 0, 0, 0, // 2: fixed64 1
            0x1a, 2, b'h', b'i', // 3: bytes
            0x25, 7, 0, 0, 0, // 4: fixed32 7
        ];
        let expected = vec![
            (1, Value::Varint(150)),
            (2, Value::Fixed64(1)),
            (3, Value::Bytes(b"hi")),
            (4, Value::Fixed32(7)),
        ];
        assert_eq!(all(&bytes), Ok(expected));
    }

    #[test]
    fn broken_bytes_are_named() {
        assert_eq!(all(&[0x0a, 5, 1]), Err(WireError::Truncated));
        assert_eq!(all(&[0x08, 0xff]), Err(WireError::Truncated));
        assert_eq!(all(&[0xff; 12]), Err(WireError::LongVarint));
        assert_eq!(all(&[0x0b]), Err(WireError::WireType(3)));
        assert_eq!(all(&[0x02, 0]), Err(WireError::FieldNumber(0)));
    }

    proptest! {
        #[test]
        fn no_bytes_make_reading_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = all(&bytes);
        }
    }
}
