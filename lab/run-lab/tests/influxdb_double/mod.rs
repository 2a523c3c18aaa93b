//! A double of somebody else's InfluxDB, as far as a run asks one: which it is, a place for points, points.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{any, get};

/// A server that answers until the test ends.
pub(crate) struct InfluxDouble {
    address: SocketAddr,
}

/// What is answered to a question: status and body.
pub(crate) type Answer = (StatusCode, &'static str);

/// A server that knows what it is asked to make.
const MADE: Answer = (StatusCode::OK, r#"{"results":[{"statement_id":0}]}"#);

impl InfluxDouble {
    /// One that says it is `version`, and takes everything.
    pub(crate) fn start(version: &'static str) -> InfluxDouble {
        InfluxDouble::answering(version, |_| MADE, StatusCode::NO_CONTENT)
    }

    /// One that answers questions in InfluxQL so, and writes with `write`.
    pub(crate) fn answering(
        version: &'static str,
        question: fn(&str) -> Answer,
        write: StatusCode,
    ) -> InfluxDouble {
        let mut told = HeaderMap::new();
        told.insert("X-Influxdb-Version", version.parse().expect("a header"));
        let query = move |request: Request| async move {
            // As it is sent, spaces are `+`.
            question(&request.uri().query().unwrap_or_default().replace('+', " "))
        };
        let routes = Router::new()
            .route("/ping", get(move || async move { (StatusCode::NO_CONTENT, told) }))
            .route("/health", get(|| async { r#"{"status":"pass"}"# }))
            .route("/query", any(query))
            .route("/api/v2/write", any(move || async move { write }));
        let (tell, address) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async move {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
                tell.send(listener.local_addr().expect("an address")).expect("it is waited for");
                axum::serve(listener, routes).await.expect("it serves");
            });
        });
        InfluxDouble { address: address.recv().expect("it listens") }
    }

    /// What `LAB_INFLUXDB_URL` says of it.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}
