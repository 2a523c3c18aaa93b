//! Which InfluxDB a program or a server is, and whether the lab can use it: 1.8 and later 1.x, and 2.x.
//!
//! A release says its number. One that was built from its source says `dev` or `unknown`: then it is asked for
//! something that one generation has and the other has not.

use std::path::Path;
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;
use settings::PeerUrl;
use tokio::process::Command;

/// How long a program or a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The header in which a server of any generation tells its version.
const VERSION: &str = "X-Influxdb-Version";
/// A part of what `influxd help` writes, by generation.
const HELP: [(&str, Generation); 2] =
    [("--bolt-path", Generation::Two), ("[[command] [arguments]]", Generation::One)];

/// What differs in how an InfluxDB is configured and set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    /// 1.8 and later.
    One,
    /// 2.x.
    Two,
}

/// An InfluxDB that the lab cannot use, or something that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} is not supported: 1.8 and 2.x are")]
pub(crate) struct Unsupported {
    what: String,
}

impl Unsupported {
    fn new(what: impl Into<String>) -> Unsupported {
        Unsupported { what: what.into() }
    }
}

/// What the number of a version says; `None` if it is no number.
fn of_number(version: &str) -> Option<Result<Generation, Unsupported>> {
    let mut numbers = version.trim_start_matches('v').split(['.', '-', '+']);
    let major: u32 = numbers.next()?.parse().ok()?;
    let minor: Option<u32> = numbers.next().and_then(|minor| minor.parse().ok());
    Some(match (major, minor) {
        (1, Some(minor)) if minor >= 8 => Ok(Generation::One),
        (2, _) => Ok(Generation::Two),
        _ => Err(Unsupported::new(format!("InfluxDB {version}"))),
    })
}

/// The generation of the program at `path`, which says it is `version`.
pub(crate) async fn of_program(path: &Path, version: &str) -> Result<Generation, Unsupported> {
    if let Some(known) = of_number(version) {
        return known;
    }
    let help = Command::new(path).arg("help").kill_on_drop(true).output();
    let text = match tokio::time::timeout(PATIENCE, help).await {
        Ok(Ok(output)) => [output.stdout, output.stderr].concat(),
        _ => Vec::new(),
    };
    let text = String::from_utf8_lossy(&text);
    let known = HELP.iter().find(|(words, _)| text.contains(words));
    known.map(|(_, generation)| *generation).ok_or_else(|| {
        let version = if version.is_empty() { "that does not tell its version" } else { version };
        Unsupported::new(format!("InfluxDB {version}"))
    })
}

/// What the server at `url` says its version is, and its generation; `None` if nobody answers.
pub(crate) async fn of_server(url: &PeerUrl) -> Result<Option<(String, Generation)>, Unsupported> {
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build();
    let Ok(client) = client else { return Ok(None) };
    let get = async |path: &str| client.get(format!("{url}{path}")).send().await;
    let Ok(ping) = get("/ping").await else { return Ok(None) };
    let header = ping.headers().get(VERSION).and_then(|value| value.to_str().ok());
    let header = header.map(str::to_owned);
    let version = match header {
        Some(version) => Some(version),
        // InfluxDB 3 tells it here, and 2.x behind a proxy that drops headers in its health.
        None => match told(ping).await {
            Some(version) => Some(version),
            None => match get("/health").await {
                Ok(health) => told(health).await,
                Err(_) => None,
            },
        },
    };
    if let Some(known) = version.as_deref().and_then(of_number) {
        return known.map(|generation| Some((version.unwrap_or_default(), generation)));
    }
    // Only 2.x answers this: whether it has been set up.
    let generation = match get("/api/v2/setup").await {
        Err(_) => return Ok(None),
        Ok(reply) if reply.status().is_success() => reply
            .json::<Value>()
            .await
            .is_ok_and(|body| body["allowed"].is_boolean())
            .then_some(Generation::Two),
        Ok(reply) => (reply.status() == StatusCode::NOT_FOUND && version.is_some())
            .then_some(Generation::One),
    };
    match (generation, version) {
        (Some(generation), version) => Ok(Some((version.unwrap_or_default(), generation))),
        (None, Some(version)) => Err(Unsupported::new(format!("InfluxDB {version}"))),
        (None, None) => Err(Unsupported::new("a server that does not say it is an InfluxDB")),
    }
}

/// The version that an answer in JSON tells.
async fn told(reply: reqwest::Response) -> Option<String> {
    let body: Value = reply.json().await.ok()?;
    Some(body["version"].as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::http::HeaderMap;
    use axum::routing::get;

    use super::*;

    #[test]
    fn a_release_is_told_by_its_number() {
        for (version, generation) in [
            ("v1.8.10", Generation::One),
            ("1.8.10", Generation::One),
            ("1.11.8", Generation::One),
            ("v2.7.12", Generation::Two),
            ("2.0.0-rc.1", Generation::Two),
        ] {
            assert_eq!(of_number(version), Some(Ok(generation)), "{version}");
        }
        for version in ["3.0.1", "v3.4.0", "1.7.11", "0.13.0", "4", "27.1", "2026-11-25T17:00:00Z"]
        {
            let error = of_number(version).unwrap().unwrap_err().to_string();
            assert_eq!(error, format!("InfluxDB {version} is not supported: 1.8 and 2.x are"));
        }
        assert_eq!((of_number("dev"), of_number("unknown"), of_number("")), (None, None, None));
    }

    async fn serve(routes: Router) -> PeerUrl {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, routes).await });
        format!("http://{address}").parse().unwrap()
    }

    fn header(version: &'static str) -> HeaderMap {
        HeaderMap::from_iter([("X-Influxdb-Version".parse().unwrap(), version.parse().unwrap())])
    }

    #[tokio::test]
    async fn a_server_is_told_by_what_it_answers() {
        let ping =
            |version| Router::new().route("/ping", get(move || async move { header(version) }));
        let setup =
            || Router::new().route("/api/v2/setup", get(|| async { r#"{"allowed": false}"# }));
        let health =
            |body: &'static str| Router::new().route("/health", get(move || async move { body }));
        for (routes, version, generation) in [
            (ping("1.8.10"), "1.8.10", Generation::One),
            (ping("v2.7.12"), "v2.7.12", Generation::Two),
            (ping("dev").merge(setup()), "dev", Generation::Two),
            (ping("unknown"), "unknown", Generation::One),
            (health(r#"{"version": "v2.1.0"}"#), "v2.1.0", Generation::Two),
            (setup(), "", Generation::Two),
        ] {
            let found = of_server(&serve(routes).await).await;
            assert_eq!(found, Ok(Some((version.to_owned(), generation))));
        }
        for (routes, what) in [
            (ping("3.0.1"), "InfluxDB 3.0.1"),
            (ping("v4.2.0"), "InfluxDB v4.2.0"),
            (health(r#"{"version": "3.1.0"}"#), "InfluxDB 3.1.0"),
            (Router::new(), "a server that does not say it is an InfluxDB"),
            (health("OK"), "a server that does not say it is an InfluxDB"),
        ] {
            let error = of_server(&serve(routes).await).await.unwrap_err().to_string();
            assert_eq!(error, format!("{what} is not supported: 1.8 and 2.x are"));
        }
        let body = get(|| async { r#"{"version": "3.2.1", "revision": "x"}"# });
        let error = of_server(&serve(Router::new().route("/ping", body)).await).await.unwrap_err();
        assert!(error.to_string().starts_with("InfluxDB 3.2.1 is"), "{error}");
        assert_eq!(of_server(&"http://127.0.0.1:1".parse().unwrap()).await, Ok(None));
    }
}
