//! One export: which signal in which dialect, read, decoded, taken, answered.

use std::net::SocketAddr;
use std::sync::Arc;

use super::body::{Turn, Turns};
use super::dialect::{Body, Dialect, grpc_message};
use super::inflate::Encoding;
use super::origin::Origins;
use super::refuse::{Cause, Refusal};
use super::reject::Rejections;
use super::signal::Signal;
use super::{Batch, DecodeError, LARGE, Queries, body, export_request, json};
use crate::budget::{Budget, Share};
use crate::forward::Forward;
use crate::listen::{Answers, Unserved};
use crate::pipeline::Pipeline;
use bytes::Bytes;
use http::header::{ACCESS_CONTROL_REQUEST_METHOD, ORIGIN};
use http::{HeaderMap, Method, Request, Response};
use hyper::body::Incoming;

/// What takes exports.
pub(crate) struct Intake {
    pipeline: Arc<Pipeline>,
    budget: Arc<Budget>,
    origins: Origins,
    forward: Option<Arc<Forward>>,
    queries: Queries,
    turns: Turns,
}

impl Intake {
    /// Takes exports into `pipeline`, within `budget`; of web pages those of `origins`. Passes all on by
    /// `forward`, if there is one. What becomes of `queries` in names is somebody's choice.
    pub(crate) fn new(
        pipeline: Arc<Pipeline>,
        budget: Arc<Budget>,
        origins: Vec<String>,
        forward: Option<Arc<Forward>>,
        queries: Queries,
    ) -> Self {
        let (origins, turns) = (Origins::new(origins), Turns::within(budget.limit()));
        Intake { pipeline, budget, origins, forward, queries, turns }
    }

    /// Counts an export, or a connection, that was refused.
    fn refuse(&self, refusal: &Refusal, from: SocketAddr) {
        self.pipeline.counters().refusals.count(refusal, from);
    }

    /// Which signal a request brings, in which dialect.
    fn place(
        &self,
        head: &http::request::Parts,
        dialect: Option<Dialect>,
    ) -> Result<(Signal, Dialect), Refusal> {
        let (method, path) = (&head.method, head.uri.path());
        self.origins.check(&head.headers)?;
        let Some((signal, grpc)) = Signal::at(path) else {
            let path: String = path.chars().take(200).collect();
            return Err(Refusal::new(
                Cause::Path,
                format!("{method} {path} is no place for exports"),
            ));
        };
        if method != Method::POST {
            return Err(Refusal::new(Cause::Method, format!("{method} {path} takes nothing")));
        }
        match dialect.filter(|&dialect| grpc == (dialect == Dialect::Grpc)) {
            Some(dialect) => Ok((signal, dialect)),
            None => {
                let media = head.headers.get(http::header::CONTENT_TYPE);
                let media = media.map_or("none".into(), |media| {
                    String::from_utf8_lossy(media.as_bytes()).chars().take(200).collect::<String>()
                });
                let version = head.version;
                let detail =
                    format!("content type {media} over {version:?} is not taken at {path}");
                Err(Refusal::new(Cause::ContentType, detail))
            }
        }
    }

    async fn export(
        self: &Arc<Self>,
        signal: Signal,
        dialect: Dialect,
        headers: &HeaderMap,
        body: &mut Incoming,
    ) -> Result<Rejections, Refusal> {
        let mut share = self.budget.share();
        let (body, turn) = body::read(body, &mut share, &self.turns).await?;
        let taken = self.take(signal, dialect, headers, body.clone(), share, turn).await;
        // What its sender will send again is passed on when it does.
        let again = matches!(&taken, Err(refusal) if refusal.cause == Cause::Busy);
        if let Some(forward) = self.forward.as_ref().filter(|_| !again) {
            let grpc = dialect == Dialect::Grpc;
            forward.pass(grpc, signal.path(grpc), headers, body);
        }
        taken
    }

    async fn take(
        self: &Arc<Self>,
        signal: Signal,
        dialect: Dialect,
        headers: &HeaderMap,
        body: Bytes,
        share: Share,
        turn: Option<Turn<'_>>,
    ) -> Result<Rejections, Refusal> {
        let counters = self.pipeline.counters();
        if signal != Signal::Traces {
            counters.other_signal(signal);
            return Ok(Rejections::default());
        }
        let encoding = encoding(dialect, headers)?;
        let rejected = if body.len() > LARGE || encoding != Encoding::Identity {
            let intake = Arc::clone(self);
            // On a thread of its own: it would keep others waiting.
            let _turn = match turn {
                Some(turn) => turn,
                None => self.turns.next().await?,
            };
            let decoding =
                tokio::task::spawn_blocking(move || intake.decode(dialect, encoding, body, share));
            let broke = |error: tokio::task::JoinError| {
                Refusal::new(Cause::Malformed, format!("it could not be decoded: {error}"))
            };
            decoding.await.map_err(broke)??
        } else {
            self.decode(dialect, encoding, body, share)?
        };
        counters.export(dialect);
        Ok(rejected)
    }

    /// Decodes the spans of a body and takes them in.
    fn decode(
        &self,
        dialect: Dialect,
        encoding: Encoding,
        body: Bytes,
        mut share: Share,
    ) -> Result<Rejections, Refusal> {
        let (body, encoding) = match dialect {
            Dialect::Grpc => match grpc_message(body)? {
                (message, true) => (message, encoding),
                (message, false) => (message, Encoding::Identity),
            },
            Dialect::Protobuf | Dialect::Json => (body, encoding),
        };
        let mut message = encoding.undo(body, &mut share)?;
        if dialect == Dialect::Json {
            share.grow(2 * message.len())?;
            let protobuf = json::to_protobuf(&message).map_err(|error| {
                Refusal::new(Cause::Malformed, format!("it is no OTLP in JSON: {error}"))
            })?;
            message = protobuf.into();
        }
        let mut rejected = Rejections::default();
        let mut take = |batch: Batch| {
            rejected.add(&batch.rejected);
            self.pipeline.accept(batch);
        };
        let runs = self.pipeline.runs();
        let decoded = export_request(&message, &self.budget, self.queries, runs, &mut take);
        decoded.map_err(|error| match error {
            DecodeError::Wire(error) => {
                Refusal::new(Cause::Malformed, format!("cannot read the export request: {error}"))
            }
            DecodeError::Spent(spent) => spent.into(),
        })?;
        Ok(rejected)
    }
}

impl Answers for Intake {
    type Body = Body;

    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        from: SocketAddr,
    ) -> Response<Body> {
        let (head, mut body) = request.into_parts();
        let origin = head.headers.get(ORIGIN).cloned();
        if head.method == Method::OPTIONS
            && head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
            && let Some(answer) = self.origins.preflight(&head.headers)
        {
            return answer;
        }
        // Whoever writes no dialect of ours reads text best.
        let dialect = Dialect::of(&head.headers, head.version);
        let spoken = dialect.unwrap_or(Dialect::Json);
        let taken = match self.place(&head, dialect) {
            Ok((signal, dialect)) => self.export(signal, dialect, &head.headers, &mut body).await,
            Err(refusal) => {
                body::drain_for_a_while(&mut body).await;
                Err(refusal)
            }
        };
        let mut response = match taken {
            Ok(rejected) => spoken.taken(&rejected),
            Err(refusal) => {
                self.refuse(&refusal, from);
                spoken.refused(&refusal)
            }
        };
        self.origins.mark(origin, response.headers_mut());
        response
    }

    fn unserved(&self, why: Unserved, from: SocketAddr) {
        let refusal = match why {
            Unserved::Full(most) => {
                Refusal::new(Cause::Busy, format!("{most} connections are at work"))
            }
            Unserved::Tls => Refusal::new(Cause::Tls, "a peer began TLS"),
            Unserved::NotHttp(error) => {
                Refusal::new(Cause::NotHttp, format!("a peer spoke no HTTP: {error}"))
            }
        };
        self.refuse(&refusal, from);
    }
}

/// How the message is compressed, by the header that says so.
fn encoding(dialect: Dialect, headers: &HeaderMap) -> Result<Encoding, Refusal> {
    let mut all = headers.get_all(dialect.encoding_header()).iter();
    let name = all.next().map_or("", |value| value.to_str().unwrap_or("?"));
    Encoding::named(name).filter(|_| all.next().is_none()).ok_or_else(|| {
        let name: String = name.chars().take(50).collect();
        Refusal::new(Cause::ContentEncoding, format!("{} {name}", dialect.encoding_header()))
    })
}
