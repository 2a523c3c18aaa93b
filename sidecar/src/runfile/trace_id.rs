//! The id of a trace, as rows have it and as it is written.

/// The id of a trace, written in 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TraceId(pub u128);

impl std::fmt::Display for TraceId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// A text that is no [`TraceId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a trace id has 32 hexadecimal digits")]
pub struct NoTraceId;

impl std::str::FromStr for TraceId {
    type Err = NoTraceId;

    fn from_str(text: &str) -> Result<TraceId, NoTraceId> {
        let digits = text.len() == 32 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
        let number = u128::from_str_radix(text, 16).ok().filter(|_| digits);
        number.map(TraceId).ok_or(NoTraceId)
    }
}
