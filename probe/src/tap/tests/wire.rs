//! Bytes of HTTP/2 connections, and connections to feed them to.

use std::sync::Arc;

use ledger::{Half, Side};
use tokio::sync::mpsc::Receiver;

use crate::context::SpanContext;
use crate::directory::{Claims, Directory, Outstanding};
use crate::export::Sink;
use crate::record::{Identity, Record};
use crate::tap::conn::Conn;

pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;

/// A frame of `kind`.
pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

pub(super) fn data(flags: u8, stream: u32, bytes: usize) -> Vec<u8> {
    frame(0, flags, stream, &vec![b'x'; bytes])
}

/// HEADERS of a reply; what they say does not matter to the tap.
pub(super) fn reply(flags: u8, stream: u32) -> Vec<u8> {
    frame(1, flags | END_HEADERS, stream, &[0x88])
}

/// The header block of a request: `:method: POST` and its context, never indexed.
pub(super) fn block(context: SpanContext) -> Vec<u8> {
    let mut block = vec![0x83, 0x10, 11];
    block.extend(b"traceparent");
    let value = context.header();
    block.push(value.len() as u8);
    block.extend(value.as_bytes());
    block
}

pub(super) fn request(flags: u8, stream: u32, context: SpanContext) -> Vec<u8> {
    frame(1, flags | END_HEADERS, stream, &block(context))
}

pub(super) fn window_update(stream: u32, by: u32) -> Vec<u8> {
    frame(8, 0, stream, &by.to_be_bytes())
}

pub(super) fn initial_window(size: u32) -> Vec<u8> {
    let mut entry = vec![0, 4];
    entry.extend(size.to_be_bytes());
    frame(4, 0, 0, &entry)
}

pub(super) fn reset(stream: u32) -> Vec<u8> {
    frame(3, 0, stream, &[0, 0, 0, 7])
}

/// A tapped connection with nothing above or below it.
pub(super) struct TappedConnection {
    /// `None` once the connection is lost.
    pub(super) conn: Option<Conn<Directory>>,
    pub(super) outstanding: Arc<Outstanding>,
    pub(super) claims: Arc<Claims>,
    pub(super) submitted: Receiver<Arc<Record>>,
}

impl TappedConnection {
    pub(super) fn new(side: Side, http2: bool) -> TappedConnection {
        let (sink, submitted) = Sink::kept();
        let outstanding: Arc<Outstanding> = Arc::default();
        let claims: Arc<Claims> = Arc::default();
        let (directory, http2) = match side {
            Side::Client => (Directory::Client(Arc::clone(&outstanding)), Some(http2)),
            Side::Server | Side::Wire => (Directory::Server(Arc::clone(&claims), sink), None),
        };
        TappedConnection {
            conn: Some(Conn::new(side, directory, http2)),
            outstanding,
            claims,
            submitted,
        }
    }

    pub(super) fn conn(&mut self) -> &mut Conn<Directory> {
        self.conn.as_mut().unwrap()
    }

    /// A call that is about to be made.
    pub(super) fn call(&self) -> (SpanContext, Arc<Record>) {
        let context = SpanContext::new_root(true);
        let record = Arc::new(Record::new(Side::Client));
        self.outstanding.insert(context.span_id, Arc::clone(&record));
        (context, record)
    }

    /// The handler of a request takes it, as the server half does.
    pub(super) fn claim(&self, context: SpanContext) -> Option<Arc<Record>> {
        let record = self.claims.claim(context.span_id)?;
        record.identify(Identity {
            context: context.child(),
            parent: context.span_id,
            carried: None,
            name: String::new(),
            peer: None,
            database: None,
            extra: Vec::new(),
        });
        Some(record)
    }

    /// One write call that takes these bytes.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        let enter = self.conn().enter();
        self.conn().wrote(enter, std::iter::once(bytes));
    }

    /// One read call that returns these bytes.
    pub(super) fn read(&mut self, bytes: &[u8]) {
        self.conn().enter();
        self.conn().read(bytes);
    }

    /// Halves of the records submitted so far.
    pub(super) fn submitted(&mut self) -> Vec<(Half, Option<String>)> {
        std::iter::from_fn(|| self.submitted.try_recv().ok())
            .map(|record| (record.half(), record.failure()))
            .collect()
    }

    /// Streams that are still followed.
    pub(super) fn streams(&self) -> usize {
        self.conn.as_ref().map_or(0, Conn::open_streams)
    }

    pub(super) fn unclaimed(&self) -> usize {
        self.claims.unclaimed()
    }
}
