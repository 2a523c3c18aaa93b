//! Requests of a script: made one after another on the user's own connections, and told of in k6's order.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Uri, Version, header};
use http_body_util::Full;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::host::{Host, ms, pairs};
use crate::connection::Reply;
use crate::fault::{Fault, Faults};
use crate::line::Labels;
use crate::metric::Metric;
use crate::tags::Pairs;

/// Redirects that are followed, unless the script says otherwise.
const REDIRECTS: u32 = 10;

/// What a script asks, as `js/http.js` says it.
#[derive(Deserialize)]
struct Asked {
    method: String,
    url: String,
    body: Option<String>,
    headers: Vec<(String, String)>,
    tags: Value,
    /// Milliseconds.
    timeout: f64,
    redirects: Option<u32>,
    /// Ranges of statuses that are no failure; where it is not said, no request fails.
    expected: Option<Vec<(u16, u16)>>,
    /// Whether the script wants the body of the answer.
    keep: bool,
}

impl Host {
    /// Makes a request, and those that it is redirected to.
    pub(super) fn http(&mut self, about: Value) -> Result<Value, String> {
        let mut asked: Asked =
            serde_json::from_value(about).map_err(|error| format!("no request: {error}"))?;
        let tags = pairs(&asked.tags)?;
        let mut left = asked.redirects.unwrap_or(REDIRECTS);
        loop {
            let reply = self.request(&asked)?;
            self.tell(&asked, &tags, &reply);
            let to = reply.headers.get(header::LOCATION).filter(|_| left > 0);
            if let (301..=303 | 307 | 308, Some(to)) = (reply.status, to) {
                left -= 1;
                asked.url = redirected(&asked.url, to.to_str().unwrap_or_default());
                if reply.status < 307 && asked.method != "HEAD" {
                    (asked.method, asked.body) = ("GET".to_owned(), None);
                }
                continue;
            }
            return self.answer_of(&asked, &reply);
        }
    }

    fn request(&mut self, asked: &Asked) -> Result<Reply, String> {
        let uri: Uri =
            asked.url.parse().map_err(|error| format!("invalid URL {:?}: {error}", asked.url))?;
        let host = uri.authority().map(ToString::to_string).unwrap_or_default();
        if uri.scheme_str() != Some("http") || host.is_empty() || host.contains('@') {
            return Err(self.cannot(&format!("ask {}: only http://HOST:PORT", asked.url)));
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let agent = format!("double of k6/{}", self.world.faults.release.number());
        let mut request = Request::builder().method(asked.method.as_str()).uri(path);
        request = request.header(header::HOST, &host).header(header::USER_AGENT, agent);
        for (name, value) in &asked.headers {
            request = request.header(name, value);
        }
        let body = Full::new(Bytes::from(asked.body.clone().unwrap_or_default()));
        let request = request.body(body).map_err(|error| format!("no request: {error}"))?;
        let most = Duration::from_secs_f64(asked.timeout.clamp(0.0, 86_400_000.0) / 1e3);
        let cut = self.cut().clone();
        let address = if uri.port().is_some() { host } else { format!("{host}:80") };
        let connection = self.connections.entry(address.clone()).or_default();
        let reply = cut.run_until_cancelled(connection.ask(&address, request, most));
        let reply = self.runtime.block_on(reply).filter(|_| !self.is_cut());
        let reply = reply.ok_or("the request was interrupted")?;
        Ok(lied(reply, &self.world.faults))
    }

    /// The times of a request, and whether it failed.
    fn tell(&self, asked: &Asked, tags: &Pairs, reply: &Reply) {
        let expected = asked.expected.as_ref().map(|ranges| {
            ranges.iter().any(|(least, most)| (*least..=*most).contains(&reply.status))
        });
        // What a script calls a request is its URL, too.
        let name = tags.get("name").unwrap_or(&asked.url);
        let mut system = vec![
            ("name", name.clone()),
            ("url", name.clone()),
            ("method", asked.method.clone()),
            ("status", reply.status.to_string()),
        ];
        if reply.status != 0 {
            system.push(("proto", proto(reply.version).to_owned()));
        }
        if let Some((code, error)) = reply.error {
            system.push(("error_code", code.to_string()));
            if !error.is_empty() {
                system.push(("error", error.to_owned()));
            }
        }
        system.extend(expected.map(|expected| ("expected_response", expected.to_string())));
        let labels: Arc<Labels> = self.labels(tags, &system);
        let failed = expected.map(|expected| (Metric::FAILED, f64::from(u8::from(!expected))));
        let told: Vec<_> = times_of(reply).into_iter().chain(failed).collect();
        self.world.tell(reply.at, &labels, &told);
    }

    fn answer_of(&self, asked: &Asked, reply: &Reply) -> Result<Value, String> {
        for (name, what) in
            [(header::SET_COOKIE, "keep cookies"), (header::CONTENT_ENCODING, "undo a compression")]
        {
            if reply.headers.contains_key(name) {
                return Err(self.cannot(what));
            }
        }
        let discard = self.world.running().is_some_and(|running| running.options.discard_bodies);
        let body = if reply.status == 0 || !asked.keep || discard {
            Value::Null
        } else {
            String::from_utf8_lossy(&reply.body).into()
        };
        let (code, error) = reply.error.unwrap_or((0, ""));
        let times = &reply.times;
        Ok(json!({
            "url": asked.url,
            "status": reply.status,
            "status_text": http::StatusCode::from_u16(reply.status).map_or(String::new(), |status| status.to_string()),
            "proto": if reply.status == 0 { "" } else { proto(reply.version) },
            "headers": headers(&reply.headers),
            "body": body,
            "error": error,
            "error_code": code,
            "timings": {
                "duration": ms(times.sending + times.waiting + times.receiving),
                "blocked": ms(times.blocked),
                "connecting": ms(times.connecting),
                "tls_handshaking": 0,
                "sending": ms(times.sending),
                "waiting": ms(times.waiting),
                "receiving": ms(times.receiving),
            },
        }))
    }
}

/// Where a request is to go instead.
fn redirected(from: &str, to: &str) -> String {
    let origin = from.match_indices('/').nth(2).map_or(from, |(at, _)| &from[..at]);
    if to.starts_with('/') { format!("{origin}{to}") } else { to.to_owned() }
}

fn proto(version: Version) -> &'static str {
    if version == Version::HTTP_10 { "HTTP/1.0" } else { "HTTP/1.1" }
}

/// Headers by the names that Go gives them: `Content-Length`.
fn headers(all: &HeaderMap) -> Map<String, Value> {
    let capital = |word: &str| {
        let (first, rest) = word.split_at(word.len().min(1));
        format!("{}{rest}", first.to_ascii_uppercase())
    };
    let name = |name: &str| name.split('-').map(capital).collect::<Vec<_>>().join("-");
    let values = |key| {
        let texts: Vec<_> = all.get_all(key).iter().filter_map(|text| text.to_str().ok()).collect();
        Value::from(texts.join(", "))
    };
    all.keys().map(|key| (name(key.as_str()), values(key))).collect()
}

/// What k6 tells of the time that a request took.
fn times_of(reply: &Reply) -> [(Metric, f64); 8] {
    let times = &reply.times;
    let duration = times.sending + times.waiting + times.receiving;
    [
        (Metric::HTTP_REQS, 1.0),
        (Metric::DURATION, ms(duration)),
        (Metric::BLOCKED, ms(times.blocked)),
        (Metric::CONNECTING, ms(times.connecting)),
        (Metric::HANDSHAKING, 0.0),
        (Metric::SENDING, ms(times.sending)),
        (Metric::WAITING, ms(times.waiting)),
        (Metric::RECEIVING, ms(times.receiving)),
    ]
}

/// The reply as it is told: by a liar, a millisecond off.
fn lied(mut reply: Reply, faults: &Faults) -> Reply {
    const LIE: Duration = Duration::from_millis(1);
    let times = &mut reply.times;
    if faults.has(Fault::Long) {
        times.waiting += LIE;
    }
    if faults.has(Fault::Short) {
        let mut left = LIE;
        for part in [&mut times.waiting, &mut times.receiving, &mut times.sending] {
            let cut = left.min(*part);
            (*part, left) = (*part - cut, left - cut);
        }
    }
    if faults.has(Fault::Early) {
        reply.at -= LIE;
    }
    if faults.has(Fault::Late) {
        reply.at += LIE;
    }
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_is_followed_from_where_it_is() {
        let from = "http://shop:81/a?b=/c";
        assert_eq!(redirected(from, "/moved?to=1"), "http://shop:81/moved?to=1");
        assert_eq!(redirected(from, "http://other/"), "http://other/");
    }

    #[test]
    fn headers_have_the_names_that_go_gives_them() {
        let mut all = HeaderMap::new();
        all.insert("content-length", header::HeaderValue::from_static("7"));
        assert_eq!(headers(&all)["Content-Length"], "7");
    }
}
