//! The rows of the table `users`, and how COPY takes them.
//!
//! Each common e-mail is spread over the whole table. User N is row N: the same table each time.

use std::io::Write as _;

use lab_proto::emails::email_of;

/// The table.
pub(crate) const CREATE: &str = "CREATE TABLE users (id bigint NOT NULL, username text NOT NULL, \
     email text NOT NULL, created_at timestamptz NOT NULL)";
/// FREEZE leaves nothing for the server to tidy up while it is being measured: neither hint bits nor
/// visibility map.
pub(crate) const COPY: &str = "COPY users FROM STDIN (FORMAT binary, FREEZE)";
/// How many rows there are, and how many of them are those made here for users 1 to `$1`.
pub(crate) const VERIFY: &str = "SELECT count(*), count(*) FILTER (WHERE id BETWEEN 1 AND $1 \
     AND username = 'user' || id AND email = CASE WHEN id % 5 = 0 THEN username \
     ELSE 'common' || (id - id / 5 - 1) % 100 END || '@example.com') FROM users";

/// 2024-01-01 in seconds since 2000-01-01, from where PostgreSQL counts: 8,766 days.
const FIRST_CREATED_S: u64 = 8_766 * 86_400;
/// Fields of a row.
const FIELDS: i16 = 4;

/// A part of the table in COPY's binary format (PostgreSQL manual, COPY, "Binary Format").
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    bytes: Vec<u8>,
}

impl Chunk {
    /// The signature, no flags, no header extension: what comes before the first row.
    pub(crate) fn begin(&mut self) {
        self.bytes.extend_from_slice(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0");
    }

    /// Adds user `id`, counted from 1, created one second after the user before.
    pub(crate) fn user(&mut self, id: u64) {
        let created_us = (FIRST_CREATED_S + id) * 1_000_000;
        self.bytes.extend_from_slice(&FIELDS.to_be_bytes());
        self.field(|bytes| bytes.extend_from_slice(&id.to_be_bytes()));
        self.field(|bytes| put(bytes, format_args!("user{id}")));
        self.field(|bytes| bytes.extend_from_slice(email_of(id).as_bytes()));
        self.field(|bytes| bytes.extend_from_slice(&created_us.to_be_bytes()));
    }

    /// What comes after the last row.
    pub(crate) fn end(&mut self) {
        self.bytes.extend_from_slice(&(-1_i16).to_be_bytes());
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Adds what `write` writes, its length before it.
    fn field(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        write(&mut self.bytes);
        let length = (self.bytes.len() - at - 4) as u32;
        self.bytes[at..at + 4].copy_from_slice(&length.to_be_bytes());
    }
}

fn put(bytes: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to memory does not fail.
    let _ = bytes.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab_proto::emails::{COMMON, common_of};

    #[test]
    fn of_a_million_users_a_hundred_emails_have_eight_thousand_each() {
        let mut shared = [0; COMMON as usize];
        let unique = (1..=1_000_000).filter(|&id| match common_of(id) {
            Some(common) => {
                shared[common as usize] += 1;
                false
            }
            None => true,
        });
        assert_eq!(unique.count(), 200_000);
        assert_eq!(shared, [8_000; COMMON as usize]);
    }

    #[test]
    fn a_row_is_as_the_manual_has_it() {
        let mut chunk = Chunk::default();
        chunk.begin();
        assert_eq!(chunk.bytes(), b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0");
        chunk.clear();
        chunk.user(5);
        chunk.end();
        let created = 757_382_405_000_000_u64.to_be_bytes();
        let row: [&[u8]; 6] = [
            b"\0\x04\0\0\0\x08\0\0\0\0\0\0\0\x05",
            b"\0\0\0\x05user5",
            b"\0\0\0\x11user5@example.com",
            b"\0\0\0\x08",
            &created,
            b"\xff\xff",
        ];
        assert_eq!(chunk.bytes(), row.concat());
    }
}
