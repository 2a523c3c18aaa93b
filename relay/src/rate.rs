//! How much a line carries in a second, as people write it: `100Mbit`, `1Gbit`, `56kbit`.

use std::fmt;
use std::str::FromStr;

/// The units, largest first, in bits a second.
const UNITS: [(&str, u64); 4] =
    [("Gbit", 1_000_000_000), ("Mbit", 1_000_000), ("kbit", 1_000), ("bit", 1)];
/// The narrowest line and the widest, in bits a second.
const LEAST: u64 = 1_000;
const MOST: u64 = 1_000_000_000_000;

/// Bits a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(u64);

/// Why a text is no rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RateError {
    /// Not a whole number with a unit.
    #[error(
        "{0:?} is not a bandwidth: write whole bits a second with a unit (kbit, Mbit, Gbit), such as 100Mbit"
    )]
    Unreadable(String),
    /// Outside the limits.
    #[error("{0:?} is outside the limits of 1kbit to 1000Gbit a second")]
    Outside(String),
}

impl Rate {
    /// How long so many bytes take, in nanoseconds.
    pub(crate) fn takes(self, bytes: usize) -> u64 {
        let bits = bytes as u128 * 8;
        (bits * 1_000_000_000 / u128::from(self.0)) as u64
    }

    /// What it carries in so many nanoseconds, in bytes.
    pub(crate) fn carries(self, ns: u64) -> u64 {
        (u128::from(self.0) * u128::from(ns) / 8_000_000_000) as u64
    }
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let unreadable = || RateError::Unreadable(text.to_owned());
        let trimmed = text.trim_ascii();
        let digits = trimmed.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = trimmed.split_at(digits);
        let unit = unit.trim_ascii_start();
        let unit = unit.strip_suffix("/s").unwrap_or(unit);
        let factor = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(unreadable)?.1;
        if digits == 0 {
            return Err(unreadable());
        }
        let outside = || RateError::Outside(text.to_owned());
        let number: u64 = number.parse().map_err(|_| outside())?;
        let rate = number.checked_mul(factor).ok_or_else(outside)?;
        (LEAST..=MOST).contains(&rate).then_some(Rate(rate)).ok_or_else(outside)
    }
}

/// In the largest unit that keeps it a whole number.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = UNITS.iter().find(|(_, factor)| self.0.is_multiple_of(*factor));
        let (unit, factor) = whole.copied().unwrap_or(("bit", 1));
        write!(f, "{}{unit}", self.0 / factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_read_as_it_is_written_and_what_is_none_is_named() {
        for (text, shown) in
            [("100Mbit", "100Mbit"), ("1500 kbit/s", "1500kbit"), ("1Gbit", "1Gbit")]
        {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), shown);
        }
        for text in ["", "fast", "Mbit", "1.5Mbit", "-1Mbit", "10", "10MB"] {
            let error = text.parse::<Rate>().unwrap_err();
            assert!(
                matches!(&error, RateError::Unreadable(told) if told == text),
                "{text} {error}"
            );
        }
        for text in ["0bit", "999bit", "1001Gbit", "99999999999999999999Gbit"] {
            assert!(matches!(text.parse::<Rate>(), Err(RateError::Outside(_))), "{text}");
        }
    }

    #[test]
    fn a_line_of_100_mbit_carries_a_megabyte_in_80_ms() {
        let rate: Rate = "100Mbit".parse().unwrap();
        assert_eq!(rate.takes(1_000_000), 80_000_000);
        assert_eq!(rate.carries(80_000_000), 1_000_000);
    }
}
