//! A server's stream under its limits: who sends no whole head, makes no request, or takes no reply is let go.
//!
//! Requests of HTTP/1.1 are not read here: that one has begun is told by whoever handles it ([`Standing`]). What hyper
//! refuses by itself, with a status alone, goes out with the body that every refusal has.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ledger::clock;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::limits::{Limits, Reason, SLOWEST};
use crate::standing::{Crowd, Standing};
use crate::tap::{LONGEST_HEAD, MOST_FIELDS};
use crate::wrapped::{self, Wrapper};

/// What the first byte of a connection says of its protocol: `P` may still be POST, and that is found out later.
const PREFACE: &[u8] = b"PRI";

/// A refusal of hyper's is a head without a body, and shorter than this.
const LONGEST_REFUSAL: usize = 256;
/// How long a peer by HTTP/2 may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(5);

/// Who stands round the stream.
#[derive(Debug)]
pub(crate) struct Guard {
    crowd: Arc<Crowd>,
    standing: Arc<Standing>,
    /// Told when the connection is to end in an orderly way: HTTP/2 has one.
    retire: Arc<AtomicBool>,
    http2: bool,
    opening: Vec<u8>,
    /// Requests that had begun when it was last looked.
    seen: u64,
    /// Replies of handlers that were there when something was last written.
    replied: u64,
    /// Bytes that were read since, and since when the rest of the head is waited for.
    unclaimed: bool,
    head_since: u64,
    /// Since when the peer is asked to say goodbye.
    retired_since: u64,
    /// Since when the peer takes nothing, and what it took since.
    stalled_since: u64,
    taken: u64,
    /// A reply that is ours, and how much of it has gone.
    own: Vec<u8>,
    gone: usize,
    over: Option<Reason>,
    upgraded: Arc<AtomicBool>,
    timer: Pin<Box<Sleep>>,
    due: Instant,
}

impl Guard {
    pub(crate) fn new(
        (crowd, standing): (&Arc<Crowd>, &Arc<Standing>),
        (retire, upgraded): (Arc<AtomicBool>, Arc<AtomicBool>),
    ) -> Self {
        let due = Instant::now() + crowd.limits.idle;
        Guard {
            crowd: Arc::clone(crowd),
            standing: Arc::clone(standing),
            retire,
            http2: false,
            opening: Vec::new(),
            seen: 0,
            replied: 0,
            unclaimed: false,
            head_since: 0,
            retired_since: 0,
            stalled_since: 0,
            taken: 0,
            own: Vec::new(),
            gone: 0,
            over: None,
            upgraded,
            timer: Box::pin(tokio::time::sleep_until(due)),
            due,
        }
    }

    fn limits(&self) -> &Limits {
        &self.crowd.limits
    }

    fn read(&mut self, bytes: &[u8]) {
        if self.opening.len() < PREFACE.len() {
            let more = bytes.len().min(PREFACE.len() - self.opening.len());
            self.opening.extend_from_slice(&bytes[..more]);
            self.http2 = self.opening == PREFACE;
        }
        // What comes while a request is open is its body, or the next one in turn.
        self.unclaimed |= self.standing.idle();
    }

    /// There is nothing to read: answers whether the connection is over.
    fn waits(&mut self, cx: &mut Context<'_>) -> Option<Reason> {
        let begun = self.standing.begun();
        if begun != self.seen {
            self.seen = begun;
            self.unclaimed = false;
            self.head_since = 0;
        }
        if self.upgraded.load(Relaxed) {
            return None;
        }
        if self.unclaimed && !self.http2 && self.head_since == 0 {
            self.head_since = clock::now();
            self.wake_within(self.limits().head);
        }
        if self.standing.leaves(cx) && self.standing.idle() && self.retired_since == 0 {
            return Some(Reason::Crowd);
        }
        self.look(cx)
    }

    /// Sees to it that somebody looks within so long.
    fn wake_within(&mut self, limit: Duration) {
        let due = Instant::now() + limit;
        if due < self.due {
            self.due = due;
            self.timer.as_mut().reset(due);
        }
    }

    /// Looks whether a limit is passed, when it may be.
    fn look(&mut self, cx: &mut Context<'_>) -> Option<Reason> {
        while self.timer.as_mut().poll(cx).is_ready() {
            let (passed, next) = self.passed();
            if passed.is_some() {
                return passed;
            }
            self.due = Instant::now() + next.max(Duration::from_millis(1));
            self.timer.as_mut().reset(self.due);
        }
        None
    }

    /// The limit that is passed; if none is, how long it takes for one to be.
    fn passed(&mut self) -> (Option<Reason>, Duration) {
        let limits = self.limits().clone();
        let now = clock::now();
        let left = |since: u64, limit: Duration| {
            limit.saturating_sub(Duration::from_nanos(now.saturating_sub(since)))
        };
        // Nothing begins meanwhile that would be due earlier, unless its beginning wakes somebody.
        let mut next = limits.idle.min(limits.write);
        if self.stalled_since != 0 {
            let rest = left(self.stalled_since, limits.write);
            if rest.is_zero() && self.taken < SLOWEST * limits.write.as_secs().max(1) {
                return (Some(Reason::Write), rest);
            }
            if rest.is_zero() {
                (self.stalled_since, self.taken) = (now, 0);
            }
            next = next.min(rest);
        }
        if let Some(since) = self.standing.untaken_since() {
            let rest = left(since, limits.write);
            if rest.is_zero() {
                return (Some(Reason::Write), rest);
            }
            next = next.min(rest);
        }
        if self.head_since != 0 && self.standing.idle() {
            let rest = left(self.head_since, limits.head);
            return (rest.is_zero().then_some(Reason::Head), next.min(rest));
        }
        if self.standing.idle() {
            if self.retired_since != 0 {
                let rest = left(self.retired_since, GOODBYE);
                return (rest.is_zero().then_some(Reason::Idle), next.min(rest));
            }
            let rest = left(self.standing.idle_since(), limits.idle);
            return (rest.is_zero().then_some(Reason::Idle), next.min(rest));
        }
        (None, next)
    }
}

impl Guard {
    /// Ends the connection for a reason; answers what reading it answers.
    fn end(
        &mut self,
        io: &mut (impl AsyncWrite + Unpin),
        reason: Reason,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        // Of the crowd those were counted who were asked, and of the retired all were.
        let counted = reason == Reason::Crowd || self.retired_since != 0;
        if !counted {
            self.crowd.tally.count(reason);
        }
        let orderly = matches!(reason, Reason::Idle | Reason::Crowd) && self.http2;
        if orderly && self.seen > 0 && self.retired_since == 0 {
            self.retired_since = clock::now();
            self.retire.store(true, Relaxed);
            self.due = Instant::now() + GOODBYE;
            self.timer.as_mut().reset(self.due);
            // The task that serves the connection is this one: it says goodbye next.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.over = Some(reason);
        if reason == Reason::Head {
            let error = format!(
                "the request's head did not come within the limit of {:?}",
                self.limits().head
            );
            let reply = reply("408 Request Timeout", &error);
            // Whoever does not read it does without.
            let _ = Pin::new(io).poll_write(cx, &reply);
        }
        self.closed()
    }

    /// What reading a connection answers that is over here.
    fn closed(&self) -> Poll<io::Result<()>> {
        match self.over {
            Some(Reason::Write) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            _ => Poll::Ready(Ok(())),
        }
    }

    /// Sends what is ours before anything else.
    fn send_own(
        &mut self,
        io: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.gone < self.own.len() {
            let sent = ready!(Pin::new(&mut *io).poll_write(cx, &self.own[self.gone..]))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.gone += sent;
        }
        Poll::Ready(Ok(()))
    }

    /// Takes a refusal of hyper's own for itself, and has it sent with a body.
    fn takes(&mut self, bytes: &[u8]) -> bool {
        let replied = self.standing.replied();
        let handlers = std::mem::replace(&mut self.replied, replied) != replied;
        if handlers || self.http2 || !self.own.is_empty() || !self.standing.idle() {
            return false;
        }
        let Some(own) = refusal(bytes) else { return false };
        self.own = own;
        true
    }

    /// Keeps account of what the peer takes.
    fn wrote(
        &mut self,
        offered: usize,
        result: Poll<io::Result<usize>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match &result {
            Poll::Ready(Ok(taken)) if *taken == offered => self.stalled_since = 0,
            Poll::Ready(Ok(taken)) => self.taken += *taken as u64,
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                if self.stalled_since == 0 {
                    (self.stalled_since, self.taken) = (clock::now(), 0);
                    self.wake_within(self.limits().write);
                }
                if !self.upgraded.load(Relaxed)
                    && let Some(reason) = self.look(cx)
                {
                    self.crowd.tally.count(reason);
                    self.over = Some(reason);
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
            }
        }
        result
    }
}

/// A whole reply of HTTP/1.1 after which the connection ends.
fn reply(status: &str, error: &str) -> Vec<u8> {
    let body = serde_json::json!({ "error": error }).to_string();
    format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// The same refusal with a body, if this is one without: the statuses are those that hyper refuses with.
fn refusal(bytes: &[u8]) -> Option<Vec<u8>> {
    let empty = b"content-length: 0\r\n";
    if bytes.len() > LONGEST_REFUSAL || !bytes.windows(empty.len()).any(|part| part == empty) {
        return None;
    }
    let status = bytes.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
    let too_long = format!(
        "the request's head is longer than {LONGEST_HEAD} bytes or has more than {MOST_FIELDS} fields"
    );
    let (status, error) = match status {
        b"400" => ("400 Bad Request", "the request is not HTTP/1.1 as RFC 9112 has it".to_owned()),
        b"414" => ("414 URI Too Long", "the request's path and query are too long".to_owned()),
        b"431" => ("431 Request Header Fields Too Large", too_long),
        _ => return None,
    };
    Some(reply(status, &error))
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Wrapper<IO> for Guard {
    fn poll_read(
        &mut self,
        io: &mut IO,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.over.is_some() {
            return self.closed();
        }
        let before = buf.filled().len();
        let result = Pin::new(&mut *io).poll_read(cx, buf);
        if result.is_ready() {
            self.read(&buf.filled()[before..]);
            return result;
        }
        match self.waits(cx) {
            None => Poll::Pending,
            Some(reason) => self.end(io, reason, cx),
        }
    }

    fn poll_write(
        &mut self,
        io: &mut IO,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.send_own(io, cx))?;
        let offered = bufs.iter().map(|buf| buf.len()).sum();
        if bufs.first().is_some_and(|first| self.takes(first)) {
            return Poll::Ready(Ok(offered));
        }
        let result = wrapped::write(io, cx, bufs);
        self.wrote(offered, result, cx)
    }

    fn poll_settle(&mut self, io: &mut IO, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.send_own(io, cx)
    }
}
