//! The e-mail that a users route is asked for: how it stands in a query string, and what is refused.
//!
//! Gateway and users service read the same query string, so the rule is written once.

/// An e-mail may be this long, in bytes (RFC 3696, erratum 1690: 64 for the mailbox, 255 for the host, and `@`).
pub const LONGEST_EMAIL: usize = 320;

/// Why an e-mail was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EmailError {
    /// There is none.
    #[error("email: missing; ask for ?email=E, an e-mail of 1 to {LONGEST_EMAIL} bytes")]
    Missing,
    /// There is more than one.
    #[error("email: given more than once, again as {0:?}")]
    Twice(String),
    /// It has no bytes.
    #[error("email: empty; an e-mail has 1 to {LONGEST_EMAIL} bytes")]
    Empty,
    /// It is too long.
    #[error("email: {0} bytes are above the limit of {LONGEST_EMAIL}")]
    TooLong(usize),
    /// It holds a control character, or bytes that are not UTF-8.
    #[error("email: {0:?} holds a control character or is not UTF-8")]
    NotText(String),
}

/// The e-mail in a query string such as `email=a%40example.com`. Other parameters are ignored.
///
/// # Errors
/// [`EmailError`] names what is wrong with it, and the limit.
pub fn email_of_query(query: &str) -> Result<String, EmailError> {
    let mut emails = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "email");
    let (_, email) = emails.next().ok_or(EmailError::Missing)?;
    if let Some((_, again)) = emails.next() {
        return Err(EmailError::Twice(again.chars().take(LONGEST_EMAIL).collect()));
    }
    check_email(&email)?;
    Ok(email.into_owned())
}

/// The query string that asks for `email`.
#[must_use]
pub fn query_of_email(email: &str) -> String {
    form_urlencoded::Serializer::new(String::new()).append_pair("email", email).finish()
}

/// Whether `email` is one that may be asked for.
///
/// # Errors
/// [`EmailError`] names what is wrong with it, and the limit.
pub fn check_email(email: &str) -> Result<(), EmailError> {
    match email {
        "" => Err(EmailError::Empty),
        long if long.len() > LONGEST_EMAIL => Err(EmailError::TooLong(long.len())),
        // Decoding puts the replacement character where there were bytes that are not UTF-8.
        odd if odd.contains(|c: char| c.is_control() || c == char::REPLACEMENT_CHARACTER) => {
            Err(EmailError::NotText(odd.to_owned()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_email_is_read_from_the_query_that_asks_for_it() {
        for email in ["a@example.com", "a+b=c&d%@é.de", "\u{1F980}", &"x".repeat(LONGEST_EMAIL)] {
            assert_eq!(email_of_query(&query_of_email(email)).as_deref(), Ok(email));
        }
        assert_eq!(email_of_query("x=1&email=a@b&y").as_deref(), Ok("a@b"));
    }

    #[test]
    fn what_is_no_email_is_refused() {
        for (query, error) in [
            ("", EmailError::Missing),
            ("Email=a", EmailError::Missing),
            ("email=a&email=b", EmailError::Twice("b".into())),
            ("email", EmailError::Empty),
            ("email=&x=1", EmailError::Empty),
            ("email=a%00", EmailError::NotText("a\0".into())),
            ("email=a%0A", EmailError::NotText("a\n".into())),
            ("email=%ff", EmailError::NotText("\u{fffd}".into())),
        ] {
            assert_eq!(email_of_query(query), Err(error), "{query}");
        }
        let long = format!("email={}", "x".repeat(LONGEST_EMAIL + 1));
        assert_eq!(email_of_query(&long), Err(EmailError::TooLong(321)));
    }
}
