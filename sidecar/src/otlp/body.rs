//! Reading the body of an export: within its limit, within the budget, and not for ever.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};

use super::inflate::MAX_BYTES;
use super::refuse::{Cause, Refusal};
use crate::budget::Share;

/// How long a body may take to come. SDKs give up after 10 s.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long and how much of a refused body is read and thrown away, so that its sender, who reads no answer
/// before it has sent all, gets one.
const DRAIN: Duration = Duration::from_secs(30);
const DRAIN_BYTES: usize = 16 * MAX_BYTES;

/// The largest body, in bytes: a gRPC call has five around its message.
const MAX_BODY: usize = MAX_BYTES + 5;

/// The whole body. What is read of it is held by `share`, never more than what has come: a peer that promises
/// much and sends little holds little.
pub(super) async fn read(body: &mut Incoming, share: &mut Share) -> Result<Bytes, Refusal> {
    let read = tokio::time::timeout(PATIENCE, read_all(body, share)).await;
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

async fn read_all(body: &mut Incoming, share: &mut Share) -> Result<Bytes, Refusal> {
    if body.size_hint().lower() > MAX_BODY as u64 {
        return Err(too_large());
    }
    let Some(first) = next(body).await? else {
        return Ok(Bytes::new());
    };
    share.grow(first.len())?;
    if body.is_end_stream() {
        return Ok(first);
    }
    let mut whole = BytesMut::from(&*first);
    drop(first);
    while let Some(more) = next(body).await? {
        let length = whole.len() + more.len();
        if length > MAX_BODY {
            return Err(too_large());
        }
        if length > whole.capacity() {
            let larger = length.max(2 * whole.capacity()).min(MAX_BODY);
            share.grow(larger - whole.capacity())?;
            whole.reserve(larger - whole.len());
        }
        whole.extend_from_slice(&more);
    }
    Ok(whole.freeze())
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
