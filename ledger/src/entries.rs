//! Entries of the text form of a record, `key=integer key=integer …`, and what is wrong with one.

/// A record attribute that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("span attribute {attribute}: {entry:?} is not KEY=INTEGER")]
pub struct HalfError {
    /// The attribute's key.
    pub attribute: &'static str,
    /// The entry that could not be read.
    pub entry: String,
}

/// Splits `key=integer key=integer …`. A receiver reads some forty entries for every span, so each
/// is read in one pass; only what is unusual (a wrong entry, a very large number) is read again.
pub(crate) fn entries<'a>(
    attribute: &'static str,
    text: &'a str,
) -> impl Iterator<Item = Result<(&'a str, i64), HalfError>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return None;
        }
        if let Some((key, value, length)) = plain_entry(rest) {
            let entry = (&rest[..key], value);
            rest = &rest[length..];
            return Some(Ok(entry));
        }
        let end = rest.bytes().position(|byte| byte.is_ascii_whitespace());
        let (entry, after) = rest.split_at(end.unwrap_or(rest.len()));
        rest = after;
        let read = entry.split_once('=').and_then(|(key, value)| Some((key, value.parse().ok()?)));
        Some(read.ok_or_else(|| HalfError { attribute, entry: entry.to_owned() }))
    })
}

/// Reads the entry that `text` begins with if it is `key=digits` or `key=-digits` with at most 18
/// digits: the length of the key, the value, and the length of the entry.
fn plain_entry(text: &str) -> Option<(usize, i64, usize)> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while *bytes.get(at)? != b'=' {
        if bytes[at].is_ascii_whitespace() {
            return None;
        }
        at += 1;
    }
    let key = at;
    at += 1;
    let negative = bytes.get(at) == Some(&b'-');
    at += usize::from(negative);
    let first = at;
    let mut value = 0_i64;
    while let Some(digit @ b'0'..=b'9') = bytes.get(at) {
        // Wraps only past 18 digits, and then the value is not used.
        value = value.wrapping_mul(10).wrapping_add(i64::from(digit - b'0'));
        at += 1;
    }
    let ends = bytes.get(at).is_none_or(u8::is_ascii_whitespace);
    let plain = ends && (1..=18).contains(&(at - first));
    plain.then_some((key, if negative { value.wrapping_neg() } else { value }, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_as_the_standard_library_reads_integers() {
        let text = " a=1\tb=-2 =3 c=+4 d=9223372036854775807  e=-9223372036854775808 f=0007 g=-0";
        let read: Vec<_> = entries("x", text).map(Result::unwrap).collect();
        let expected = [
            ("a", 1),
            ("b", -2),
            ("", 3),
            ("c", 4),
            ("d", i64::MAX),
            ("e", i64::MIN),
            ("f", 7),
            ("g", 0),
        ];
        assert_eq!(read, expected);
        for wrong in ["a", "a=", "a=-", "a=1x", "a=1=2", "a=9223372036854775808", "é", "=", "a =1"]
        {
            assert!(entries("x", wrong).next().unwrap().is_err(), "{wrong}");
        }
    }
}
