//! What cost the time: stages that a reader thinks of as one thing, hop by hop, with a phrase for each.

use ledger::{Family, Stage};

use crate::result::{CellResult, StageResult};

/// Stages that a reader thinks of as one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// The load generator.
    Generator,
    /// Until the server's handler starts.
    Before,
    /// The reply, until the call returns.
    After,
    /// Until the server reads the request.
    WireIn,
    /// Until the client reads the reply.
    WireOut,
    /// A relay, and the distance that it stands for.
    Relay,
    /// From the last byte of a request until a foreign server's span begins.
    BeforeSpan,
    /// From the end of a foreign server's span until its reply has left.
    AfterSpan,
    /// Any other stage, by its family.
    Of(Family),
}

impl Cause {
    fn of(stage: Stage, depth: u32) -> Cause {
        match stage {
            stage if stage.family_at(depth) == Family::Generator => Cause::Generator,
            Stage::SendQueue | Stage::RequestReceiverQueue | Stage::Dispatch => Cause::Before,
            Stage::RequestWire => Cause::WireIn,
            Stage::ReplyWire => Cause::WireOut,
            Stage::RequestRelay | Stage::ReplyRelay => Cause::Relay,
            Stage::BeforeServerSpan => Cause::BeforeSpan,
            Stage::AfterServerSpan => Cause::AfterSpan,
            stage if stage.family() == Family::Queue => Cause::After,
            stage => Cause::Of(stage.family()),
        }
    }
}

/// What one cause cost on one hop.
pub(super) struct Part<'a> {
    /// What it is.
    pub(super) cause: Cause,
    /// `client→server`.
    pub(super) hop: &'a str,
    /// Over all traced requests.
    pub(super) mean_us: f64,
    /// Over the p99 band.
    pub(super) p99_us: f64,
    /// A relay looked at the hop, so that only the client's side is not seen.
    pub(super) relayed: bool,
    stages: Vec<&'a StageResult>,
}

/// What each cause cost on each hop of `cell`, in the order in which a request passes them.
pub(super) fn parts(cell: &CellResult) -> Vec<Part<'_>> {
    let mut parts: Vec<Part<'_>> = Vec::new();
    for result in &cell.stages {
        let Ok(stage) = Stage::from_name(&result.stage) else {
            continue;
        };
        let cause = Cause::of(stage, result.depth);
        let known = parts.iter().position(|part| part.cause == cause && part.hop == result.hop);
        let at = known.unwrap_or_else(|| {
            parts.push(Part {
                cause,
                hop: &result.hop,
                mean_us: 0.0,
                p99_us: 0.0,
                relayed: false,
                stages: Vec::new(),
            });
            parts.len() - 1
        });
        parts[at].mean_us += result.mean_us;
        parts[at].p99_us += result.p99_band_us;
        parts[at].stages.push(result);
    }
    let relays = |part: &Part<'_>| [Cause::Relay, Cause::BeforeSpan].contains(&part.cause);
    let relayed: Vec<&str> =
        parts.iter().filter(|part| relays(part)).map(|part| part.hop).collect();
    for part in &mut parts {
        part.relayed = relayed.contains(&part.hop);
    }
    parts
}

/// One of the times of a stage: over all requests or over a band.
pub(super) type Time = fn(&StageResult) -> f64;

impl Part<'_> {
    /// Client and server of the hop.
    pub(super) fn ends(&self) -> (&str, &str) {
        ends(self.hop)
    }

    /// Its largest stage.
    pub(super) fn mostly(&self) -> Option<&str> {
        let stages = self.stages.iter();
        let most = stages.max_by(|a, b| a.mean_us.total_cmp(&b.mean_us))?;
        Some(&most.stage)
    }

    /// The stages that make up most of the part, by name, largest first.
    fn named(&self, time: Time) -> String {
        let all: f64 = self.stages.iter().map(|stage| time(stage)).sum();
        let large = self.stages.iter().filter(|stage| time(stage) >= all * 0.1);
        let mut stages: Vec<_> = large.collect();
        stages.sort_by(|a, b| time(b).total_cmp(&time(a)));
        let names: Vec<_> = stages.iter().map(|stage| stage.stage.replace('_', " ")).collect();
        format!("{} of {}", names.join(", "), self.hop)
    }

    fn is(&self, stage: Stage) -> bool {
        self.stages.iter().any(|part| part.stage == stage.name())
    }

    /// The part as a phrase after "12 % is". `time` tells which of its stages are worth naming.
    pub(super) fn words(&self, time: Time) -> String {
        let (client, server) = self.ends();
        let hop = self.hop;
        match self.cause {
            Cause::Generator => format!("the load generator itself ({})", self.named(time)),
            Cause::Before => {
                format!("queueing before the {server}'s handler ({})", self.named(time))
            }
            Cause::After => format!("queueing of the reply ({})", self.named(time)),
            Cause::WireIn => format!("between writing a request and the {server} reading it"),
            Cause::WireOut => format!("between writing a reply and the {client} reading it"),
            Cause::BeforeSpan => format!(
                "waiting in the {server} before its span begins (until it accepts, has a thread, or its interpreter's lock)"
            ),
            Cause::AfterSpan => {
                format!("in the {server} after its span has ended, until its reply has left")
            }
            Cause::Of(Family::Unseen) if self.relayed => format!(
                "unseen, on the {client}'s side of {hop} (its libraries, its connection and the scheduler)"
            ),
            Cause::Relay => format!("the relay on {hop}, with the distance that it makes"),
            Cause::Of(Family::Backend) if self.is(Stage::QueryRoundTrip) => {
                format!("the query's round trip to {server}")
            }
            Cause::Of(Family::Unseen) if self.is(Stage::Remote) => {
                format!("the call to {server}, which reports nothing of itself")
            }
            Cause::Of(Family::Unseen) => format!(
                "unseen, between the two spans of {hop} (network, queues, libraries and the scheduler in one)"
            ),
            Cause::Of(Family::Backend) => format!("the {server}'s handler"),
            Cause::Of(Family::Serialization) => format!("encoding and decoding on {hop}"),
            Cause::Of(Family::FlowControl) => format!("waiting for HTTP/2 windows on {hop}"),
            Cause::Of(Family::Socket) => format!("writing to the sockets of {hop}"),
            Cause::Of(Family::Framing) => format!("framing on {hop}"),
            Cause::Of(Family::Network) => format!("the network of {hop}, inferred"),
            Cause::Of(Family::Delivery) => format!("waiting for the ends of messages on {hop}"),
            Cause::Of(Family::Queue) => format!("queueing on {hop}"),
            Cause::Of(Family::Generator) => format!("the load generator on {hop}"),
        }
    }
}

/// Client and server of the hop called `hop`.
pub(super) fn ends(hop: &str) -> (&str, &str) {
    hop.split_once('→').unwrap_or(("client", hop))
}
