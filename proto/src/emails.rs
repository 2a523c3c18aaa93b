//! Which e-mails the table `users` has, and how many of its users have each.
//!
//! Every fifth user has an e-mail of its own; the others take the common ones in turn. Whoever fills the table
//! and whoever asks about it take it from here.

/// E-mails that many users share.
pub const COMMON: u64 = 100;
/// Of so many users, one has an e-mail of its own.
pub const UNIQUE_EVERY: u64 = 5;

/// Which of the common e-mails user `id`, counted from 1, has; none if it has one of its own.
#[must_use]
pub fn common_of(id: u64) -> Option<u64> {
    let commons_before = id - id / UNIQUE_EVERY - 1;
    (!id.is_multiple_of(UNIQUE_EVERY)).then_some(commons_before % COMMON)
}

/// The common e-mail number `common`.
#[must_use]
pub fn common(common: u64) -> String {
    format!("common{common}@example.com")
}

/// The e-mail that user `id` alone has, if [`common_of`] it is none.
#[must_use]
pub fn own(id: u64) -> String {
    format!("user{id}@example.com")
}

/// The e-mail of user `id`, counted from 1.
#[must_use]
pub fn email_of(id: u64) -> String {
    common_of(id).map_or_else(|| own(id), common)
}

/// How many of `users` users have the common e-mail number `common`.
#[must_use]
pub fn sharing(users: u64, common: u64) -> u64 {
    let sharing = users - users / UNIQUE_EVERY;
    sharing / COMMON + u64::from(common < sharing % COMMON)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_to_be_shared_is_what_users_have() {
        for users in [1_000, 1_003, 10_000, 12_345] {
            let mut shared = [0; COMMON as usize];
            (1..=users).filter_map(common_of).for_each(|common| shared[common as usize] += 1);
            let said: Vec<u64> = (0..COMMON).map(|common| sharing(users, common)).collect();
            assert_eq!(shared.as_slice(), said, "{users}");
        }
    }
}
