//! Which users are asked for: four of five questions are about a common e-mail, as four of five users
//! have one.

use std::sync::atomic::{AtomicU64, Ordering};

use pg_client::emails::{COMMON, UNIQUE_EVERY, common, own, sharing};

/// E-mails to ask for, the same in every run.
#[derive(Debug)]
pub(super) struct Questions {
    users: u64,
    asked: AtomicU64,
}

/// An e-mail to ask for, and how many users have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) email: String,
    pub(super) count: u64,
}

impl Questions {
    /// About a table of `users` rows.
    pub(super) fn about(users: u64) -> Questions {
        Questions { users, asked: AtomicU64::new(0) }
    }

    /// The next question.
    pub(super) fn next(&self) -> Question {
        let dice = mix(self.asked.fetch_add(1, Ordering::Relaxed));
        let (which, who) = (dice % UNIQUE_EVERY, dice / UNIQUE_EVERY);
        let unique = self.users / UNIQUE_EVERY;
        if which == 0 && unique > 0 {
            return Question { email: own(UNIQUE_EVERY * (1 + who % unique)), count: 1 };
        }
        let number = who % COMMON;
        Question { email: common(number), count: sharing(self.users, number) }
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
        let emails: Vec<String> = (0..10_000).map(|_| questions.next().email).collect();
        let common = emails.iter().filter(|email| email.starts_with("common")).count();
        assert!((7_800..8_200).contains(&common), "{common}");
        let distinct: std::collections::BTreeSet<_> =
            emails.iter().filter(|email| email.starts_with("common")).collect();
        assert_eq!(distinct.len(), 100);
    }

    #[test]
    fn every_question_is_about_an_e_mail_that_the_table_has_so_often() {
        let users = 2_003;
        let questions = Questions::about(users);
        let mut table = std::collections::BTreeMap::<String, u64>::new();
        (1..=users).for_each(|id| *table.entry(pg_client::emails::email_of(id)).or_default() += 1);
        for _ in 0..5_000 {
            let question = questions.next();
            assert_eq!(table.get(&question.email), Some(&question.count), "{question:?}");
        }
    }
}
