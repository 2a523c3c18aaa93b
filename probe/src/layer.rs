//! The probe for a service that is not served by this crate: a tower layer over hyper, tonic or axum.
//!
//! Without a tap nothing is known of the wire: a span begins with the request's head and ends when the server has taken
//! the last of the reply.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};

use crate::observed;
use crate::probe::Probe;
use crate::reply::{Ending, ReplyBody};
use crate::table::Table;

/// A layer that records the requests of a service.
#[derive(Debug, Clone)]
pub struct ProbeLayer {
    probe: Probe,
    table: Arc<Table>,
}

impl ProbeLayer {
    /// A layer of this probe. Spans are called by the routes that are given, as axum writes them (`/users/{id}`), and
    /// by the services of gRPC (`lab.v1.Echo`).
    #[must_use]
    pub fn new(probe: &Probe, routes: &[&str], services: &[&'static str]) -> Self {
        let routes = routes.iter().map(|&route| (String::new(), route.to_owned())).collect();
        ProbeLayer { probe: probe.clone(), table: Table::new(routes, services.to_vec()) }
    }
}

impl<S> tower::Layer<S> for ProbeLayer {
    type Service = Probed<S>;

    fn layer(&self, service: S) -> Probed<S> {
        Probed { service, layer: self.clone() }
    }
}

/// A service whose requests are recorded.
#[derive(Debug, Clone)]
pub struct Probed<S> {
    service: S,
    layer: ProbeLayer,
}

impl<S, B, R> tower::Service<Request<B>> for Probed<S>
where
    S: tower::Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    S::Error: 'static,
    R: Default + Send + 'static,
{
    type Response = Response<ReplyBody<R>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let ProbeLayer { probe, table } = &self.layer;
        let deadline = observed::deadline(request.headers());
        if !probe.enabled() {
            let answer = observed::in_time(deadline, self.service.call(request));
            return Box::pin(async move {
                Ok(answer.await?.map(|body| ReplyBody::new(body, None, None, None)))
            });
        }
        let slot = observed::slot(&request, None, (probe, table));
        let ending = Ending::new(Arc::clone(&slot.record), probe.sink().clone());
        let answer = observed::in_time(deadline, self.service.call(request));
        let answer = slot.clone().scope(answer);
        Box::pin(async move {
            let reply = answer.await?;
            let trailed = observed::note(&slot.record, &reply);
            let call = trailed.then(|| Arc::clone(&slot.record));
            Ok(reply.map(|body| ReplyBody::new(body, call, None, Some(ending))))
        })
    }
}
