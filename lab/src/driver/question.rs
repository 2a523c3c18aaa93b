//! Which users are asked for: four of five questions are about a common e-mail, as four of five users
//! have one.

use std::sync::atomic::{AtomicU64, Ordering};

/// Common e-mails of the users table.
const COMMON: u64 = 100;
/// One of so many questions is about an e-mail that one user has.
const UNIQUE_ONE_IN: u64 = 5;

/// E-mails to ask for, the same in every run.
#[derive(Debug)]
pub(super) struct Questions {
    users: u64,
    asked: AtomicU64,
}

impl Questions {
    /// About a table of `users` rows.
    pub(super) fn about(users: u64) -> Questions {
        Questions { users: users.max(1), asked: AtomicU64::new(0) }
    }

    /// The next e-mail.
    pub(super) fn next(&self) -> String {
        let dice = mix(self.asked.fetch_add(1, Ordering::Relaxed));
        let (which, who) = (dice % UNIQUE_ONE_IN, dice / UNIQUE_ONE_IN);
        if which == 0 {
            format!("user{}@example.com", 1 + who % self.users)
        } else {
            format!("common{}@example.com", who % COMMON)
        }
    }
}

/// A number that looks random, the same for the same `at` (SplitMix64: Steele, Lea and Flood, "Fast
/// Splittable Pseudorandom Number Generators", OOPSLA 2014).
fn mix(at: u64) -> u64 {
    let mut z = at.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_of_five_are_common_and_every_common_one_is_asked_for() {
        let questions = Questions::about(1_000_000);
        let emails: Vec<String> = (0..10_000).map(|_| questions.next()).collect();
        let common = emails.iter().filter(|email| email.starts_with("common")).count();
        assert!((7_800..8_200).contains(&common), "{common}");
        let distinct: std::collections::BTreeSet<_> =
            emails.iter().filter(|email| email.starts_with("common")).collect();
        assert_eq!(distinct.len(), 100);
    }
}
