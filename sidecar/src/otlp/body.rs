//! Reading the body of an export: within its limit, within the budget, and not for ever.
//!
//! Few large bodies are read at once, each to its end: of many that were read together each would have a part of the
//! memory, and none would ever be whole. The others wait for their turn, and so do their senders, for nothing of them
//! is read meanwhile.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::decode::LARGE;
use super::inflate::MAX_BYTES;
use super::refuse::{Cause, Refusal};
use crate::budget::Share;
use crate::listen::WINDOW;

/// How long a large body waits for its turn, its sender for an answer. SDKs give up after 10 s.
const TURN: Duration = Duration::from_secs(5);
/// What the turn of a large body stands for of the memory, in bytes: itself, what it inflates to, and spans.
const OF_A_TURN: usize = 128 << 20;
/// How many large bodies are read and decoded at once, at most.
const MOST_TURNS: usize = 8;
/// How long a body may take to come. SDKs give up after 10 s.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long and how much of a refused body is read and thrown away, so that its sender, who reads no answer
/// before it has sent all, gets one.
const DRAIN: Duration = Duration::from_secs(30);
const DRAIN_BYTES: usize = 16 * MAX_BYTES;

/// The largest body, in bytes: a gRPC call has five around its message.
const MAX_BODY: usize = MAX_BYTES + 5;

/// Turns of large bodies, and of those that may inflate to such.
#[derive(Debug)]
pub(super) struct Turns(Semaphore);

/// The right to be read and decoded now.
pub(super) type Turn<'t> = SemaphorePermit<'t>;

impl Turns {
    /// As many as there is room for in a memory of `limit` bytes.
    pub(super) fn within(limit: usize) -> Turns {
        Turns(Semaphore::new((limit / OF_A_TURN).clamp(1, MOST_TURNS)))
    }

    /// The next turn: they are given in the order in which they are asked for.
    pub(super) async fn next(&self) -> Result<Turn<'_>, Refusal> {
        let turn = tokio::time::timeout(TURN, self.0.acquire()).await;
        // Never closed, so the only reason to have none is time.
        turn.ok().and_then(Result::ok).ok_or_else(|| {
            let detail = format!("other large exports took more than {TURN:?}");
            Refusal::new(Cause::Busy, detail)
        })
    }
}

/// The whole body, with the turn that it needed. What is read of it is held by `share`, never more than what has come:
/// a peer that promises much and sends little holds little.
pub(super) async fn read<'t>(
    body: &mut Incoming,
    share: &mut Share,
    turns: &'t Turns,
) -> Result<(Bytes, Option<Turn<'t>>), Refusal> {
    let read = tokio::time::timeout(PATIENCE, read_all(body, share, turns)).await;
    let read = read.unwrap_or_else(|_| {
        Err(Refusal::new(Cause::Slow, format!("its body did not come within {PATIENCE:?}")))
    });
    if read.is_err() {
        drain_for_a_while(body).await;
    }
    read
}

/// Reads what is left of a body that was refused.
pub(super) async fn drain_for_a_while(body: &mut Incoming) {
    let _ = tokio::time::timeout(DRAIN, drain(body)).await;
}

async fn read_all<'t>(
    body: &mut Incoming,
    share: &mut Share,
    turns: &'t Turns,
) -> Result<(Bytes, Option<Turn<'t>>), Refusal> {
    let promised = body.size_hint().lower();
    if promised > MAX_BODY as u64 {
        return Err(too_large());
    }
    let mut turn = if promised > LARGE as u64 { Some(turns.next().await?) } else { None };
    let Some(first) = next(body).await? else {
        return Ok((Bytes::new(), turn));
    };
    share.grow(first.len())?;
    // What comes of it before it is read.
    let mut unread = Share::default();
    share.grow(WINDOW as usize)?;
    share.give(&mut unread, WINDOW as usize);
    // One that comes at once is used as it is.
    let Some(mut more) = next(body).await? else {
        return Ok((first, turn));
    };
    let mut whole = BytesMut::from(&*first);
    drop(first);
    loop {
        let length = whole.len() + more.len();
        if length > MAX_BODY {
            return Err(too_large());
        }
        if length > LARGE && turn.is_none() {
            turn = Some(turns.next().await?);
        }
        if length > whole.capacity() {
            let larger = length.max(2 * whole.capacity()).min(MAX_BODY);
            share.grow(larger - whole.capacity())?;
            whole.reserve(larger - whole.len());
        }
        whole.extend_from_slice(&more);
        match next(body).await? {
            Some(next) => more = next,
            None => return Ok((whole.freeze(), turn)),
        }
    }
}

/// The next piece of the body that has bytes.
async fn next(body: &mut Incoming) -> Result<Option<Bytes>, Refusal> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Refusal::new(Cause::Broken, error.to_string()))?;
        if let Ok(data) = frame.into_data()
            && !data.is_empty()
        {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

async fn drain(body: &mut Incoming) {
    let mut drained = 0;
    while let Ok(Some(more)) = next(body).await {
        drained += more.len();
        if drained > DRAIN_BYTES {
            return;
        }
    }
}

fn too_large() -> Refusal {
    Refusal::new(Cause::TooLarge, format!("its body has more than {MAX_BYTES} bytes"))
}
