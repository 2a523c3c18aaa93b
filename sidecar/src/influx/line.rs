//! Line protocol, written: the one place that escapes what goes into it.
//!
//! Every point is one line with a timestamp in nanoseconds since 1970. What the protocol cannot carry in a name or
//! tag (control characters; backslashes, for one before a separator escapes it, whatever stands before it) is written
//! as in a URL, `%5C`, and so is a per cent sign that looks like such: two names stay two. An empty tag is
//! [`names::NO_CELL`]. Control characters of texts become `_`.

use std::borrow::Cow;
use std::fmt::Write as _;

use ledger::names;

/// Points in line protocol.
///
/// ```
/// let mut lines = sidecar::Lines::default();
/// lines.point("load", &[("run", "a run")]).int("planned", 100).float("rate", 99.5).at(1_000);
/// assert_eq!(lines.as_str(), "load,run=a\\ run planned=100i,rate=99.5 1000\n");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lines {
    text: String,
    points: u64,
}

impl Lines {
    /// Begins a point; [`Fields::at`] ends it. A point dropped before is not written.
    pub fn point(&mut self, measurement: &str, tags: &[(&str, &str)]) -> Fields<'_> {
        let start = self.text.len();
        escape(&mut self.text, &clean(measurement), &[',', ' ']);
        for (key, value) in tags {
            self.text.push(',');
            escape(&mut self.text, &clean(key), &[',', ' ', '=']);
            self.text.push('=');
            escape(&mut self.text, &clean(value), &[',', ' ', '=']);
        }
        Fields { lines: self, start, fields: 0, ended: false }
    }

    /// The lines, each with its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How many points there are.
    #[must_use]
    pub fn points(&self) -> u64 {
        self.points
    }

    /// The lines, as bytes.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.text.into_bytes()
    }
}

/// The fields of a point that is being written.
#[must_use = "a point is written by `at`"]
pub struct Fields<'a> {
    lines: &'a mut Lines,
    start: usize,
    fields: usize,
    ended: bool,
}

impl Fields<'_> {
    /// Adds an integer.
    pub fn int(mut self, key: &str, value: i64) -> Self {
        self.key(key);
        let _ = write!(self.lines.text, "{value}i");
        self
    }

    /// Adds a count; those past 2^63 are written as that, for line protocol's integers are signed.
    pub fn count(self, key: &str, value: u64) -> Self {
        self.int(key, i64::try_from(value).unwrap_or(i64::MAX))
    }

    /// Adds a number. One that is not finite cannot be written and is left out.
    pub fn float(mut self, key: &str, value: f64) -> Self {
        if value.is_finite() {
            self.key(key);
            let _ = write!(self.lines.text, "{value}");
        }
        self
    }

    /// Adds a text.
    pub fn text(mut self, key: &str, value: &str) -> Self {
        self.key(key);
        self.lines.text.push('"');
        escape(&mut self.lines.text, &printable(value), &['"', '\\']);
        self.lines.text.push('"');
        self
    }

    /// Ends the point at `ns` nanoseconds since 1970. A point without fields is left out.
    pub fn at(mut self, ns: u64) {
        if self.fields > 0 {
            let _ = writeln!(self.lines.text, " {}", i64::try_from(ns).unwrap_or(i64::MAX));
            self.lines.points += 1;
            self.ended = true;
        }
    }

    fn key(&mut self, key: &str) {
        self.lines.text.push(if self.fields == 0 { ' ' } else { ',' });
        self.fields += 1;
        escape(&mut self.lines.text, &clean(key), &[',', ' ', '=']);
        self.lines.text.push('=');
    }
}

impl Drop for Fields<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.lines.text.truncate(self.start);
        }
    }
}

/// `text` as a tag or a name can carry it.
pub(super) fn clean(text: &str) -> Cow<'_, str> {
    if text.is_empty() {
        return Cow::Borrowed(names::NO_CELL);
    }
    if !text.contains(|c: char| c.is_control() || matches!(c, '\\' | '%')) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len() + 8);
    for (at, character) in text.char_indices() {
        let escape = match character {
            '%' => {
                let next = text.as_bytes().get(at + 1..at + 3);
                next.is_some_and(|next| next.iter().all(u8::is_ascii_hexdigit))
            }
            other => other == '\\' || other.is_control(),
        };
        if !escape {
            clean.push(character);
            continue;
        }
        let mut bytes = [0; 4];
        for byte in character.encode_utf8(&mut bytes).bytes() {
            let _ = write!(clean, "%{byte:02X}");
        }
    }
    Cow::Owned(clean)
}

/// `text` without control characters: a line must stay one line.
pub(super) fn printable(text: &str) -> Cow<'_, str> {
    if text.contains(char::is_control) {
        return Cow::Owned(text.replace(char::is_control, "_"));
    }
    Cow::Borrowed(text)
}

fn escape(into: &mut String, text: &str, special: &[char]) {
    for character in text.chars() {
        if special.contains(&character) {
            into.push('\\');
        }
        into.push(character);
    }
}
