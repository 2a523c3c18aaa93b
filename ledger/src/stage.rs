//! The stages of a hop, the family each belongs to, and a set of stage times.

use std::fmt;

/// What kind of work or waiting a stage is.
///
/// Families follow the RPC literature: Seemakhupt et al., "A Cloud-Scale Characterization of
/// Remote Procedure Calls", SOSP 2023.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// What the load generator itself takes: sending late, its own encoding and decoding, waking up.
    Generator,
    /// Waiting for a turn: pools, stream limits, other streams, the scheduler.
    Queue,
    /// Turning messages into bytes and back.
    Serialization,
    /// Waiting for the peer to open a HTTP/2 window.
    FlowControl,
    /// Inside the kernel's send path, or waiting for room in it.
    Socket,
    /// Turning bytes into frames and back.
    Framing,
    /// Between the writing of the last byte and its reading by the peer.
    Network,
    /// Waiting for the rest of a message whose payload is there: its trailers, its terminator, END_STREAM.
    Delivery,
    /// Time of which nobody told anything: between a call and its answer where no tap looked. Network, queues,
    /// libraries and the scheduler in one, so it is called by none of their names.
    Unseen,
    /// The service's own code.
    Backend,
}

impl Family {
    /// Every family, in the order in which reports stack them.
    pub const ALL: [Family; 10] = [
        Family::Generator,
        Family::Queue,
        Family::Serialization,
        Family::Framing,
        Family::FlowControl,
        Family::Socket,
        Family::Network,
        Family::Delivery,
        Family::Unseen,
        Family::Backend,
    ];

    /// The name used in files, tags and fields.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Family::Generator => "generator",
            Family::Queue => "queue",
            Family::Serialization => "serialization",
            Family::FlowControl => "flow_control",
            Family::Socket => "socket",
            Family::Framing => "framing",
            Family::Network => "network",
            Family::Delivery => "delivery",
            Family::Unseen => "unseen",
            Family::Backend => "backend",
        }
    }

    /// The name for people, in reports and on boards.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Family::Generator => "load generator",
            Family::FlowControl => "flow control",
            Family::Network => "network and receive wait",
            Family::Queue
            | Family::Serialization
            | Family::Socket
            | Family::Framing
            | Family::Delivery
            | Family::Unseen
            | Family::Backend => self.name(),
        }
    }

    /// Whether only a tap on the connection can tell of it. Of a hop that no tap looked at it is unknown, which is
    /// not the same as none.
    #[must_use]
    pub const fn needs_a_tap(self) -> bool {
        matches!(
            self,
            Family::Framing
                | Family::FlowControl
                | Family::Socket
                | Family::Network
                | Family::Delivery
        )
    }

    /// The family called `name`, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Family> {
        Self::ALL.into_iter().find(|family| family.name() == name)
    }
}

macro_rules! stages {
    ($($stage:ident, $family:ident, $name:literal, $doc:literal;)*) => {
        /// The time between two neighbouring marks of a hop.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(usize)]
        pub enum Stage { $(#[doc = $doc] $stage,)* }

        impl Stage {
            /// Every stage, in the order in which a request passes them.
            pub const ALL: &'static [Stage] = &[$(Stage::$stage,)*];
            /// How many stages there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The family the stage is booked under on any hop but the edge.
            #[must_use]
            pub const fn family(self) -> Family {
                match self { $(Stage::$stage => Family::$family,)* }
            }

            /// The name used in files, tags and fields.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Stage::$stage => $name,)* }
            }

            /// One sentence that says what the stage is.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Stage::$stage => $doc,)* }
            }
        }
    };
}

stages! {
    DriverLag, Generator, "driver_lag", "Planned start to the start of the call: the load generator was late.";
    SendQueue, Queue, "send_queue", "Waiting to be sent: pool, connect, stream limit, other streams ahead, failed attempts.";
    RequestEncode, Serialization, "request_encode", "Turning the request into bytes.";
    RequestWindowWait, FlowControl, "request_window_wait", "A HTTP/2 window was exhausted while request bytes were pending.";
    RequestSocketWait, Socket, "request_socket_wait", "The send buffer was full while request bytes were pending.";
    RequestSocketWrite, Socket, "request_socket_write", "Inside the write calls that carried the request.";
    RequestFraming, Framing, "request_framing", "The connection turned the request into frames.";
    RequestWire, Network, "request_wire", "Entering the write of the last request byte to the server's read of it.";
    RequestRelay, Network, "request_relay", "A relay read the last request byte until it entered the write that passed it on: the distance that it stands for, and itself.";
    BeforeServerSpan, Unseen, "before_server_span", "A relay passed the last request byte on until a foreign server's span began: accept queue, thread start, interpreter lock. Placed by the wall clock.";
    RequestDeframing, Framing, "request_deframing", "Last request byte read to the connection's next I/O call (approximate).";
    RequestReceiverQueue, Queue, "request_receiver_queue", "The request was read and waited to be decoded.";
    RequestDecode, Serialization, "request_decode", "Turning bytes into the request.";
    RequestDelivery, Delivery, "request_delivery", "The request's last payload byte was read, and its end was still to come: END_STREAM or the terminator.";
    Dispatch, Queue, "dispatch", "Decoded to the start of the handler.";
    Handler, Backend, "handler", "The service's own code, less its calls to others where it waited for them.";
    QueryRoundTrip, Backend, "query_round_trip", "A query sent to a database until its last row was read: wire and server in one.";
    AfterServerSpan, Unseen, "after_server_span", "A foreign server's span ended until a relay read the last reply byte. Placed by the wall clock.";
    ReplyEncode, Serialization, "reply_encode", "Turning the reply into bytes.";
    ReplySendQueue, Queue, "reply_send_queue", "The reply waited to be sent: other streams ahead, the scheduler.";
    ReplyWindowWait, FlowControl, "reply_window_wait", "A HTTP/2 window was exhausted while reply bytes were pending.";
    ReplySocketWait, Socket, "reply_socket_wait", "The send buffer was full while reply bytes were pending.";
    ReplySocketWrite, Socket, "reply_socket_write", "Inside the write calls that carried the reply.";
    ReplyFraming, Framing, "reply_framing", "The connection turned the reply into frames.";
    ReplyWire, Network, "reply_wire", "Entering the write of the last reply byte to the client's read of it.";
    ReplyRelay, Network, "reply_relay", "A relay read the last reply byte until it entered the write that passed it on.";
    ReplyDeframing, Framing, "reply_deframing", "Last reply byte read to the connection's next I/O call (approximate).";
    ReplyReceiverQueue, Queue, "reply_receiver_queue", "The reply was read and waited to be decoded.";
    ReplyDecode, Serialization, "reply_decode", "Turning bytes into the reply.";
    ReplyDelivery, Delivery, "reply_delivery", "The reply's last payload byte was read, and its end was still to come: trailers, END_STREAM or the terminator.";
    WakeUp, Queue, "wake_up", "From the last event of the reply to the return of the call.";
    NetworkInferred, Network, "network_inferred", "Last byte written to last byte read, both ways, tapped at both ends by different clocks: as a difference of durations.";
    BetweenSpans, Unseen, "between_spans", "A client's span less its server's where no tap looked: network, queues, libraries and the scheduler in one.";
    AroundServerSpan, Unseen, "around_server_span", "From a relay to a foreign server and back, less the server's span, which cannot be placed in between.";
    Remote, Unseen, "remote", "A call to a peer that reported nothing of itself.";
}

impl Stage {
    /// The stages in which a service can inject a delay: those that its own code passes through.
    pub const INJECTABLE: [Stage; 10] = [
        Stage::SendQueue,
        Stage::RequestEncode,
        Stage::RequestDecode,
        Stage::Dispatch,
        Stage::Handler,
        Stage::QueryRoundTrip,
        Stage::ReplySendQueue,
        Stage::ReplyEncode,
        Stage::ReplyDecode,
        Stage::WakeUp,
    ];

    /// The family the stage is booked under on a hop at `depth`. At the edge, depth 0, the client is the load
    /// generator: what it does with messages of its own is none of the services'. Waiting for a connection, a stream
    /// or a window of the first service is not its own, and stays queue or flow control.
    #[must_use]
    pub const fn family_at(self, depth: u32) -> Family {
        match (self, depth) {
            (
                Stage::RequestEncode
                | Stage::ReplyReceiverQueue
                | Stage::ReplyDecode
                | Stage::WakeUp,
                0,
            ) => Family::Generator,
            _ => self.family(),
        }
    }

    /// The stage called `name`; `-` and spaces are taken for `_`.
    ///
    /// # Errors
    /// [`UnknownStage`] names the stages there are.
    pub fn from_name(name: &str) -> Result<Stage, UnknownStage> {
        let wanted = name.trim().replace(['-', ' '], "_");
        // The name that it had in results of schema 2.
        let wanted = if wanted == "end_of_stream_wait" { "reply_delivery" } else { &wanted };
        Self::ALL
            .iter()
            .copied()
            .find(|stage| stage.name() == wanted)
            .ok_or_else(|| UnknownStage(name.to_owned()))
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A stage name that does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownStage(pub String);

impl fmt::Display for UnknownStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known: Vec<_> = Stage::ALL.iter().map(|stage| stage.name()).collect();
        write!(f, "no stage is called {:?}; the stages are {}", self.0, known.join(", "))
    }
}

impl std::error::Error for UnknownStage {}

/// How a stage's time came to be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Kind {
    /// A mark was missing: the stage collapsed onto the one before.
    #[default]
    Absent,
    /// A difference of durations, not of marks on one clock.
    Inferred,
    /// A difference of two marks on one clock.
    Measured,
}

impl Kind {
    /// The name used in files and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Absent => "absent",
            Kind::Inferred => "inferred",
            Kind::Measured => "measured",
        }
    }

    /// The kind called `name`, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Kind> {
        [Kind::Absent, Kind::Inferred, Kind::Measured].into_iter().find(|kind| kind.name() == name)
    }
}

/// One stage's time, in nanoseconds. Negative where marks were out of order: never clamped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StageTime {
    /// Nanoseconds.
    pub ns: i64,
    /// How it came to be known.
    pub kind: Kind,
}

/// The time of every stage of one hop. Times and kinds lie apart: so a set takes little more than half as much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageSet {
    ns: [i64; Stage::COUNT],
    kinds: [Kind; Stage::COUNT],
}

impl Default for StageSet {
    fn default() -> Self {
        StageSet { ns: [0; Stage::COUNT], kinds: [Kind::Absent; Stage::COUNT] }
    }
}

impl StageSet {
    /// The time of `stage`.
    #[must_use]
    pub fn get(&self, stage: Stage) -> StageTime {
        StageTime { ns: self.ns[stage as usize], kind: self.kinds[stage as usize] }
    }

    /// Adds `ns` to `stage`. Of two kinds, the better known one stays.
    pub fn add(&mut self, stage: Stage, ns: i64, kind: Kind) {
        let (known, entry) = (&mut self.kinds[stage as usize], &mut self.ns[stage as usize]);
        *entry = entry.wrapping_add(ns);
        *known = kind.max(*known);
    }

    /// Every stage that is not absent.
    pub fn iter(&self) -> impl Iterator<Item = (Stage, StageTime)> + '_ {
        Stage::ALL
            .iter()
            .map(|&stage| (stage, self.get(stage)))
            .filter(|(_, time)| time.kind != Kind::Absent)
    }

    /// The sum of all stages, in nanoseconds.
    #[must_use]
    pub fn total(&self) -> i64 {
        sum(self.ns)
    }

    /// The sum of the stages of one kind, in nanoseconds.
    #[must_use]
    pub fn total_of(&self, kind: Kind) -> i64 {
        let all = self.kinds.iter().zip(self.ns);
        sum(all.filter(|(known, _)| **known == kind).map(|(_, ns)| ns))
    }

    /// The sum of the stages of one family, in nanoseconds.
    #[must_use]
    pub fn total_in(&self, family: Family) -> i64 {
        let all = Stage::ALL.iter().zip(self.ns);
        sum(all.filter(|(stage, _)| stage.family() == family).map(|(_, ns)| ns))
    }
}

/// As steps are: modulo 2^64.
fn sum(times: impl IntoIterator<Item = i64>) -> i64 {
    times.into_iter().fold(0, i64::wrapping_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_back_to_its_stage() {
        for &stage in Stage::ALL {
            assert_eq!(Stage::from_name(stage.name()), Ok(stage));
            assert_eq!(Stage::from_name(&stage.name().replace('_', "-")), Ok(stage));
        }
        for family in Family::ALL {
            assert_eq!(Family::from_name(family.name()), Some(family));
        }
    }

    #[test]
    fn what_the_load_generator_does_with_its_messages_is_its_own_at_the_edge_alone() {
        for stage in [Stage::RequestEncode, Stage::ReplyDecode, Stage::WakeUp] {
            assert_eq!(stage.family_at(0), Family::Generator, "{stage}");
            assert_eq!(stage.family_at(1), stage.family(), "{stage}");
        }
        // Of the services' side, and of waiting for them, nothing is the generator's.
        for stage in [Stage::SendQueue, Stage::RequestWindowWait, Stage::RequestDecode] {
            assert_eq!(stage.family_at(0), stage.family(), "{stage}");
        }
        assert_eq!(Stage::DriverLag.family_at(0), Family::Generator);
    }

    #[test]
    fn an_unknown_stage_is_answered_with_the_known_ones() {
        let error = Stage::from_name("encoding").unwrap_err().to_string();
        assert!(error.contains("\"encoding\"") && error.contains("request_encode"), "{error}");
    }
}
