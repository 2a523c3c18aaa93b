//! Whether a connection of HTTP/2 is alive: while calls are under way on it and nothing is heard, its peer is asked by
//! a PING. When to ask is not known here ([`crate::silence`] does), only how often a peer may be asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use h2::{Ping, PingPong};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

/// How long a PING may be unanswered before the calls on a connection are given up. A peer may stand still for a
/// while, and by HTTP/1.1 nobody would give up a call for it.
pub(crate) const PING_LIMIT: Duration = Duration::from_secs(60);
/// A peer from which nothing comes but answers to PINGs is asked three times, so far apart, and then no more than once
/// in five minutes: servers of gRPC take a fourth PING for a flood and end the connection with all calls on it.
const APART: [Duration; 3] =
    [Duration::from_secs(1), Duration::from_secs(10), Duration::from_secs(300)];

/// What is known of a connection while it is open.
#[derive(Debug, Default)]
pub(crate) struct Signs {
    /// How often something was read.
    pub(crate) reads: AtomicU64,
    /// Its peer has been silent for long enough that new calls go elsewhere.
    pub(crate) silent: AtomicBool,
    /// It takes no new calls any more.
    pub(crate) over: AtomicBool,
    /// It was closed, since a PING was not answered.
    pub(crate) unheard: AtomicBool,
    calls: AtomicUsize,
    asking: AtomicBool,
    ask: Notify,
}

impl Signs {
    /// Whether somebody waits for an answer to a call.
    pub(crate) fn has_calls(&self) -> bool {
        self.calls.load(Relaxed) > 0
    }

    /// Nothing was heard for a while. Answers whether its peer was asked before and has not answered.
    pub(crate) fn ask(&self) -> bool {
        let asked = self.asking.load(Relaxed);
        if !asked {
            self.ask.notify_one();
        }
        asked
    }
}

/// A call that is under way, until it is dropped.
#[derive(Debug)]
pub(crate) struct OpenCall(Arc<Signs>);

impl OpenCall {
    pub(crate) fn begin(signs: &Arc<Signs>) -> OpenCall {
        signs.calls.fetch_add(1, Relaxed);
        OpenCall(Arc::clone(signs))
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Relaxed);
    }
}

/// Sends a PING whenever one is asked for and the peer may be asked; ends when there was no answer within the limit,
/// or the connection is closed.
pub(crate) async fn watch(signs: &Signs, pings: Option<PingPong>, limit: Duration) {
    // h2 gives it to whoever asks first.
    let Some(mut pings) = pings else { return std::future::pending().await };
    // PINGs in turn since which nothing else came, when the last was sent, and what had been read when it was answered.
    let (mut in_turn, mut sent, mut answered) = (0, Instant::now(), u64::MAX);
    loop {
        signs.ask.notified().await;
        if signs.reads.load(Relaxed) != answered {
            in_turn = 0;
        }
        if in_turn > 0 && sent.elapsed() < APART[(in_turn - 1).min(APART.len() - 1)] {
            continue;
        }
        in_turn += 1;
        sent = Instant::now();
        signs.asking.store(true, Relaxed);
        if !matches!(timeout(limit, pings.ping(Ping::opaque())).await, Ok(Ok(_))) {
            return;
        }
        signs.asking.store(false, Relaxed);
        answered = signs.reads.load(Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connection's PINGs, and its other end, which nobody moves until it is asked to.
    async fn pinged() -> (PingPong, tokio::io::DuplexStream) {
        let (near, far) = tokio::io::duplex(64 << 10);
        let (sender, mut client) = h2::client::handshake(near).await.unwrap();
        let pings = client.ping_pong().unwrap();
        tokio::spawn(async move {
            let _kept = sender;
            client.await
        });
        (pings, far)
    }

    #[tokio::test]
    async fn who_answers_no_ping_is_given_up_and_nobody_is_asked_unasked() {
        let (pings, _far) = pinged().await;
        let signs = Arc::<Signs>::default();
        let limit = Duration::from_millis(50);
        let watched = Arc::clone(&signs);
        let watching = tokio::spawn(async move { watch(&watched, Some(pings), limit).await });
        tokio::time::sleep(limit * 2).await;
        assert!(!watching.is_finished(), "nobody asked");
        assert!(!signs.ask(), "it was not asked before");
        watching.await.unwrap();
        assert!(signs.ask(), "it was asked, and has not answered");
    }

    #[tokio::test]
    async fn who_says_nothing_but_that_it_is_there_is_not_asked_so_often_as_to_be_a_flood() {
        let (pings, far) = pinged().await;
        let mut server = h2::server::handshake(far).await.unwrap();
        tokio::spawn(async move { while server.accept().await.is_some() {} });
        let signs = Arc::<Signs>::default();
        let asked = Arc::clone(&signs);
        let asking = tokio::spawn(async move {
            let (began, mut pings, mut out) = (Instant::now(), 0, false);
            while began.elapsed() < APART[0] {
                // As often as it is polled: an answer takes more than one turn.
                let asks = asked.ask();
                pings += u32::from(asks && !std::mem::replace(&mut out, asks));
                out = asks;
                tokio::task::yield_now().await;
            }
            let in_a_second = pings;
            asked.reads.fetch_add(1, Relaxed);
            while !asked.ask() {
                tokio::task::yield_now().await;
            }
            in_a_second
        });
        let watching = watch(&signs, Some(pings), Duration::from_secs(60));
        let pings = tokio::select! {
            pings = asking => pings.unwrap(),
            () = watching => panic!("it was given up"),
        };
        assert!((1..=2).contains(&pings), "{pings} PINGs in a second");
    }
}
