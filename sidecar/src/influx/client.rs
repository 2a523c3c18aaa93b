//! One write to InfluxDB: the only module that knows the `influxdb2` crate.
//!
//! The crate adds the address, the token and the form of the request. A time limit and what an answer means
//! are ours.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use influxdb2::{ClientBuilder, RequestError};
use reqwest_of_influxdb2 as reqwest;

/// Longest answer that is repeated, in characters.
const LONGEST_ANSWER: usize = 500;

/// A token for InfluxDB. It is shown to nobody but InfluxDB.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A token; an empty one is none.
    #[must_use]
    pub fn new(token: impl Into<String>) -> Token {
        Token(token.into())
    }

    /// Whether the token can be sent: a header takes visible characters alone.
    pub(crate) fn is_sendable(&self) -> bool {
        self.0.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "Token(none)" } else { "Token(hidden)" })
    }
}

/// Where to write.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// `http://HOST:PORT`.
    pub(crate) url: String,
    pub(crate) org: String,
    pub(crate) bucket: String,
    pub(crate) token: Token,
}

/// Why a write failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum WriteError {
    /// It may work later: no answer, a server in trouble, too many requests.
    Away(String),
    /// All but `dropped` points are stored: these will never be.
    Partial { dropped: u64, text: String },
    /// It will never work.
    Refused { status: u16, text: String },
}

/// Writes to one bucket.
#[derive(Debug, Clone)]
pub(super) struct Client {
    inner: influxdb2::Client,
    target: Target,
    limit: Duration,
}

impl Client {
    /// A client for `target`; a write may take `limit`.
    pub(super) fn new(target: Target, limit: Duration) -> Result<Client, String> {
        let mut http = reqwest::ClientBuilder::new()
            .connect_timeout(limit.min(Duration::from_secs(3)))
            .redirect(reqwest::redirect::Policy::none());
        if is_loopback(&target.url) {
            // A proxy of the environment cannot reach this machine's loopback.
            http = http.no_proxy();
        }
        let token = target.token.0.as_str();
        let built = ClientBuilder::with_builder(http, &target.url, &target.org, token).build();
        let inner = built.map_err(|error| error.to_string())?;
        Ok(Client { inner, target, limit })
    }

    /// Writes lines with timestamps in nanoseconds.
    pub(super) async fn write(&self, lines: Bytes) -> Result<(), WriteError> {
        let Target { url, org, bucket, .. } = &self.target;
        let writing = self.inner.write_line_protocol(org, bucket, lines);
        let away = |why: String| WriteError::Away(format!("InfluxDB at {url} is away: {why}"));
        match tokio::time::timeout(self.limit, writing).await {
            Err(_) => Err(away(format!("no answer within {:?}", self.limit))),
            Ok(Ok(())) => Ok(()),
            Ok(Err(RequestError::Http { status, text })) => {
                let partial = dropped(status.as_u16(), &text);
                let text: String = text.trim().chars().take(LONGEST_ANSWER).collect();
                match status.as_u16() {
                    // The crate takes 204 alone for success.
                    200..=299 => Ok(()),
                    408 | 429 | 500..=599 => Err(away(format!("it answered {status}: {text}"))),
                    code => {
                        let text = format!("InfluxDB at {url} refused points: {status}: {text}");
                        Err(match partial {
                            Some(dropped) => WriteError::Partial { dropped, text },
                            None => WriteError::Refused { status: code, text },
                        })
                    }
                }
            }
            Ok(Err(RequestError::ReqwestProcessing { source })) => Err(away(causes(&source))),
            Ok(Err(other)) => Err(away(other.to_string())),
        }
    }
}

/// How many points InfluxDB did not store, where it says that it stored the others ("partial write: field type
/// conflict: … dropped=3", by 400 in 1.8 and 422 in 2.x). Lines that it could not read it names one by one.
fn dropped(status: u16, text: &str) -> Option<u64> {
    let (_, reason) = text.split_once("partial write").filter(|_| matches!(status, 400 | 422))?;
    let number = reason.rsplit_once("dropped=").map_or("", |(_, after)| after);
    let digits = number.find(|c: char| !c.is_ascii_digit()).map_or(number, |end| &number[..end]);
    let unread = reason.matches("unable to parse").count() as u64;
    // Where there is no number, something was dropped all the same.
    Some(digits.parse::<u64>().unwrap_or(1).max(unread))
}

fn is_loopback(url: &str) -> bool {
    let parsed = url.parse::<reqwest::Url>().ok();
    let host = parsed.as_ref().and_then(|url| url.host_str()).unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// The innermost cause of an error: `Connection refused`, not that a request failed.
fn causes(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::dropped;

    #[test]
    fn a_partial_write_says_how_many_points_were_not_stored() {
        let conflict = "partial write: field type conflict: input field \"n\" on measurement \"m\" is \
                        type float, already exists as type integer dropped=100";
        let older = format!("{{\"error\":{conflict:?}}}\n");
        let newer = format!(
            "{{\"code\":\"unprocessable entity\",\"message\":\"failure writing points to \
                             database: {}\"}}",
            conflict.replace('"', "\\\"")
        );
        assert_eq!((dropped(400, &older), dropped(422, &newer)), (Some(100), Some(100)));
        let unread = "partial write: unable to parse 'a': x\nunable to parse 'b': y dropped=0";
        assert_eq!(dropped(400, unread), Some(2));
        assert_eq!(
            dropped(400, "partial write: points beyond retention policy dropped=7"),
            Some(7)
        );
        assert_eq!(dropped(422, "partial write: something new"), Some(1));
        for (status, text) in [(400, "unable to parse 'm'"), (500, conflict), (401, "dropped=3")] {
            assert_eq!(dropped(status, text), None, "{status} {text}");
        }
    }
}
