//! A request as it is handled: its record, its deadline, and what becomes of both. What serves it, and which
//! connection it came on, is not known here.

use std::future::Future;
use std::sync::Arc;

use http::{HeaderMap, Request, Response, header};
use ledger::{Point, Side, Value, names};
use tonic::Status;

use crate::admission::is_grpc;
use crate::carried::{self, Carried};
use crate::context::SpanContext;
use crate::deadline::{self, Deadline, GRPC_TIMEOUT};
use crate::probe::Probe;
use crate::record::{Identity, Record};
use crate::reply::note_status;
use crate::slot::Slot;
use crate::table::Table;

/// Methods of HTTP (RFC 9110, section 9; RFC 5789).
const METHODS: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
/// A method of gRPC is cut off here in spans: there need not be one of that name.
const LONGEST_METHOD: usize = 80;

/// The caller that a request names, and what it carries.
pub(crate) fn caller(headers: &HeaderMap) -> Option<SpanContext> {
    carried::caller(headers)
}

/// The slot of a request whose record is `record`, or one of its own.
pub(crate) fn slot<B>(
    request: &Request<B>,
    record: Option<Arc<Record>>,
    (probe, table): (&Probe, &Table),
) -> Slot {
    let headers = request.headers();
    let caller = caller(headers);
    let carried = Carried::read(headers, caller.is_some());
    let record = record.unwrap_or_else(|| {
        let record = Arc::new(Record::new(Side::Server));
        record.mark(Point::FirstRead);
        record
    });
    if is_grpc(headers) {
        record.is_grpc();
    }
    let context = caller.map_or_else(|| SpanContext::new_root(false), SpanContext::child);
    let (name, extra) =
        if context.sampled() { said(request, table) } else { (String::new(), Vec::new()) };
    let parent = caller.map_or(0, |caller| caller.span_id);
    let (peer, database) = (None, None);
    record.identify(Identity { context, parent, carried, name, peer, database, extra });
    if context.sampled() {
        record.handed_over();
    }
    Slot::new(record, probe.injector())
}

/// What a span of this request is called, and says of it. Paths are a peer's to choose: only routes are told.
fn said<B>(request: &Request<B>, table: &Table) -> (String, Vec<(&'static str, Value)>) {
    let text = |text: &str| Value::Text(text.to_owned());
    // A method that is none of the standard's is a peer's to choose as well.
    let known = METHODS.contains(&request.method().as_str());
    let (method, kind) = if known {
        (request.method().as_str(), request.method().as_str())
    } else {
        ("HTTP", "_OTHER")
    };
    let path = request.uri().path();
    let mut about = vec![(names::HTTP_REQUEST_METHOD, text(kind))];
    let authority = request.uri().authority().map(http::uri::Authority::as_str);
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    if let Some(authority) =
        authority.or(host).and_then(|host| host.parse::<http::uri::Authority>().ok())
    {
        about.push((names::SERVER_ADDRESS, text(authority.host())));
        about.push((names::SERVER_PORT, Value::Int(authority.port_u16().unwrap_or(80).into())));
    }
    if let Some((service, rpc)) = table.rpc(path) {
        about.push((names::RPC_SYSTEM, text("grpc")));
        about.push((names::RPC_SERVICE, text(service)));
        let rpc = &rpc[..rpc.floor_char_boundary(LONGEST_METHOD)];
        about.push((names::RPC_METHOD, text(rpc)));
        return (format!("{service}/{rpc}"), about);
    }
    let Some(route) = table.route(path) else { return (method.to_string(), about) };
    about.push((names::HTTP_ROUTE, text(route)));
    (format!("{method} {route}"), about)
}

/// Until when the answer to a request is of use; an error if it says so in a way that nobody understands.
pub(crate) fn deadline(headers: &HeaderMap) -> Result<Option<Deadline>, Status> {
    let Some(value) = headers.get(GRPC_TIMEOUT).filter(|_| is_grpc(headers)) else {
        return Ok(None);
    };
    match deadline::parse(value.as_bytes()) {
        Some(limit) => Ok(Some(Deadline::after(limit))),
        None => Err(Status::invalid_argument(format!(
            "{GRPC_TIMEOUT}: {value:?} is not a number of at most 8 digits and one of H, M, S, m, u, n"
        ))),
    }
}

/// Runs `work` until it is done or its answer is of no use any more.
pub(crate) async fn in_time<B: Default, E>(
    deadline: Result<Option<Deadline>, Status>,
    work: impl Future<Output = Result<Response<B>, E>>,
) -> Result<Response<B>, E> {
    let deadline = match deadline {
        Ok(None) => return work.await,
        Ok(Some(deadline)) => deadline,
        Err(status) => return Ok(status.into_http()),
    };
    let left = deadline.left();
    match tokio::time::timeout(left, deadline.scope(work)).await {
        Ok(reply) => reply,
        Err(_) => {
            let error = format!("no answer within the caller's limit, of which {left:?} were left");
            Ok(Status::deadline_exceeded(error).into_http())
        }
    }
}

/// Notes what the answer to a request is. `true` if its trailers will say how the call ended.
pub(crate) fn note<B>(record: &Record, reply: &Response<B>) -> bool {
    record.handled();
    record.answered(reply.status());
    if reply.status().is_server_error() {
        record.failed(format!("answered {}", reply.status()));
    }
    if !is_grpc(reply.headers()) {
        return false;
    }
    note_status(record, reply.headers());
    true
}
