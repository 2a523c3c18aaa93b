//! JSON with its order and its spelling: what serde's maps and numbers would lose.

use std::iter::Peekable;
use std::str::Chars;

/// A value, its keys in the order in which they were written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    /// A number, `true`, `false` or `null`, letter by letter.
    Bare(String),
    Text(String),
    List(Vec<Json>),
    Map(Vec<(String, Json)>),
}

impl Json {
    /// Reads a whole text.
    pub(crate) fn read(text: &str) -> Option<Json> {
        let mut rest = text.chars().peekable();
        let value = value(&mut rest)?;
        rest.all(char::is_whitespace).then_some(value)
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Json> {
        let Json::Map(pairs) = self else { return None };
        pairs.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    pub(crate) fn text(&self) -> &str {
        match self {
            Json::Bare(text) | Json::Text(text) => text,
            _ => "",
        }
    }

    pub(crate) fn number(&self) -> f64 {
        self.text().parse().unwrap_or(f64::NAN)
    }

    pub(crate) fn pairs(&self) -> &[(String, Json)] {
        if let Json::Map(pairs) = self { pairs } else { &[] }
    }
}

fn value(rest: &mut Peekable<Chars<'_>>) -> Option<Json> {
    blank(rest);
    match rest.peek()? {
        '"' => text(rest).map(Json::Text),
        '{' => {
            let pair = |rest: &mut Peekable<Chars<'_>>| {
                blank(rest);
                let name = text(rest)?;
                blank(rest);
                (rest.next()? == ':').then_some(())?;
                Some((name, value(rest)?))
            };
            several(rest, '}', pair).map(Json::Map)
        }
        '[' => several(rest, ']', value).map(Json::List),
        _ => {
            let mut bare = String::new();
            while let Some(c) = rest.next_if(|c| c.is_ascii_alphanumeric() || "+-.".contains(*c)) {
                bare.push(c);
            }
            (!bare.is_empty()).then_some(Json::Bare(bare))
        }
    }
}

fn several<T>(
    rest: &mut Peekable<Chars<'_>>,
    end: char,
    mut one: impl FnMut(&mut Peekable<Chars<'_>>) -> Option<T>,
) -> Option<Vec<T>> {
    rest.next();
    let mut all = Vec::new();
    blank(rest);
    if rest.next_if_eq(&end).is_some() {
        return Some(all);
    }
    loop {
        all.push(one(rest)?);
        blank(rest);
        match rest.next()? {
            ',' => {}
            c if c == end => return Some(all),
            _ => return None,
        }
    }
}

fn text(rest: &mut Peekable<Chars<'_>>) -> Option<String> {
    (rest.next()? == '"').then_some(())?;
    let mut text = String::new();
    loop {
        match rest.next()? {
            '"' => return Some(text),
            '\\' => text.extend(['\\', rest.next()?]),
            c => text.push(c),
        }
    }
}

fn blank(rest: &mut Peekable<Chars<'_>>) {
    while rest.next_if(|c| c.is_whitespace()).is_some() {}
}
