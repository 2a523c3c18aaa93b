//! Whether a connection of HTTP/2 is alive: while calls are under way on it and nothing is heard, its peer is asked by
//! a PING.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::time::Duration;

use h2::{Ping, PingPong};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

/// How often somebody looks; twice in turn nothing heard, and a PING is sent. So it is on its way well before the peer
/// counts as silent ([`crate::silence`]).
const LOOK: Duration = Duration::from_millis(50);
const QUIET_LOOKS: u32 = 2;
/// Looks without a call, after which nobody looks until there is one.
const IDLE_LOOKS: u32 = 20;
/// How long a PING may be unanswered before the calls on a connection are given up. A peer may stand still for a
/// while, and by HTTP/1.1 nobody would give up a call for it.
pub(crate) const PING_LIMIT: Duration = Duration::from_secs(60);

/// What is known of a connection while it is open.
#[derive(Debug, Default)]
pub(crate) struct Signs {
    /// Something was read since somebody last looked.
    pub(crate) heard: AtomicBool,
    /// Its peer has been silent for long enough that new calls go elsewhere.
    pub(crate) silent: AtomicBool,
    /// It takes no new calls any more.
    pub(crate) over: AtomicBool,
    /// It was closed, since a PING was not answered.
    pub(crate) unheard: AtomicBool,
    calls: AtomicUsize,
    idle: AtomicBool,
    begun: Notify,
}

/// A call that is under way, until it is dropped.
#[derive(Debug)]
pub(crate) struct OpenCall(Arc<Signs>);

impl OpenCall {
    pub(crate) fn begin(signs: &Arc<Signs>) -> OpenCall {
        signs.calls.fetch_add(1, SeqCst);
        if signs.idle.load(SeqCst) && signs.idle.swap(false, SeqCst) {
            signs.begun.notify_one();
        }
        OpenCall(Arc::clone(signs))
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, SeqCst);
    }
}

/// Asks as often as it needs to; ends when there was no answer within the limit, or the connection is closed.
pub(crate) async fn watch(signs: &Signs, pings: Option<PingPong>, limit: Duration) {
    // h2 gives it to whoever asks first.
    let Some(mut pings) = pings else { return std::future::pending().await };
    let (mut quiet, mut without) = (0, 0);
    loop {
        sleep(LOOK).await;
        if signs.calls.load(SeqCst) > 0 {
            without = 0;
        } else {
            without += 1;
        }
        quiet = if signs.heard.swap(false, Relaxed) || without > 0 { 0 } else { quiet + 1 };
        if without >= IDLE_LOOKS {
            signs.idle.store(true, SeqCst);
            // A call may have begun just before.
            if signs.calls.load(SeqCst) == 0 {
                signs.begun.notified().await;
            }
            signs.idle.store(false, SeqCst);
            without = 0;
        }
        if quiet >= QUIET_LOOKS {
            quiet = 0;
            if !matches!(timeout(limit, pings.ping(Ping::opaque())).await, Ok(Ok(_))) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

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
    async fn who_answers_no_ping_is_given_up_and_only_while_calls_are_under_way() {
        let (pings, _far) = pinged().await;
        let signs = Arc::<Signs>::default();
        let watched = Arc::clone(&signs);
        let watching = tokio::spawn(async move { watch(&watched, Some(pings), LOOK).await });
        while !signs.idle.load(SeqCst) {
            assert!(!watching.is_finished(), "nobody waits for anything");
            sleep(LOOK).await;
        }
        let (call, began) = (OpenCall::begin(&signs), Instant::now());
        watching.await.unwrap();
        let took = began.elapsed();
        assert!(took >= LOOK * QUIET_LOOKS + LOOK, "given up after {took:?}");
        drop(call);
    }

    #[tokio::test]
    async fn who_answers_pings_keeps_its_calls() {
        let (pings, far) = pinged().await;
        let mut server = h2::server::handshake(far).await.unwrap();
        tokio::spawn(async move { while server.accept().await.is_some() {} });
        let signs = Arc::<Signs>::default();
        let _call = OpenCall::begin(&signs);
        // Three times as long as it takes to ask and to give up.
        let watching = watch(&signs, Some(pings), Duration::from_secs(10));
        assert!(timeout(LOOK * QUIET_LOOKS * 3, watching).await.is_err(), "it was given up");
    }
}
