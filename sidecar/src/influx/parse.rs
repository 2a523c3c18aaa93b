//! Line protocol, read: is a line that somebody else wrote one that InfluxDB will take?
//!
//! Stricter than InfluxDB in four ways: a timestamp is required (a point that is written again must be the
//! same point) and must be in nanoseconds (one in milliseconds is a point of 1970, which nobody finds again), a
//! line ends at its line break even inside a text, and unsigned integers are refused (1.8 does not know them).

/// The earliest time that a point may have, in nanoseconds: March 1973, so that a time of today in seconds, milli- or
/// microseconds lies before it.
const EARLIEST_NS: i64 = 100_000_000_000_000_000;

/// A line that is no point.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}: {text:?}")]
pub(crate) struct BadLine {
    /// Number of the line, from 1.
    line: usize,
    reason: &'static str,
    /// How the line begins.
    text: String,
}

/// A value of a field.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Int(i64),
    Float(f64),
    Bool(bool),
    Text(String),
}

/// A point, as a line says it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Point {
    pub(super) measurement: String,
    pub(super) tags: Vec<(String, String)>,
    pub(super) fields: Vec<(String, Value)>,
    pub(super) at_ns: i64,
}

/// The points of `body`, one a line: how many there are and their text. Empty lines and comments are
/// left out.
pub(crate) fn check(body: &str) -> Result<(Vec<u8>, u64), BadLine> {
    let (mut text, mut points) = (Vec::with_capacity(body.len() + 1), 0);
    for (at, line) in body.lines().enumerate() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let bad = |reason| {
            let text = line.chars().take(120).collect();
            BadLine { line: at + 1, reason, text }
        };
        let point = point(line).map_err(bad)?;
        dated(point.at_ns).map_err(bad)?;
        text.extend_from_slice(line.as_bytes());
        text.push(b'\n');
        points += 1;
    }
    Ok((text, points))
}

/// Whether a time is one of nanoseconds that a point of today can have.
fn dated(at_ns: i64) -> Result<(), &'static str> {
    // Times of 1973 to 5138 in seconds have ten or eleven digits, in milliseconds three more, and so on.
    match at_ns {
        EARLIEST_NS.. => Ok(()),
        100_000_000_000_000.. => {
            Err("its timestamp is in microseconds, or of 1970: nanoseconds are meant")
        }
        100_000_000_000.. => {
            Err("its timestamp is in milliseconds, or of 1970: nanoseconds are meant")
        }
        100_000_000.. => Err("its timestamp is in seconds, or of 1970: nanoseconds are meant"),
        _ => Err("its timestamp is of 1970 or earlier: nanoseconds since 1970 are meant"),
    }
}

/// Reads one line.
pub(super) fn point(line: &str) -> Result<Point, &'static str> {
    if line.contains(|c: char| c.is_control() && c != '\t') {
        return Err("a control character");
    }
    let mut rest = line;
    let measurement = take(&mut rest, &[',', ' ']);
    if measurement.is_empty() {
        return Err("no measurement");
    }
    let mut tags: Vec<(String, String)> = Vec::new();
    while let Some(after) = rest.strip_prefix(',') {
        rest = after;
        let (key, value) = (key(&mut rest)?, take(&mut rest, &[',', ' ', '=']));
        if value.is_empty() {
            return Err("a tag without a value");
        }
        if rest.starts_with('=') {
            return Err("a tag with two values");
        }
        if tags.iter().any(|(known, _)| *known == key) {
            return Err("a tag given twice");
        }
        tags.push((key, value));
    }
    rest = rest.strip_prefix(' ').ok_or("no fields")?.trim_start_matches(' ');
    let mut fields = Vec::new();
    loop {
        fields.push((key(&mut rest)?, value(&mut rest)?));
        match rest.strip_prefix(',') {
            Some(after) => rest = after,
            None => break,
        }
    }
    let at = rest.strip_prefix(' ').ok_or("no timestamp")?.trim_matches(' ');
    let at_ns = at.parse().map_err(|_| "its timestamp is no integer of nanoseconds")?;
    Ok(Point { measurement, tags, fields, at_ns })
}

fn key(rest: &mut &str) -> Result<String, &'static str> {
    let key = take(rest, &[',', ' ', '=']);
    *rest = rest.strip_prefix('=').ok_or("a name without =")?;
    if key.is_empty() { Err("a name is empty") } else { Ok(key) }
}

fn value(rest: &mut &str) -> Result<Value, &'static str> {
    if let Some(after) = rest.strip_prefix('"') {
        return text(rest, after);
    }
    let end = rest.find([',', ' ']).unwrap_or(rest.len());
    let (raw, after) = rest.split_at(end);
    *rest = after;
    match raw {
        "" => return Err("a field without a value"),
        "t" | "T" | "true" | "True" | "TRUE" => return Ok(Value::Bool(true)),
        "f" | "F" | "false" | "False" | "FALSE" => return Ok(Value::Bool(false)),
        _ => {}
    }
    if let Some(digits) = raw.strip_suffix('i') {
        return digits.parse().map(Value::Int).map_err(|_| "a field is no integer of 64 bits");
    }
    // Rust also reads inf and nan, which line protocol cannot carry.
    let numeric = raw.bytes().all(|b| matches!(b, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
    match raw.parse::<f64>() {
        Ok(number) if numeric && number.is_finite() => Ok(Value::Float(number)),
        _ => Err("a field is no number, text or boolean"),
    }
}

/// A text in quotes, of which `after` is what follows the first.
fn text<'a>(rest: &mut &'a str, after: &'a str) -> Result<Value, &'static str> {
    let (mut text, mut characters) = (String::new(), after.char_indices().peekable());
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => {
                *rest = after.split_at(at + 1).1;
                return match rest.chars().next() {
                    Some(',' | ' ') => Ok(Value::Text(text)),
                    _ => Err("no timestamp"),
                };
            }
            '\\' if characters.peek().is_some_and(|(_, next)| matches!(next, '"' | '\\')) => {
                text.extend(characters.next().map(|(_, next)| next));
            }
            other => text.push(other),
        }
    }
    Err("a text without its closing quote")
}

/// What stands before the first of `ends` that no backslash escapes, unescaped.
fn take(rest: &mut &str, ends: &[char]) -> String {
    let (mut taken, mut characters) = (String::new(), rest.char_indices().peekable());
    while let Some((at, character)) = characters.next() {
        if ends.contains(&character) {
            *rest = rest.split_at(at).1;
            return taken;
        }
        let escapes = |next: char| matches!(next, ',' | ' ' | '=');
        match characters.peek() {
            Some(&(_, next)) if character == '\\' && escapes(next) => {
                taken.push(next);
                characters.next();
            }
            _ => taken.push(character),
        }
    }
    *rest = "";
    taken
}
