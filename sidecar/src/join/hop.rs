//! What the spans of a hop and its books say of it, as a row.

use std::sync::Arc;

use ledger::{Half, HopLedger};

use crate::runfile::{Attempt, Claimed, HopRow};

/// The row of the hop of this name.
pub(super) fn hop_row(
    hop: Arc<str>,
    [client, server, relay]: [Option<&Half>; 3],
    books: &HopLedger,
    others: Vec<Attempt>,
    claimed: Claimed,
) -> HopRow {
    let tapped = |half: Option<&Half>| half.is_some_and(|half| half.http != 0);
    let (client_saw, server_saw) = (tapped(client), tapped(server));
    let http =
        [client, server, relay].into_iter().flatten().map(|half| half.http).find(|&v| v != 0);
    let counted = client.map_or(0, |half| half.attempts);
    let traffic = |half: Option<&Half>| half.map(|half| (half.outbound, half.inbound));
    let (outbound, inbound) = traffic(client).unwrap_or_default();
    let (answered, asked) = traffic(server).unwrap_or_default();
    let injected = [client, server].into_iter().flatten().flat_map(|half| &half.injected);
    let both = client_saw && server_saw;
    let wire_disagrees = both && (outbound.body != asked.body || inbound.body != answered.body);
    // What nobody counted is not known, which is not nothing.
    let (request, reply) = match (client_saw, server_saw) {
        (true, _) => (Some(outbound), Some(inbound)),
        (false, true) => (Some(asked), Some(answered)),
        // As it came from the client and went back to it: the relay's near face.
        (false, false) => (relay.map(|half| half.inbound), relay.map(|half| half.outbound)),
    };
    let tried = if others.is_empty() { 0 } else { others.len() as u64 + 1 };
    HopRow {
        hop,
        depth: u32::try_from(books.depth).unwrap_or(u32::MAX),
        unjoined: books.unjoined,
        at_ns: books.at_ns,
        stages: books.stages.clone(),
        concurrent_ns: books.concurrent_ns,
        detached_ns: books.detached_ns,
        clipped_ns: books.clipped_ns,
        by_relay: relay.is_some() && !client_saw && !server_saw,
        request,
        reply,
        claimed,
        wire_disagrees,
        connection: client
            .filter(|_| client_saw)
            .or(relay)
            .or(client)
            .map_or(0, |half| half.connection),
        http: http.unwrap_or(0),
        attempts: counted.max(tried),
        others,
        injected: injected.copied().collect(),
    }
}
