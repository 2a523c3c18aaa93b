//! The call that the current task is working on, and the delays to inject into it.
//!
//! Codecs and JSON helpers find their record here, so that a service's own code never passes one.

use std::sync::Arc;
use std::time::Duration;

use ledger::{Point, Stage, clock};

use crate::record::{Direction, Record};

tokio::task_local! {
    static CURRENT: Slot;
}

/// The last part of an injected wait is spent awake: the runtime's timer is no finer than a
/// millisecond, and a machine that has just been idle is slow in the stages that follow.
const AWAKE: Duration = Duration::from_millis(2);

/// Delays to inject, by stage: ground truth for the ledger.
#[derive(Debug)]
pub(crate) struct Injector(Vec<(Stage, Duration)>);

/// Injects nothing.
static NONE: Injector = Injector(Vec::new());

impl Injector {
    /// An injector for as long as the process lives, as calls may: there are no more of them than a process has probes
    /// that are asked for delays.
    pub(crate) fn of(delays: Vec<(Stage, Duration)>) -> &'static Injector {
        if delays.is_empty() { &NONE } else { Box::leak(Box::new(Injector(delays))) }
    }

    fn delay(&self, stage: Stage) -> Option<Duration> {
        self.0.iter().find(|(other, _)| *other == stage).map(|(_, delay)| *delay)
    }
}

/// A record with what is to be done to it.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    pub(crate) record: Arc<Record>,
    injector: &'static Injector,
    /// Whether the current task is the one that the call is answered by: its codecs mark the record.
    marks: bool,
}

impl Slot {
    pub(crate) fn new(record: Arc<Record>, injector: &'static Injector) -> Self {
        Slot { record, injector, marks: true }
    }

    /// The slot of the call that the current task is in, if any, for work that goes on elsewhere or later.
    pub(crate) fn current() -> Option<Slot> {
        Slot::with(|slot| slot.cloned())
    }

    /// Does `work` with the slot of the call that the current task is in, if there is one.
    pub(crate) fn with<R>(work: impl FnOnce(Option<&Slot>) -> R) -> R {
        if CURRENT.try_with(|slot| slot.marks).unwrap_or(false) {
            CURRENT.with(|slot| work(Some(slot)))
        } else {
            work(None)
        }
    }

    /// The slot that calls of the current task are made below, if any.
    pub(crate) fn above() -> Option<Slot> {
        CURRENT.try_with(Slot::clone).ok()
    }

    /// The same for work that sets no marks of the call.
    pub(crate) fn detached(self) -> Slot {
        Slot { marks: false, ..self }
    }

    /// Runs `work` with this slot as the current one.
    pub(crate) async fn scope<F: Future>(self, work: F) -> F::Output {
        CURRENT.scope(self, work).await
    }

    /// Delays a stage of waiting or of the service's own work.
    pub(crate) async fn delay(&self, stage: Stage) {
        if let Some(delay) = self.injector.delay(stage) {
            let before = clock::now();
            tokio::time::sleep(delay.saturating_sub(AWAKE)).await;
            let mut took = 0;
            while u128::from(took) < delay.as_nanos() {
                tokio::task::yield_now().await;
                took = clock::now() - before;
            }
            self.record.injected(stage, took);
        }
    }

    /// Delays a stage of computing: the CPU is kept, as real work would keep it. (Sleeping would let
    /// caches go cold and slow the stages that follow.)
    fn delay_here(&self, stage: Stage) {
        if let Some(delay) = self.injector.delay(stage) {
            let before = clock::now();
            let mut took = 0;
            while u128::from(took) < delay.as_nanos() {
                std::hint::spin_loop();
                took = clock::now() - before;
            }
            self.record.injected(stage, took);
        }
    }

    /// Times the encoding of the outbound message. `encode` answers the message's encoded length
    /// and the payload inside, in bytes.
    pub(crate) fn encode<T, E>(
        &self,
        encode: impl FnOnce() -> Result<(T, u64, u64), E>,
    ) -> Result<T, E> {
        let stage = self.by_side(Stage::RequestEncode, Stage::ReplyEncode);
        self.record.mark(Point::EncodeStart);
        let result = encode();
        self.delay_here(stage);
        self.record.mark(Point::EncodeEnd);
        let (encoded, bytes, payload) = result?;
        self.record.message(Direction::Outbound, bytes, payload);
        Ok(encoded)
    }

    /// Times the decoding of the inbound message. `decode` answers the message and its encoded
    /// length; `payload` reads off the message how many of these bytes are the application's.
    pub(crate) fn decode<T, E>(
        &self,
        decode: impl FnOnce() -> Result<(T, u64), E>,
        payload: impl FnOnce(&T) -> u64,
    ) -> Result<T, E> {
        let stage = self.by_side(Stage::ReplyDecode, Stage::RequestDecode);
        self.record.mark(Point::DecodeStart);
        let result = decode();
        self.delay_here(stage);
        self.record.mark(Point::DecodeEnd);
        let (decoded, bytes) = result?;
        self.record.message(Direction::Inbound, bytes, payload(&decoded));
        Ok(decoded)
    }

    fn by_side(&self, client: Stage, server: Stage) -> Stage {
        match self.record.side() {
            ledger::Side::Client => client,
            ledger::Side::Server | ledger::Side::Wire => server,
        }
    }
}

/// Marks the beginning and end of a service's own code for the current request.
///
/// The one line a service author writes: `probe::handler(async { … }).await`.
pub async fn handler<F: Future>(work: F) -> F::Output {
    let Some(slot) = Slot::current() else {
        return work.await;
    };
    slot.delay(Stage::Dispatch).await;
    slot.record.mark(Point::HandlerStart);
    slot.delay(Stage::Handler).await;
    let output = work.await;
    slot.record.mark(Point::HandlerEnd);
    slot.delay(Stage::ReplySendQueue).await;
    output
}
