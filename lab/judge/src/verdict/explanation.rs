//! Where the time of a cell went, in words: a pure function from numbers to sentences.
//!
//! The words keep apart what the blog that started this lab confused: time spent *framing* and time
//! spent *waiting for a busy process*, which looks like anything but itself.

use std::fmt::Write as _;

use ledger::{Family, Stage};

use super::causes::{Cause, Part, parts};
use super::diagnosis;
use crate::result::units::{percent, time};
use crate::result::{CellResult, FamilyResult, ratio};

/// Where the time of `cell` went, and what that means.
#[must_use]
pub fn explain(cell: &CellResult) -> String {
    if cell.requests.ok == 0 {
        return "No request succeeded, so no time can be attributed.".to_owned();
    }
    if cell.traced.succeeded == 0 || cell.traced.mean_us <= 0.0 {
        return format!(
            "The mean latency is {}; no request was traced, so nothing says where it went.",
            time(cell.latency_us.mean)
        );
    }
    let mut parts = parts(cell);
    let slowest = slowest(cell, &parts);
    parts.sort_by(|a, b| b.mean_us.total_cmp(&a.mean_us));
    let large = parts.first().is_some_and(|first| first.mean_us >= cell.traced.mean_us * LARGE);
    let mut text = if large { largest(cell, &parts) } else { spread(cell) };
    let meaning = diagnosis::explain(cell, |family| told_share(cell, family))
        .or_else(|| if large { meaning(&parts) } else { waking(cell) });
    if let Some(sentence) = meaning {
        text.push(' ');
        text.push_str(&sentence);
    }
    text.extend(slowest);
    text.extend(database(cell));
    text
}

/// What the database says of its own part of the query's round trip.
fn database(cell: &CellResult) -> Option<String> {
    let database = cell.database?;
    Some(format!(
        " Of {} that a query's round trip takes, the database counts {} ({}) as its own.",
        time(database.round_trip_mean_us),
        time(database.server_mean_us),
        percent(database.server_share)
    ))
}

/// A part of at least this share of a latency is worth naming on its own.
const LARGE: f64 = 0.3;

/// Where the slowest requests differ from the mean: a large part of theirs that is not the mean's largest.
fn slowest(cell: &CellResult, parts: &[Part<'_>]) -> Option<String> {
    let first = parts.iter().max_by(|a, b| a.mean_us.total_cmp(&b.mean_us))?;
    let slow = parts.iter().max_by(|a, b| a.p99_us.total_cmp(&b.p99_us))?;
    let share = ratio(slow.p99_us, cell.traced.p99_band_us);
    ((slow.cause, slow.hop) != (first.cause, first.hop) && share >= LARGE).then(|| {
        format!(
            " The slowest requests ({}) differ: {} of theirs is {}.",
            time(cell.traced.p99_band_us),
            percent(share),
            slow.words(|stage| stage.p99_band_us)
        )
    })
}

/// The largest parts until most of the mean is named, then framing and flow control in any case.
fn largest(cell: &CellResult, parts: &[Part<'_>]) -> String {
    let total = cell.traced.mean_us;
    let mut named = 0.0;
    let mut phrases: Vec<String> = Vec::new();
    let mut told = Vec::new();
    for part in parts.iter().take(4) {
        let share = ratio(part.mean_us, total);
        if named >= 0.9 || share < 0.03 {
            break;
        }
        let of_mean = if phrases.is_empty() { " of the mean is" } else { "" };
        phrases.push(format!("{}{of_mean} {}", percent(share), part.words(|stage| stage.mean_us)));
        told.push(part.cause);
        named += share;
    }
    let also: Vec<_> = [(Family::Framing, "framing"), (Family::FlowControl, "flow control")]
        .into_iter()
        .filter(|(family, _)| !told.contains(&Cause::Of(*family)))
        .map(|(family, name)| format!("{name} is {}", told_share(cell, family)))
        .collect();
    let mut text = phrases.join(", ");
    if !also.is_empty() {
        let _ = write!(text, "; {}", also.join(" and "));
    }
    text.push('.');
    text
}

/// No part is large: the families, each with its largest stage.
fn spread(cell: &CellResult) -> String {
    let mut families: Vec<&FamilyResult> = cell.families.iter().collect();
    families.sort_by(|a, b| b.share.total_cmp(&a.share));
    let mut phrases: Vec<String> = Vec::new();
    for family in families.iter().take(3).filter(|family| family.share >= 0.05) {
        let of_mean = if phrases.is_empty() { " of the mean is" } else { "" };
        let stages = cell.stages.iter().filter(|stage| stage.family == family.family);
        let most = stages.max_by(|a, b| a.mean_us.total_cmp(&b.mean_us)).map_or_else(
            String::new,
            |stage| {
                let name = stage.stage.replace('_', " ");
                format!(" (above all {name} of {}, {})", stage.hop, percent(stage.share))
            },
        );
        phrases.push(format!(
            "{}{of_mean} {}{most}",
            percent(family.share),
            family_words(&family.family)
        ));
    }
    let told = |family: Family| {
        families.iter().take(3).any(|part| part.family == family.name() && part.share >= 0.05)
    };
    let mut text = phrases.join(", ");
    for (family, name) in [(Family::Framing, "framing"), (Family::FlowControl, "flow control")] {
        if !told(family) {
            let _ = write!(text, "; {name} is {}", told_share(cell, family));
        }
    }
    text.push('.');
    text
}

/// A family as a phrase.
pub(super) fn family_words(name: &str) -> &'static str {
    match Family::from_name(name) {
        Some(Family::Generator) => "the load generator itself",
        Some(Family::Queue) => "queueing",
        Some(Family::Serialization) => "encoding and decoding",
        Some(Family::Framing) => "framing",
        Some(Family::FlowControl) => "flow control",
        Some(Family::Socket) => "writing to sockets",
        Some(Family::Network) => "waiting for the other side to read",
        Some(Family::Delivery) => "waiting for the ends of messages",
        Some(Family::Unseen) => "unseen",
        Some(Family::Backend) | None => "the services' own code",
    }
}

/// A small request mostly waits for processes to be woken, four times.
fn waking(cell: &CellResult) -> Option<String> {
    // A relay holds messages back where nobody sleeps.
    let wires = cell.stages.iter().filter(|stage| {
        let relay = [Stage::RequestRelay, Stage::ReplyRelay];
        stage.family == Family::Network.name() && !relay.iter().any(|it| it.name() == stage.stage)
    });
    (wires.map(|stage| stage.share).sum::<f64>() >= LARGE).then(|| {
        "Within one machine that waiting is not a wire but a process being woken, once for each message: \
         no protocol changes it."
            .to_owned()
    })
}

fn share(cell: &CellResult, family: Family) -> f64 {
    cell.families.iter().find(|part| part.family == family.name()).map_or(0.0, |part| part.share)
}

/// A share in words. What no tap looked at is unknown, which is not 0 %; of framing a relay tells the bytes.
fn told_share(cell: &CellResult, family: Family) -> String {
    let stages = cell.stages.iter().any(|stage| stage.family == family.name());
    let bound =
        Some(family).filter(|family| *family == Family::Framing).and_then(|_| framing(cell));
    match bound {
        Some(bound) if stages => {
            format!("{}, and {}", percent(share(cell, family)), bound.words(cell))
        }
        Some(bound) => bound.words(cell),
        None => {
            let mut known = cell.families.iter().filter(|part| part.family == family.name());
            let known = known.next().is_none_or(|part| part.known);
            match known {
                true => percent(share(cell, family)),
                false => format!("{} (no tap looked)", diagnosis::UNKNOWN),
            }
        }
    }
}

/// What is known of framing where a relay alone counted bytes: a time inside a process that is not ours it is not.
struct Framing {
    /// Heads, frames and the like over all bytes.
    bytes: f64,
    /// What they can have taken at most, in microseconds.
    most_us: f64,
}

/// Framing on the hops of `cell` that a relay looked at and no tap. Were all the time of such a hop outside of its server's
/// span the moving of bytes, and each byte as slow as any other, framing would have its share of it: more it cannot be.
fn framing(cell: &CellResult) -> Option<Framing> {
    let (mut framing, mut all, mut most_us) = (0.0, 0.0, 0.0);
    for hop in cell.wire.iter().filter(|hop| hop.relayed.is_some()) {
        let own = hop.framing_bytes.unwrap_or(0.0) + hop.header_bytes.unwrap_or(0.0);
        let wire = hop.request_wire_bytes.unwrap_or(0.0) + hop.response_wire_bytes.unwrap_or(0.0);
        let outside = cell
            .stages
            .iter()
            .filter(|stage| stage.hop == hop.hop && stage.family != Family::Backend.name());
        (framing, all) = (framing + own, all + wire);
        most_us += ratio(own, wire) * outside.map(|stage| stage.mean_us.max(0.0)).sum::<f64>();
    }
    (all > 0.0).then(|| Framing { bytes: ratio(framing, all), most_us })
}

impl Framing {
    fn words(&self, cell: &CellResult) -> String {
        format!(
            "{} of the bytes that relays counted, at most {} of the mean",
            percent(self.bytes),
            percent(ratio(self.most_us, cell.traced.mean_us))
        )
    }
}

/// What it means that one part is the largest by far.
fn meaning(parts: &[Part<'_>]) -> Option<String> {
    let first = parts.first()?;
    let (client, server) = first.ends();
    let reader = if first.cause == Cause::WireIn { server } else { client };
    Some(match first.cause {
        Cause::Generator => {
            "That is the load generator's own time, not the services'.".to_owned()
        }
        Cause::Before if first.mostly() == Some(Stage::SendQueue.name()) => format!(
            "Requests wait in the {client} to be sent: its connections are taken, or it is busy."
        ),
        Cause::Before => format!("Requests wait for the {server}, which is busy with others."),
        Cause::After => {
            "Replies are ready and wait for a busy process or its connection.".to_owned()
        }
        Cause::WireIn | Cause::WireOut => format!(
            "A wire within one machine takes microseconds; the rest is the {reader} being woken, or \
             being busy."
        ),
        Cause::Of(Family::Backend) if first.mostly() == Some(Stage::QueryRoundTrip.name()) => {
            "The database is what costs, not the protocol.".to_owned()
        }
        // Beside others that take nearly as long it is not what costs.
        Cause::Of(Family::Backend)
            if parts.get(1).is_some_and(|next| first.mean_us < 2.0 * next.mean_us) =>
        {
            return None;
        }
        Cause::Of(Family::Backend) => {
            "The service's own code is what costs, not the protocol.".to_owned()
        }
        Cause::Of(Family::Serialization) => "Making and reading messages is what costs.".to_owned(),
        Cause::Of(Family::FlowControl) => {
            "The windows are smaller than what is in flight: raise stream and connection window."
                .to_owned()
        }
        Cause::Of(Family::Socket) => {
            "The kernel's send path is what costs: the bytes themselves.".to_owned()
        }
        Cause::BeforeSpan => format!(
            "The requests have arrived and wait for the {server}, which is busy with others: that is no network."
        ),
        Cause::AfterSpan => format!(
            "The {server} has the answer and is slow to send it: it is busy, or its client is slow to read."
        ),
        Cause::Of(Family::Unseen) if first.relayed => format!(
            "A relay looked at the connection: it is the {client}'s side that takes the time, and no network."
        ),
        Cause::Of(Family::Unseen) => {
            "Nobody looked between these spans: a relay or the lab's probe on the connection would tell.".to_owned()
        }
        Cause::Relay | Cause::Of(_) => return None,
    })
}
