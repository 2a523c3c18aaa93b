//! Sizes in bytes as people write them: `100`, `10kB`, `1MB`, `64KiB`, `1MiB`. No rounding, no guessing.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

/// The largest payload a request may ask for, in bytes (16 MiB): the gateway's own limit.
pub const MAX_PAYLOAD: u64 = 16_777_216;

/// The units, largest first: powers of ten with SI prefixes, powers of two with IEC ones.
const UNITS: [(&str, u64); 7] = [
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("KB", 1_000),
    ("B", 1),
    ("", 1),
];

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// A size that is a payload: at most [`MAX_PAYLOAD`] bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Payload(pub u64);

/// Why a text is no size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// Not a whole number, or an unknown unit.
    #[error(
        "{0:?} is not a size: write whole bytes (100) or use B, kB, MB (10^3, 10^6) or KiB, MiB (2^10, 2^20)"
    )]
    Unreadable(String),
    /// Does not fit 64 bits.
    #[error("{0:?} is more bytes than 64 bits can count")]
    TooLong(String),
    /// More than a payload may have.
    #[error("a payload of {0} bytes is above the limit of 16777216 bytes (16 MiB)")]
    TooLarge(u64),
}

impl FromStr for Size {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let unreadable = || SizeError::Unreadable(text.to_owned());
        let trimmed = text.trim();
        let digits = trimmed.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return Err(unreadable());
        }
        let (number, unit) = trimmed.split_at(digits);
        let unit = unit.trim_start();
        let factor = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(unreadable)?.1;
        let too_long = || SizeError::TooLong(text.to_owned());
        let number: u64 = number.parse().map_err(|_| too_long())?;
        number.checked_mul(factor).map(Size).ok_or_else(too_long)
    }
}

impl TryFrom<Size> for Payload {
    type Error = SizeError;

    fn try_from(size: Size) -> Result<Self, SizeError> {
        if size.0 > MAX_PAYLOAD { Err(SizeError::TooLarge(size.0)) } else { Ok(Payload(size.0)) }
    }
}

impl FromStr for Payload {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        text.parse::<Size>()?.try_into()
    }
}

/// The shortest exact way to write the size: `1MB`, `64KiB`, `1500B`.
impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, factor) in [("MB", 1_000_000), ("kB", 1_000), ("MiB", 1 << 20), ("KiB", 1 << 10)]
        {
            if self.0 >= factor && self.0.is_multiple_of(factor) {
                return write!(f, "{}{unit}", self.0 / factor);
            }
        }
        write!(f, "{}B", self.0)
    }
}

struct SizeVisitor;

impl Visitor<'_> for SizeVisitor {
    type Value = Size;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a size: whole bytes, or a string such as \"10kB\" or \"1MiB\"")
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Size, E> {
        u64::try_from(value)
            .map(Size)
            .map_err(|_| E::custom(format!("{value} bytes: a size is never negative")))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Size, E> {
        Ok(Size(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Size, E> {
        value.parse().map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SizeVisitor)
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Size::deserialize(deserializer)?.try_into().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> u64 {
        text.parse::<Size>().unwrap().0
    }

    #[test]
    fn sizes_are_exact_in_either_system() {
        assert_eq!(bytes("0"), 0);
        assert_eq!(bytes("100"), 100);
        assert_eq!(bytes("10 B"), 10);
        assert_eq!(bytes("10kB"), 10_000);
        assert_eq!(bytes("1MB"), 1_000_000);
        assert_eq!(bytes("64KiB"), 65_536);
        assert_eq!(bytes("16MiB"), MAX_PAYLOAD);
    }

    #[test]
    fn what_is_no_size_is_refused_with_the_ways_to_write_one() {
        for text in ["", "kB", "-1", "1.5MB", "10mb", "10GB", "1e3"] {
            let error = text.parse::<Size>().unwrap_err().to_string();
            assert!(error.contains(&format!("{text:?}")) && error.contains("KiB"), "{error}");
        }
        assert!(matches!("99999999999999MB".parse::<Size>(), Err(SizeError::TooLong(_))));
    }

    #[test]
    fn a_payload_above_the_limit_names_value_and_limit() {
        let error = "16777217".parse::<Payload>().unwrap_err().to_string();
        assert_eq!(
            error,
            "a payload of 16777217 bytes is above the limit of 16777216 bytes (16 MiB)"
        );
        assert_eq!("16MiB".parse::<Payload>(), Ok(Payload(MAX_PAYLOAD)));
    }

    #[test]
    fn a_size_is_written_as_short_as_it_is_exact() {
        for text in ["10B", "1kB", "100kB", "1MB", "64KiB", "1MiB", "1500B", "0B"] {
            assert_eq!(text.parse::<Size>().unwrap().to_string(), text);
        }
    }
}
