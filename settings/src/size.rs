//! Sizes in bytes as people write them: `100`, `10kB`, `1MB`, `64KiB`, `1MiB`. One grammar for plans, flags and
//! scripts. No rounding, no guessing.
//!
//! A size is digits and a unit, or no unit; there may be white space around them. `k6/load.js` reads the same: one
//! table of examples, `tests/grammar.json`, holds both to it.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

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
    /// Outside the limits of the setting that it is for.
    #[error("{0:?} is outside the limits of {1} to {2} bytes")]
    Outside(String, u64, u64),
}

impl Size {
    /// Reads a size within `limits` as a number of bytes, as a parser of clap's.
    pub fn within<N: TryFrom<u64>>(
        limits: RangeInclusive<u64>,
    ) -> impl Fn(&str) -> Result<N, SizeError> + Clone + Send + Sync + 'static {
        move |text| {
            let outside = || SizeError::Outside(text.to_owned(), *limits.start(), *limits.end());
            let Size(bytes) = text.parse()?;
            let within = limits.contains(&bytes).then(|| N::try_from(bytes).ok()).flatten();
            within.ok_or_else(outside)
        }
    }
}

impl FromStr for Size {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let unreadable = || SizeError::Unreadable(text.to_owned());
        let trimmed = text.trim_ascii();
        let digits = trimmed.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return Err(unreadable());
        }
        let (number, unit) = trimmed.split_at(digits);
        let unit = unit.trim_ascii_start();
        let factor = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(unreadable)?.1;
        let too_long = || SizeError::TooLong(text.to_owned());
        let number: u64 = number.parse().map_err(|_| too_long())?;
        number.checked_mul(factor).map(Size).ok_or_else(too_long)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_outside_the_limits_of_its_setting_names_value_and_limits() {
        let read = Size::within::<u32>(16_384..=16_777_215);
        assert_eq!(read("64KiB"), Ok(65_536));
        let error = read("1kB").unwrap_err().to_string();
        assert_eq!(error, "\"1kB\" is outside the limits of 16384 to 16777215 bytes");
        assert!(matches!(read("1.5MB"), Err(SizeError::Unreadable(_))));
    }

    #[test]
    fn a_size_is_written_as_short_as_it_is_exact() {
        for text in ["10B", "1kB", "100kB", "1MB", "64KiB", "1MiB", "1500B", "0B"] {
            assert_eq!(text.parse::<Size>().unwrap().to_string(), text);
        }
    }
}
