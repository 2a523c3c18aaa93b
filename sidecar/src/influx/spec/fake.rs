//! A small HTTP server in place of InfluxDB: it keeps what it is sent and answers as it is told.

use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use parking_lot::Mutex;
use tokio::net::TcpListener;

/// What came with one request.
#[derive(Debug, Clone)]
pub(super) struct Received {
    pub(super) path: String,
    pub(super) query: String,
    pub(super) authorization: String,
    pub(super) body: String,
}

type Answer = dyn Fn(&str) -> (u16, String) + Send + Sync;

#[derive(Clone)]
struct Shared {
    received: Arc<Mutex<Vec<Received>>>,
    answer: Arc<Answer>,
}

/// The server.
pub(super) struct Fake {
    pub(super) url: String,
    shared: Shared,
}

impl Fake {
    /// Starts one that answers each body with what `answer` says; status 0 is no answer at all.
    pub(super) async fn start(
        answer: impl Fn(&str) -> (u16, String) + Send + Sync + 'static,
    ) -> Fake {
        let shared = Shared { received: Arc::default(), answer: Arc::new(answer) };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let routes = Router::new().fallback(write).with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Fake { url, shared }
    }

    /// What it was sent so far.
    pub(super) fn received(&self) -> Vec<Received> {
        self.shared.received.lock().clone()
    }
}

async fn write(
    State(shared): State<Shared>,
    uri: Uri,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: String,
) -> (StatusCode, String) {
    let authorization = headers.get("authorization").and_then(|value| value.to_str().ok());
    shared.received.lock().push(Received {
        path: uri.path().to_owned(),
        query: query.unwrap_or_default(),
        authorization: authorization.unwrap_or_default().to_owned(),
        body: body.clone(),
    });
    let (status, text) = (shared.answer)(&body);
    if status == 0 {
        return std::future::pending().await;
    }
    (StatusCode::from_u16(status).unwrap(), text)
}
