//! Every rule of judging: its code, its limits, what it is about. `docs/reference.md` lists the limits,
//! `docs/troubleshooting.md` what to do, and tests hold both pages to this table.

use lab_model::Question;

use super::{Reason, Status};

/// A rule of judging.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rule {
    /// The code that reasons carry.
    pub code: &'static str,
    /// Which question about a cell it helps to answer, if any.
    pub question: Option<Question>,
    /// Where it applies.
    pub bound: Bound,
    /// What the number is.
    pub value: &'static str,
    /// Why it matters and what to do.
    pub meaning: &'static str,
}

/// When a rule speaks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    /// When the number is greater than a limit.
    Above(Limits),
    /// When the number is less than a limit.
    Below(Limits),
    /// When the number is not exactly what the cell declares.
    Declared(Status),
    /// When nothing that was here could tell the number: the cell is at best this. VALID: a note, for the question may be
    /// left open.
    Untold(Status),
}

/// The limits of a rule; a rule without one never speaks that badly.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Past this a note is made.
    pub note: Option<f64>,
    /// Past this the cell is SUSPECT.
    pub suspect: Option<f64>,
    /// Past this the cell is INVALID.
    pub invalid: Option<f64>,
}

const fn note(limit: f64) -> Limits {
    Limits { note: Some(limit), suspect: None, invalid: None }
}

const fn suspect(limit: f64) -> Limits {
    Limits { note: None, suspect: Some(limit), invalid: None }
}

const fn invalid(limit: f64) -> Limits {
    Limits { note: None, suspect: None, invalid: Some(limit) }
}

const fn both(suspect: f64, invalid: f64) -> Limits {
    Limits { note: None, suspect: Some(suspect), invalid: Some(invalid) }
}

impl Rule {
    /// The reason, if `value` is past a limit of this rule; `text` is given that limit.
    pub fn check(&self, value: f64, text: impl FnOnce(f64) -> String) -> Option<Reason> {
        let (limits, past): (_, fn(f64, f64) -> bool) = match self.bound {
            Bound::Above(limits) => (limits, |value, limit| value > limit),
            Bound::Below(limits) => (limits, |value, limit| value < limit),
            Bound::Declared(_) | Bound::Untold(_) => return None,
        };
        let grades = [
            (Status::Invalid, limits.invalid),
            (Status::Suspect, limits.suspect),
            (Status::Valid, limits.note),
        ];
        grades
            .into_iter()
            .filter_map(|(status, limit)| Some((status, limit?)))
            .find(|&(_, limit)| past(value, limit))
            .map(|(status, limit)| self.reason(status, value, limit, text(limit)))
    }

    /// The reason, if `value` is not what was declared.
    pub fn declared(&self, value: f64, declared: f64, text: String) -> Option<Reason> {
        match self.bound {
            Bound::Declared(status) if value != declared => {
                Some(self.reason(status, value, declared, text))
            }
            _ => None,
        }
    }

    /// The reason for a rule whose number nothing here could tell.
    pub fn untold(&self, text: String) -> Option<Reason> {
        match self.bound {
            Bound::Untold(status) => Some(self.reason(status, 0.0, 0.0, text)),
            _ => None,
        }
    }

    /// The rule with this code.
    #[must_use]
    pub fn coded(code: &str) -> Option<&'static Rule> {
        ALL.iter().find(|rule| rule.code == code)
    }

    /// The reason for a rule that is about something being there at all.
    pub fn always(&self, text: String) -> Option<Reason> {
        self.check(1.0, |_| text)
    }

    fn reason(&self, status: Status, value: f64, limit: f64, text: String) -> Reason {
        Reason { code: self.code.to_owned(), status, text, value, limit }
    }

    /// The rule's limits, as a row of the table in `docs/reference.md`.
    #[must_use]
    pub fn row(&self) -> String {
        let only = |bad: Status, word: &str| {
            Status::ALL.map(|status| if status == bad { word } else { "" }.to_owned())
        };
        let [noted, unchecked, suspect, invalid] = match self.bound {
            Bound::Above(limits) => limits.columns(">"),
            Bound::Below(limits) => limits.columns("<"),
            Bound::Declared(status) => only(status, "not as declared"),
            Bound::Untold(status) => only(status, "unknown"),
        };
        let Rule { code, question, .. } = self;
        let asked = question.map_or("", Question::name);
        format!("| `{code}` | {asked} | {noted} | {unchecked} | {suspect} | {invalid} |")
    }
}

impl Limits {
    /// In the order of [`Status::ALL`].
    fn columns(&self, sign: &str) -> [String; 4] {
        [self.note, None, self.suspect, self.invalid]
            .map(|limit| limit.map(|limit| format!("{sign} {limit}")).unwrap_or_default())
    }
}

macro_rules! rules {
    ($($name:ident = $code:literal, $question:expr, $bound:expr, $value:literal, $meaning:literal;)*) => {
        $(#[doc = $meaning] pub const $name: Rule =
            Rule {
                code: $code,
                question: $question,
                bound: $bound,
                value: $value,
                meaning: $meaning,
            };)*
        /// Every rule.
        pub const ALL: &[Rule] = &[$($name,)*];
    };
}

use Bound::{Above, Below, Declared, Untold};
use Question::{Latency, Marks, Requests, Undisturbed, Workload};

rules! {
    PAYLOAD_BYTES = "payload_bytes", Some(Workload), Declared(Status::Invalid),
        "payload bytes of a message, of every traced request",
        "A hop carried another payload than the cell declares: the number is about something else.";
    PAYLOAD_RELAYED = "payload_relayed", Some(Workload), Declared(Status::Invalid),
        "body bytes of a message as a relay counted them, of every traced request whose ends have no taps; over the payload they may be the declared envelope, 1,024 B where none is",
        "A hop carried another payload than the cell declares: the number is about something else.";
    PAYLOAD_CLAIMED = "payload_claimed", Some(Workload), Declared(Status::Invalid),
        "body bytes of a message as its spans claim them, of every traced request that nobody counted; over the payload they may be the declared envelope, 1,024 B where none is",
        "A hop carried another payload than the cell declares, by its own services' word: the number is about something else.";
    PAYLOAD_UNPROVED = "payload_unproved", Some(Workload), Above(suspect(0.0)),
        "requests of an edge or inner hop that neither tap nor relay saw and of which no span claims sizes, over all",
        "Nothing counted what these requests put on the wire, so the workload is not proved.";
    PAYLOAD_UNTOLD = "payload_untold", Some(Workload), Untold(Status::Unchecked),
        "bytes of an edge or inner hop on whose connections neither tap nor relay looked at all, and that are not claimed of every request",
        "What was declared may have been sent, and nothing here can tell. A relay or a service with taps can.";
    PROTOCOL_ON_THE_WIRE = "protocol_on_the_wire", Some(Workload), Declared(Status::Invalid),
        "HTTP version of the inner hop (11 for rest, 20 for grpc)",
        "Another protocol was spoken than the cell declares.";
    ENDS_DISAGREE = "ends_disagree", Some(Workload), Above(invalid(0.0)),
        "requests whose two ends counted different body bytes",
        "Something between the taps changed the messages, or a tap miscounts.";
    CONNECTIONS_POOLED = "connections_pooled", Some(Workload), Above(suspect(1.0)),
        "connections of the inner hop in one round, over the requests in flight at most",
        "A pool needs no more connections than requests in flight: connections are being thrown away.";
    CONNECTION_PER_REQUEST = "connection_per_request", Some(Workload), Below(invalid(1.0)),
        "connections of the inner hop (those of each round added up) over its traced requests, where each was to have its own",
        "Connections were reused where the cell declares that they are not.";
    RETRIED = "retried", Some(Workload), Above(Limits { note: Some(0.0), suspect: Some(0.01), invalid: None }),
        "requests put on a connection more than once, over all traced",
        "Failed attempts are booked under send queue; look at the services' logs.";
    CONSERVATION = "conservation", Some(Requests), Above(invalid(0.0)),
        "requests that the accounting cannot place",
        "planned = started + dropped, started = ok + error + unfinished, one latency for each ok.";
    PLAN_NOT_CARRIED_OUT = "plan_not_carried_out", Some(Workload), Above(suspect(0.01)),
        "planned arrivals against rate × duration × rounds, difference over the latter (one arrival a round is free)",
        "The load generator did not plan what the cell asks for.";
    RATE_NOT_KEPT = "rate_not_kept", Some(Undisturbed), Below(suspect(0.99)),
        "successful over planned requests, less those unfinished",
        "The offered rate was not served: latency is that of an overloaded system. Ask for less.";
    DROPPED = "dropped", Some(Undisturbed), Above(note(0.0)),
        "dropped over planned arrivals",
        "Arrivals for which no slot was free are in no latency, and they are the slowest. From 0.001 on no p99 is told.";
    FALLING_BEHIND = "falling_behind", Some(Undisturbed), Above(suspect(0.01)),
        "seconds of latency gained per second of load",
        "Requests come faster than they are served: a longer round would show a higher latency.";
    CLOSED_LOOP = "closed_loop", None, Above(note(0.0)),
        "users of a closed loop",
        "Each waits for an answer before asking again, so a slow system is asked less: what would have waited is in no number.";
    ARRIVALS_UNTOLD = "arrivals_untold", Some(Workload), Untold(Status::Valid),
        "when requests were to begin, of a script of the user's own",
        "Executors that wait for an answer ask a slow system less: what would have waited is in no number (coordinated omission).";
    SETTLING = "settling", Some(Undisturbed), Below(suspect(-0.01)),
        "seconds of latency gained per second of load",
        "Latency fell all through the round: it had not settled when the round began. Warm up longer.";
    NOT_STEADY = "not_steady", Some(Undisturbed), Above(suspect(0.1)),
        "the second half of a round, or of its turns, against its first: by how much of the mean latency it surely rose or fell (99.9 % interval over the rounds, four at least)",
        "The mean is that of a state that did not last. Warm up longer, or ask for less.";
    ERRORS = "errors", Some(Requests), Above(both(0.0, 0.01)),
        "errors over started requests",
        "Requests were not answered as the contract says; the latency is of the others.";
    NOTHING_COMPLETED = "nothing_completed", Some(Requests), Below(invalid(1.0)),
        "successful requests",
        "There is nothing to measure.";
    INTERRUPTED = "interrupted", Some(Requests), Above(suspect(0.0)),
        "requests in flight when the run was interrupted; for the run as a whole, 1",
        "The rounds were not carried out in full.";
    FEW_SAMPLES = "few_samples", None, Below(note(100.0)),
        "successful requests",
        "With fewer than 100 requests the p99 is the slowest of them. Measure longer.";
    GENERATOR_LATE = "generator_late", Some(Undisturbed), Above(suspect(0.5)),
        "p99 of planned start to start of the call, over the p99 of the latency",
        "Sends were late: the load generator had too much to do, or waited for a CPU. The lateness is part of the latency (driver_lag). A note where `rate_not_kept` tells of dropped arrivals, or where fewer than 100 requests succeeded.";
    LATENESS_UNTOLD = "lateness_untold", Some(Undisturbed), Untold(Status::Valid),
        "planned start to start of the call, of a load generator that does not tell it (k6)",
        "Whether requests were sent on time cannot be checked: a late one looks like a short one.";
    GENERATOR_CPU = "generator_cpu", Some(Undisturbed), Above(suspect(0.9)),
        "CPU of the load generator over what it can use: one core for the built-in driver, which has one thread; all there are for k6",
        "The load generator fills what it has: it may measure itself.";
    NOT_JOINED = "not_joined", Some(Requests), Above(suspect(0.0)),
        "requests of which k6's stream does not say everything, over all",
        "They were cut off when k6 stopped, or lines were lost: they count as errors, and their latency is not known.";
    HOST_SATURATED = "host_saturated", Some(Undisturbed), Above(suspect(0.95)),
        "CPU of the whole machine in the busiest round, as a share of all cores",
        "Load generator and services compete for the CPU. Ask for less, or use more cores.";
    PROCESS_ENDED = "process_ended", Some(Undisturbed), Above(suspect(0.0)),
        "processes of a system that the lab does not start that were sampled, and were gone before the last round of the cell had ended",
        "Requests that pass such a process fail from then on, and what it had yet to send of its spans is lost.";
    WAITING_FOR_CPU = "waiting_for_cpu", Some(Undisturbed), Above(Limits { note: Some(0.25), suspect: Some(0.5), invalid: None }),
        "time in the run queue over that and CPU time, of the process at an end of a hop that waited most",
        "Its threads were ready and did not get a CPU; that time is in its stages. A note where `rate_not_kept` tells of dropped arrivals.";
    NO_TRACES = "no_traces", Some(Requests), Below(invalid(1.0)),
        "traced requests that succeeded",
        "No request has a ledger: nothing proves what was sent or says where the time went.";
    TRACES_UNTOLD = "traces_untold", Some(Requests), Untold(Status::Unchecked),
        "traced requests of an operation of a user's own script, where there are none",
        "The script does not import `hoplab.js`, or asks by `batch`: its latency is what k6 says, and nothing tells where it went.";
    TRACES_LOST = "traces_lost", Some(Requests), Above(both(0.0, 0.01)),
        "traced requests that are not in the run file, over all sent",
        "Their spans were lost. The slow ones may be among them.";
    TRACES_UNEXPECTED = "traces_unexpected", Some(Requests), Above(invalid(0.0)),
        "traced requests in the run file that the load generator did not send",
        "The run file holds requests that are not the cell's.";
    UNJOINED_HOPS = "unjoined_hops", Some(Requests), Above(both(0.0, 0.01)),
        "traced requests with a hop or a side of a hop missing, over all",
        "One process's spans were lost: its time is booked under remote or network.";
    UNEXPLAINED = "unexplained", Some(Latency), Above(both(0.05, 0.5)),
        "requests of whose stopwatch time more than 2 % is in no stage, over all traced",
        "Of most requests: work outside of the marks, so the breakdown is not one of the latency. Of some: a process lost the CPU between stopwatch and mark, as on a busy machine. SUSPECT at worst of fewer than 100 requests.";
    RESIDUAL_P50 = "residual_p50", Some(Latency), Above(suspect(0.01)),
        "size of the residual over the stopwatch's time, in the p50 band",
        "The stages do not explain all of the latency.";
    RESIDUAL_P99 = "residual_p99", Some(Latency), Above(suspect(0.02)),
        "size of the residual over the stopwatch's time, in the p99 band",
        "The stages do not explain all of the slow requests. A note where the band has fewer than 100 requests: then one that lost the CPU between stopwatch and mark is enough.";
    NO_STOPWATCH = "no_stopwatch", Some(Latency), Above(suspect(0.0)),
        "requests that no independent stopwatch timed, over all traced",
        "Stages always add up to themselves: without a stopwatch nothing checks them.";
    CONTAINMENT = "containment", Some(Latency), Below(both(0.999, 0.99)),
        "requests whose edge call holds the first service's first read to its last write, over those where both read one clock",
        "The load generator's times cannot be: a service read a request before it was sent, or was still writing when it had ended. SUSPECT at worst of fewer than 100 requests.";
    OWN_WORDS = "own_words", Some(Latency), Above(both(0.001, 0.01)),
        "requests whose times by k6 lie outside of what its script says around them, over all that k6 told of (those that opened a connection aside)",
        "k6's times cannot be: they begin before the request was made, or end after it was over. SUSPECT at worst of fewer than 100 requests.";
    LATENCY_UNTOLD = "latency_untold", Some(Latency), Untold(Status::Unchecked),
        "the latency, where neither a stopwatch of its own nor containment checks it",
        "The stages add up to what the load generator says, and nothing here says that this is right.";
    MEASURED_SHARE = "measured_share", Some(Latency), Below(suspect(0.95)),
        "measured part of what the stages explain, with the built-in driver",
        "Too much is inferred from differences of durations.";
    OUT_OF_ORDER = "out_of_order", Some(Marks), Above(both(0.0, 0.01)),
        "requests with a stage of negative time, over all traced",
        "Marks were taken in the wrong order; the stages next to each other are wrong by as much.";
    EARLY_REPLIES = "early_replies", Some(Marks), Above(note(0.0)),
        "requests whose reply began before their last byte was written, over all traced",
        "Sending and receiving overlapped: stages of such a request are not one after the other.";
    NOT_CERTIFIED = "not_certified", Some(Marks), Untold(Status::Valid),
        "the commit that the lab was built from, where it is unknown or something was changed since",
        "The tests of a commit put delays into services, wire, windows and send buffers and find each in its place. Of another build they say nothing.";
    PROBES_OFF = "probes_off", Some(Workload), Untold(Status::Unchecked),
        "everything but the latency, where probes were off",
        "The cell is there to certify the probe.";
    SPANS_LOST = "spans_lost", Some(Requests), Above(suspect(0.0)),
        "spans lost by processes or dropped by the sidecar, the whole run",
        "Ledgers are missing or lack a side; the cells say which.";
    POINTS_MISSING = "points_missing", None, Above(note(0.0)),
        "points that InfluxDB did not have when the books were closed, the whole run",
        "Dashboards show less than happened; the run file and this result have everything. Spooled points wait beside the run file.";
    PROBE_COST = "probe_cost", None, Above(note(1.03)),
        "lower end of the interval of the probe's cost, on over off",
        "Measuring itself uses CPU that the services would have.";
}
