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
pub struct Bandwidth(pub u64);

/// Why a text is no bandwidth.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BandwidthError {
    /// Not a whole number with a unit.
    #[error(
        "{0:?} is not a bandwidth: write whole bits a second with a unit (kbit, Mbit, Gbit), such as 100Mbit"
    )]
    Unreadable(String),
    /// Outside the limits.
    #[error("{0:?} is outside the limits of 1kbit to 1000Gbit a second")]
    Outside(String),
}

impl Bandwidth {
    /// How long so many bytes take, in nanoseconds.
    #[must_use]
    pub const fn takes(self, bytes: usize) -> u64 {
        let bits = bytes as u128 * 8;
        (bits * 1_000_000_000 / self.0 as u128) as u64
    }

    /// What it carries in so many nanoseconds, in bytes.
    #[must_use]
    pub const fn carries(self, ns: u64) -> u64 {
        (self.0 as u128 * ns as u128 / 8_000_000_000) as u64
    }
}

impl FromStr for Bandwidth {
    type Err = BandwidthError;

    fn from_str(text: &str) -> Result<Self, BandwidthError> {
        let unreadable = || BandwidthError::Unreadable(text.to_owned());
        let trimmed = text.trim_ascii();
        let digits = trimmed.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = trimmed.split_at(digits);
        let unit = unit.trim_ascii_start();
        let unit = unit.strip_suffix("/s").unwrap_or(unit);
        let factor = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(unreadable)?.1;
        if digits == 0 {
            return Err(unreadable());
        }
        let outside = || BandwidthError::Outside(text.to_owned());
        let number: u64 = number.parse().map_err(|_| outside())?;
        let rate = number.checked_mul(factor).ok_or_else(outside)?;
        (LEAST..=MOST).contains(&rate).then_some(Bandwidth(rate)).ok_or_else(outside)
    }
}

/// In the largest unit that keeps it a whole number.
impl fmt::Display for Bandwidth {
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
    fn a_bandwidth_is_read_as_it_is_written_and_what_is_none_is_named() {
        for (text, shown) in
            [("100Mbit", "100Mbit"), ("1500 kbit/s", "1500kbit"), ("1Gbit", "1Gbit")]
        {
            assert_eq!(text.parse::<Bandwidth>().unwrap().to_string(), shown);
        }
        for text in ["", "fast", "Mbit", "1.5Mbit", "-1Mbit", "10", "10MB"] {
            let error = text.parse::<Bandwidth>().unwrap_err();
            assert!(
                matches!(&error, BandwidthError::Unreadable(told) if told == text),
                "{text} {error}"
            );
        }
        for text in ["0bit", "999bit", "1001Gbit", "99999999999999999999Gbit"] {
            assert!(matches!(text.parse::<Bandwidth>(), Err(BandwidthError::Outside(_))), "{text}");
        }
    }

    #[test]
    fn a_line_of_100_mbit_carries_a_megabyte_in_80_ms() {
        let line: Bandwidth = "100Mbit".parse().unwrap();
        assert_eq!(line.takes(1_000_000), 80_000_000);
        assert_eq!(line.carries(80_000_000), 1_000_000);
    }
}
