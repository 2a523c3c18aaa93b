//! What is answered on the port of spans: exports of OTLP, and k6's pushes of its log.

use std::net::SocketAddr;
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;

use crate::k6log;
use crate::listen::{Answers, Unserved};
use crate::otlp;

/// Takes both.
pub(crate) struct Receiver {
    pub(crate) otlp: Arc<otlp::Intake>,
    pub(crate) k6_log: k6log::Intake,
}

impl Answers for Receiver {
    type Body = <otlp::Intake as Answers>::Body;

    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        from: SocketAddr,
    ) -> Response<Self::Body> {
        if request.uri().path() == k6log::PATH {
            return self.k6_log.answer(request, from).await;
        }
        Arc::clone(&self.otlp).answer(request, from).await
    }

    fn unserved(&self, why: Unserved, from: SocketAddr) {
        self.otlp.unserved(why, from);
    }
}
