//! What a service answers: its HTTP routes, its gRPC services, and what every service answers besides
//! (health by either protocol, and requests for routes or methods that do not exist).

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::handler::Handler;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use futures_util::FutureExt as _;
use http::{Method, StatusCode, Uri, Version};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tonic::server::NamedService;
use tonic_health::ServingStatus;

use crate::admission::is_grpc;
use crate::carries::Carries;
use crate::json::{JsonBody, JsonReply, Refusal};
use crate::limits::LimitsTold;
use crate::standing::Crowd;
use crate::table::Table;

/// Where every service says that it is healthy.
const HEALTH: &str = "/healthz";
/// Where every service says who is connected to it.
const CONNECTIONS: &str = "/connections";

/// The routes of a service, REST and gRPC alike. Handlers take axum's extractors; `S` is the state
/// that they still need, as in [`axum::Router`].
#[derive(Debug)]
pub struct Routes<S = ()> {
    http: Router<S>,
    /// Method and path of each HTTP route, to be listed to callers that ask for one that does not exist.
    known: Vec<(String, String)>,
    /// Names of the gRPC services, for the health of each.
    grpc: Vec<&'static str>,
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// No routes.
    #[must_use]
    pub fn new() -> Self {
        Routes { http: Router::new(), known: Vec::new(), grpc: Vec::new() }
    }

    /// Answers GET requests for `path`. What follows a `?` says which query is expected
    /// (`/users/count?email=E`); it is only shown to callers that ask for a route that does not exist.
    #[must_use]
    pub fn get<H: Handler<T, S>, T: 'static>(self, path: &str, handler: H) -> Self {
        self.route("GET", path, get(handler))
    }

    /// Answers POST requests for `path`; see [`Self::get`].
    #[must_use]
    pub fn post<H: Handler<T, S>, T: 'static>(self, path: &str, handler: H) -> Self {
        self.route("POST", path, post(handler))
    }

    /// Answers POST requests for `path`, whose body is JSON, with what `work` makes of it.
    #[must_use]
    pub fn post_json<Q, R, F, W>(self, path: &str, work: W) -> Self
    where
        Q: DeserializeOwned + Carries + Send + 'static,
        R: Serialize + Carries + Send + 'static,
        F: Future<Output = Result<R, Refusal>> + Send + 'static,
        W: Fn(Q) -> F + Clone + Send + Sync + 'static,
    {
        self.post(path, move |JsonBody(request): JsonBody<Q>| {
            let answer = work(request);
            async move { answer.await.map(|reply| JsonReply(StatusCode::OK, reply)) }
        })
    }

    fn route(mut self, method: &str, path: &str, handler: MethodRouter<S>) -> Self {
        self.known.push((method.to_owned(), path.to_owned()));
        let path = path.split('?').next().unwrap_or_default();
        self.http = self.http.route(path, handler);
        self
    }

    /// Serves a generated gRPC service, and says that it is healthy.
    #[must_use]
    pub fn grpc<G>(mut self, service: G) -> Self
    where
        G: tower::Service<http::Request<tonic::body::Body>, Error = Infallible>,
        G: NamedService + Clone + Send + Sync + 'static,
        G::Response: IntoResponse,
        G::Future: Send + 'static,
    {
        self.http = self.http.merge(grpc_router(service).with_state(()));
        self.grpc.push(G::NAME);
        self
    }

    /// Gives the handlers so far their state.
    #[must_use]
    pub fn with_state<S2>(self, state: S) -> Routes<S2> {
        Routes { http: self.http.with_state(state), known: self.known, grpc: self.grpc }
    }
}

impl<S: Clone + Send + Sync + 'static> Default for Routes<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl Routes {
    /// These routes and those of `others`.
    #[must_use]
    pub fn merge(mut self, others: Routes) -> Self {
        self.http = self.http.merge(others.http);
        self.known.extend(others.known);
        self.grpc.extend(others.grpc);
        self
    }

    /// Everything that the service called `name` answers; `crowd` is who it is connected to.
    pub(crate) fn into_app(
        self,
        (name, version): (&'static str, &'static str),
        crowd: &Arc<Crowd>,
    ) -> App {
        let Routes { http, mut known, mut grpc } = self;
        let (reporter, health) = tonic_health::server::health_reporter();
        for service in &grpc {
            // Nobody else has the reporter yet, so that it is never waited for.
            let _ = reporter.set_service_status(*service, ServingStatus::Serving).now_or_never();
        }
        let healthy = json!({"status": "ok", "service": name, "version": version});
        known.extend([HEALTH, CONNECTIONS].map(|path| ("GET".to_owned(), path.to_owned())));
        grpc.push(service_name(&health));
        let table = Table::new(known, grpc);
        let told: Arc<str> = table.told().into();
        let crowd = Arc::clone(crowd);
        let router = http
            .route(HEALTH, get(async move || JsonReply(StatusCode::OK, healthy)))
            .route(CONNECTIONS, get(async move || JsonReply(StatusCode::OK, connections(&crowd))))
            .merge(grpc_router(health))
            .fallback(async move |request: Request| no_such_route(&request, &told))
            .method_not_allowed_fallback(wrong_method);
        App { router, table }
    }
}

/// The routes of a service as they are served.
#[derive(Debug, Clone)]
pub(crate) struct App {
    pub(crate) router: Router,
    pub(crate) table: Arc<Table>,
}

/// The name of a gRPC service that the caller has as a value.
fn service_name<G: NamedService>(_: &G) -> &'static str {
    G::NAME
}

/// Who is connected, whom the limits keep out, and how many they have kept out so far.
fn connections(crowd: &Crowd) -> serde_json::Value {
    let closed: serde_json::Map<_, _> =
        crowd.tally.told().into_iter().map(|(why, count)| (why.to_owned(), count.into())).collect();
    json!({"open": crowd.present(), "closed": closed, "limits": LimitsTold::from(&crowd.limits)})
}

/// A gRPC service as a router, without the answer of tonic to requests for another.
fn grpc_router<G>(service: G) -> Router
where
    G: tower::Service<http::Request<tonic::body::Body>, Error = Infallible>,
    G: NamedService + Clone + Send + Sync + 'static,
    G::Response: IntoResponse,
    G::Future: Send + 'static,
{
    tonic::service::Routes::new(service).into_axum_router().reset_fallback()
}

fn no_such_route(request: &Request, known: &str) -> Response {
    if is_grpc(request.headers()) && request.version() == Version::HTTP_2 {
        return tonic::Status::unimplemented("").into_http::<Body>();
    }
    let error = format!("no route {}; there are {known}", request.uri().path());
    Refusal::new(StatusCode::NOT_FOUND, error).into_response()
}

async fn wrong_method(method: Method, uri: Uri) -> Refusal {
    let error = format!("{method} is not a method of {}", uri.path());
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, error)
}
