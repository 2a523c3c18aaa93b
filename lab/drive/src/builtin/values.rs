//! Values that are new in each request: of the rows that a workload lists, or of a source that is computed here.
//!
//! They look random and are the same in every run: which of them is drawn follows from how many were before.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};

use lab_model::workload::{Draw, Row, Source, Written};
use lab_model::{Cell, DEFAULT_USERS};
use lab_proto::emails::{COMMON, UNIQUE_EVERY, common, own, sharing};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

/// What `encodeURIComponent` of JavaScript escapes.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// Values to draw.
#[derive(Debug)]
pub(crate) struct Values {
    from: From,
    drawn: AtomicU64,
}

#[derive(Debug)]
enum From {
    Rows(Vec<Row>),
    /// A users table of so many rows.
    Users(u64),
}

impl Values {
    /// What `draw` says, for `cell`.
    pub(crate) fn of(draw: &Draw, cell: &Cell) -> Values {
        let from = match draw {
            Draw::Rows(rows) => From::Rows(rows.clone()),
            Draw::From(Source::Users) => From::Users(cell.knobs.users.unwrap_or(DEFAULT_USERS)),
        };
        Values { from, drawn: AtomicU64::new(0) }
    }

    /// The next values.
    pub(crate) fn next(&self) -> Cow<'_, Row> {
        let dice = mix(self.drawn.fetch_add(1, Ordering::Relaxed));
        match &self.from {
            From::Rows(rows) => Cow::Borrowed(&rows[(dice % rows.len() as u64) as usize]),
            From::Users(users) => {
                let (email, count) = question(*users, dice);
                let row = [("email", Value::from(email)), ("count", Value::from(count))];
                Cow::Owned(row.map(|(name, value)| (name.to_owned(), value)).into())
            }
        }
    }
}

/// An e-mail of a table of `users` rows, and how many of them have it. Four of five questions are about a common
/// e-mail, as four of five users have one.
fn question(users: u64, dice: u64) -> (String, u64) {
    let (which, who) = (dice % UNIQUE_EVERY, dice / UNIQUE_EVERY);
    let unique = users / UNIQUE_EVERY;
    if which == 0 && unique > 0 {
        return (own(UNIQUE_EVERY * (1 + who % unique)), 1);
    }
    let number = who % COMMON;
    (common(number), sharing(users, number))
}

/// A value of `row`, as it is written where it stands.
pub(crate) fn write(row: &Row, name: &str, written: Written) -> String {
    let value = row.get(name).unwrap_or(&Value::Null);
    let plain = || value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match written {
        Written::Plain => plain(),
        Written::Uri => utf8_percent_encode(&plain(), ESCAPED).to_string(),
        Written::Json => value.to_string(),
        Written::InJson => {
            let quoted = Value::from(plain()).to_string();
            quoted[1..quoted.len() - 1].to_owned()
        }
    }
}

/// A number that looks random, the same for the same `at` (SplitMix64: Steele, Lea and Flood, "Fast
/// Splittable Pseudorandom Number Generators", OOPSLA 2014).
pub(super) fn mix(at: u64) -> u64 {
    let mut z = at.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(users: u64) -> impl Iterator<Item = (String, u64)> {
        let values = Values { from: From::Users(users), drawn: AtomicU64::new(0) };
        std::iter::repeat_with(move || {
            let row = values.next();
            (row["email"].as_str().unwrap().to_owned(), row["count"].as_u64().unwrap())
        })
    }

    #[test]
    fn four_of_five_are_common_and_every_common_one_is_asked_for() {
        let emails: Vec<String> = about(1_000_000).map(|(email, _)| email).take(10_000).collect();
        let common = emails.iter().filter(|email| email.starts_with("common")).count();
        assert!((7_800..8_200).contains(&common), "{common}");
        let distinct: std::collections::BTreeSet<_> =
            emails.iter().filter(|email| email.starts_with("common")).collect();
        assert_eq!(distinct.len(), 100);
    }

    #[test]
    fn every_question_is_about_an_e_mail_that_the_table_has_so_often() {
        let users = 2_003;
        let mut table = std::collections::BTreeMap::<String, u64>::new();
        (1..=users).for_each(|id| *table.entry(lab_proto::emails::email_of(id)).or_default() += 1);
        for (email, count) in about(users).take(5_000) {
            assert_eq!(table.get(&email), Some(&count), "{email}");
        }
    }

    #[test]
    fn the_sequence_of_questions_is_the_same_in_every_run() {
        let emails: Vec<String> = about(1_000_000).map(|(email, _)| email).take(3).collect();
        let again: Vec<String> = (0..3).map(|at| question(1_000_000, mix(at)).0).collect();
        assert_eq!(emails, again);
    }

    #[test]
    fn rows_are_drawn_alike_and_written_as_their_place_wants_it() {
        let row = |id: u64, name: &str| {
            Row::from([("id".to_owned(), id.into()), ("name".to_owned(), name.into())])
        };
        let rows = vec![row(1, "a \"b\""), row(2, "é&+")];
        let values = Values { from: From::Rows(rows), drawn: AtomicU64::new(0) };
        let first = (0..1_000).filter(|_| values.next()["id"] == 1).count();
        assert!((400..600).contains(&first), "{first}");
        let (one, two) = (row(1, "a \"b\""), row(2, "é&+"));
        let all = |name, row| {
            [Written::Plain, Written::Uri, Written::Json, Written::InJson]
                .map(|written| write(row, name, written))
        };
        assert_eq!(all("id", &one), ["1", "1", "1", "1"]);
        assert_eq!(all("name", &one), ["a \"b\"", "a%20%22b%22", "\"a \\\"b\\\"\"", "a \\\"b\\\""]);
        assert_eq!(write(&two, "name", Written::Uri), "%C3%A9%26%2B");
    }
}
