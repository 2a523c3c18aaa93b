//! W3C trace context: the `traceparent` header, in and out. What travels beside it is in [`crate::carried`].
//!
//! Source: <https://www.w3.org/TR/trace-context/#traceparent-header>, version 00.

/// Name of the header.
pub(crate) const TRACEPARENT: &str = "traceparent";

/// The flag that says the caller wants the trace recorded.
const SAMPLED: u8 = 1;

/// Length of a version 00 value: `00-`, 32 digits, `-`, 16 digits, `-`, 2 digits.
pub(crate) const TRACEPARENT_LEN: usize = 55;

/// Trace and span of a call, and the caller's flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanContext {
    /// Trace id, never zero.
    pub trace_id: u128,
    /// Span id, never zero.
    pub span_id: u64,
    /// The trace flags, passed on as they came; [`SpanContext::sampled`] is the one that is read here.
    pub flags: u8,
}

impl SpanContext {
    /// A new trace with a new span.
    #[must_use]
    pub fn new_root(sampled: bool) -> Self {
        let trace_id = rand::random_range(1..=u128::MAX);
        SpanContext { trace_id, span_id: new_span_id(), flags: u8::from(sampled) }
    }

    /// Whether the caller wants the trace recorded.
    #[must_use]
    pub fn sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// A new span in the same trace.
    #[must_use]
    pub fn child(self) -> Self {
        SpanContext { span_id: new_span_id(), ..self }
    }

    /// Reads a `traceparent` value. Malformed values, zero ids and version `ff` are refused;
    /// unknown versions are read as version 00, as the standard asks.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let dashes = [2, 35, 52];
        let longer = value.len() > TRACEPARENT_LEN;
        if value.len() < TRACEPARENT_LEN || dashes.iter().any(|&at| value[at] != b'-') {
            return None;
        }
        let version = hex(&value[..2])?;
        if version == 0xff || (version == 0 && longer) || (longer && value[55] != b'-') {
            return None;
        }
        let trace_id = u128::from(hex(&value[3..19])?) << 64 | u128::from(hex(&value[19..35])?);
        let span_id = hex(&value[36..52])?;
        let flags = u8::try_from(hex(&value[53..55])?).ok()?;
        (trace_id != 0 && span_id != 0).then_some(SpanContext { trace_id, span_id, flags })
    }

    /// The `traceparent` value of a call made under this span.
    #[must_use]
    pub fn header(self) -> String {
        self.header_bytes().map(char::from).iter().collect()
    }

    /// The same without an allocation: every call carries one.
    pub(crate) fn header_bytes(self) -> [u8; TRACEPARENT_LEN] {
        let mut value = *b"00-00000000000000000000000000000000-0000000000000000-00";
        write_hex(&mut value[3..35], self.trace_id);
        write_hex(&mut value[36..52], u128::from(self.span_id));
        write_hex(&mut value[53..], u128::from(self.flags));
        value
    }
}

/// Writes the lowest digits of `number`, as many as there is room for.
fn write_hex(digits: &mut [u8], mut number: u128) {
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(number & 0xf) as usize];
        number >>= 4;
    }
}

fn new_span_id() -> u64 {
    rand::random_range(1..=u64::MAX)
}

/// Up to 16 lower-case hexadecimal digits to a number; upper case is malformed by the standard.
fn hex(digits: &[u8]) -> Option<u64> {
    let mut number = 0;
    let mut malformed = 0;
    for &digit in digits {
        let value = VALUES[usize::from(digit)];
        malformed |= value;
        number = number << 4 | u64::from(value & 0xf);
    }
    (malformed & NO_DIGIT == 0).then_some(number)
}

/// Marks a byte that is no digit.
const NO_DIGIT: u8 = 0x80;

/// What each byte is worth as a digit. Every call is read several times: a table does not branch.
const VALUES: [u8; 256] = {
    let mut values = [NO_DIGIT; 256];
    let mut value = 0;
    while value < 16 {
        values[b"0123456789abcdef"[value as usize] as usize] = value;
        value += 1;
    }
    values
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_reads_back() {
        let context = SpanContext::new_root(true);
        assert_eq!(SpanContext::parse(context.header().as_bytes()), Some(context));
        let context = SpanContext { trace_id: 0x0af7, span_id: 0xb7, flags: 0 };
        let value = "00-00000000000000000000000000000af7-00000000000000b7-00";
        assert_eq!(context.header(), value);
    }

    #[test]
    fn every_flag_is_read_and_written_as_it_came() {
        for flags in 0..=u8::MAX {
            let value = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags:02x}");
            let context = SpanContext::parse(value.as_bytes()).unwrap();
            assert_eq!((context.flags, context.sampled()), (flags, flags % 2 == 1));
            assert_eq!(context.header(), value);
            assert_eq!(context.child().flags, flags);
        }
    }

    #[test]
    fn malformed_headers_are_refused() {
        for value in [
            "",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        ] {
            assert_eq!(SpanContext::parse(value.as_bytes()), None, "{value}");
        }
        let future = "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more";
        assert!(SpanContext::parse(future.as_bytes()).is_some_and(SpanContext::sampled));
    }
}
