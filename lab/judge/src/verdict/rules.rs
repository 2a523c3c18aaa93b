//! Every rule of judging: its code, its limits, what it is about. `docs/measuring.md` lists them, and
//! a test holds the page to this table.

use super::{Reason, Status};

/// A rule of judging.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rule {
    /// The code that reasons carry.
    pub code: &'static str,
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
            Bound::Declared(_) => return None,
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

    /// The reason for a rule that is about something being there at all.
    pub fn always(&self, text: String) -> Option<Reason> {
        self.check(1.0, |_| text)
    }

    fn reason(&self, status: Status, value: f64, limit: f64, text: String) -> Reason {
        Reason { code: self.code.to_owned(), status, text, value, limit }
    }

    /// The rule as a row of the table in `docs/measuring.md`.
    #[must_use]
    pub fn row(&self) -> String {
        let (noted, suspect, invalid) = match self.bound {
            Bound::Above(limits) => limits.columns(">"),
            Bound::Below(limits) => limits.columns("<"),
            Bound::Declared(status) => {
                let column =
                    |wanted| if status == wanted { "not as declared" } else { "" }.to_owned();
                (column(Status::Valid), column(Status::Suspect), column(Status::Invalid))
            }
        };
        let Rule { code, value, meaning, .. } = self;
        format!("| `{code}` | {value} | {noted} | {suspect} | {invalid} | {meaning} |")
    }
}

impl Limits {
    fn columns(&self, sign: &str) -> (String, String, String) {
        let column =
            |limit: Option<f64>| limit.map(|limit| format!("{sign} {limit}")).unwrap_or_default();
        (column(self.note), column(self.suspect), column(self.invalid))
    }
}

macro_rules! rules {
    ($($name:ident = $code:literal, $bound:expr, $value:literal, $meaning:literal;)*) => {
        $(#[doc = $meaning] pub const $name: Rule =
            Rule { code: $code, bound: $bound, value: $value, meaning: $meaning };)*
        /// Every rule.
        pub const ALL: &[Rule] = &[$($name,)*];
    };
}

use Bound::{Above, Below, Declared};

rules! {
    PAYLOAD_BYTES = "payload_bytes", Declared(Status::Invalid),
        "payload bytes of a message, of every traced request",
        "A hop carried another payload than the cell declares: the number is about something else.";
    PAYLOAD_UNPROVED = "payload_unproved", Above(suspect(0.0)),
        "requests of an edge or inner hop that no tap saw, over all",
        "Nothing counted what these requests put on the wire, so the workload is not proved.";
    PROTOCOL_ON_THE_WIRE = "protocol_on_the_wire", Declared(Status::Invalid),
        "HTTP version of the inner hop (11 for rest, 20 for grpc)",
        "Another protocol was spoken than the cell declares.";
    ENDS_DISAGREE = "ends_disagree", Above(invalid(0.0)),
        "requests whose two ends counted different body bytes",
        "Something between the taps changed the messages, or a tap miscounts.";
    CONNECTIONS_POOLED = "connections_pooled", Above(suspect(1.0)),
        "connections of the inner hop in one round, over the requests in flight at most",
        "A pool needs no more connections than requests in flight: connections are being thrown away.";
    CONNECTION_PER_REQUEST = "connection_per_request", Below(invalid(1.0)),
        "connections of the inner hop (those of each round added up) over its traced requests, where each was to have its own",
        "Connections were reused where the cell declares that they are not.";
    RETRIED = "retried", Above(Limits { note: Some(0.0), suspect: Some(0.01), invalid: None }),
        "requests put on a connection more than once, over all traced",
        "Failed attempts are booked under send queue; look at the services' logs.";
    CONSERVATION = "conservation", Above(invalid(0.0)),
        "requests that the accounting cannot place",
        "planned = started + dropped, started = ok + error + unfinished, one latency for each ok.";
    PLAN_NOT_CARRIED_OUT = "plan_not_carried_out", Above(suspect(0.01)),
        "planned arrivals against rate × duration × rounds, difference over the latter (one arrival a round is free)",
        "The load generator did not plan what the cell asks for.";
    RATE_NOT_KEPT = "rate_not_kept", Below(suspect(0.99)),
        "successful over planned requests, less those unfinished",
        "The offered rate was not served: latency is that of an overloaded system. Ask for less.";
    FALLING_BEHIND = "falling_behind", Above(suspect(0.01)),
        "seconds of latency gained per second of load",
        "Requests come faster than they are served: a longer round would show a higher latency.";
    CLOSED_LOOP = "closed_loop", Above(note(0.0)),
        "users of a closed loop",
        "Each waits for an answer before asking again, so a slow system is asked less: what would have waited is in no number.";
    ERRORS = "errors", Above(both(0.0, 0.01)),
        "errors over started requests",
        "Requests were not answered as the contract says; the latency is of the others.";
    NOTHING_COMPLETED = "nothing_completed", Below(invalid(1.0)),
        "successful requests",
        "There is nothing to measure.";
    INTERRUPTED = "interrupted", Above(suspect(0.0)),
        "requests in flight when the run was interrupted; for the run as a whole, 1",
        "The rounds were not carried out in full.";
    FEW_SAMPLES = "few_samples", Below(note(100.0)),
        "successful requests",
        "With fewer than 100 requests the p99 is the slowest of them. Measure longer.";
    GENERATOR_LATE = "generator_late", Above(suspect(1_000.0)),
        "p99 of planned start to start of the call, in µs",
        "Sends were late: the load generator had too much to do, or waited for a CPU. The lateness is part of the latency (driver_lag). A note where `rate_not_kept` tells of dropped arrivals.";
    GENERATOR_CPU = "generator_cpu", Above(suspect(0.9)),
        "CPU of the load generator, in cores",
        "The load generator fills a core: it may measure itself.";
    THRESHOLDS = "thresholds", Above(suspect(0.0)),
        "rounds in which one of k6's thresholds was not kept",
        "What was asked of the system in k6's own words was not reached: k6's summary in the run's folder says which.";
    NOT_JOINED = "not_joined", Above(suspect(0.0)),
        "requests of which k6's stream does not say everything, over all",
        "They were cut off when k6 stopped, or lines were lost: they count as errors, and their latency is not known.";
    HOST_SATURATED = "host_saturated", Above(suspect(0.95)),
        "CPU of the whole machine in the busiest round, as a share of all cores",
        "Load generator and services compete for the CPU. Ask for less, or use more cores.";
    WAITING_FOR_CPU = "waiting_for_cpu", Above(Limits { note: Some(0.25), suspect: Some(0.5), invalid: None }),
        "time in the run queue over that and CPU time, of the process at an end of a hop that waited most",
        "Its threads were ready and did not get a CPU; that time is in its stages. A note where `rate_not_kept` tells of dropped arrivals.";
    NO_TRACES = "no_traces", Below(invalid(1.0)),
        "traced requests that succeeded",
        "No request has a ledger: nothing proves what was sent or says where the time went.";
    TRACES_LOST = "traces_lost", Above(both(0.0, 0.01)),
        "traced requests that are not in the run file, over all sent",
        "Their spans were lost. The slow ones may be among them.";
    TRACES_UNEXPECTED = "traces_unexpected", Above(invalid(0.0)),
        "traced requests in the run file that the load generator did not send",
        "The run file holds requests that are not the cell's.";
    UNJOINED_HOPS = "unjoined_hops", Above(both(0.0, 0.01)),
        "traced requests with a hop or a side of a hop missing, over all",
        "One process's spans were lost: its time is booked under remote or network.";
    RESIDUAL_P50 = "residual_p50", Above(invalid(0.01)),
        "size of the residual over the stopwatch's time, in the p50 band",
        "The stages do not explain the latency: the breakdown is not one of it.";
    RESIDUAL_P99 = "residual_p99", Above(invalid(0.02)),
        "size of the residual over the stopwatch's time, in the p99 band",
        "The stages do not explain the slow requests.";
    NO_STOPWATCH = "no_stopwatch", Above(suspect(0.0)),
        "requests that no independent stopwatch timed, over all traced",
        "Stages always add up to themselves: without a stopwatch nothing checks them.";
    MEASURED_SHARE = "measured_share", Below(suspect(0.95)),
        "measured part of the traced mean, with the built-in driver",
        "Too much is inferred from differences of durations.";
    OUT_OF_ORDER = "out_of_order", Above(suspect(0.0)),
        "requests with a stage of negative time, over all traced",
        "Marks were taken in the wrong order; the stages next to each other are wrong by as much.";
    EARLY_REPLIES = "early_replies", Above(note(0.0)),
        "requests whose reply began before their last byte was written, over all traced",
        "Sending and receiving overlapped: stages of such a request are not one after the other.";
    PROBES_OFF = "probes_off", Above(note(0.0)),
        "1 where probes were off",
        "The cell is there to certify the probe.";
    SPANS_LOST = "spans_lost", Above(suspect(0.0)),
        "spans lost by processes or dropped by the sidecar, the whole run",
        "Ledgers are missing or lack a side; the cells say which.";
    POINTS_MISSING = "points_missing", Above(note(0.0)),
        "points that InfluxDB did not have when the books were closed, the whole run",
        "Dashboards show less than happened; the run file and this result have everything. Spooled points wait beside the run file.";
    PROBE_COST = "probe_cost", Above(note(1.03)),
        "lower end of the interval of the probe's cost, on over off",
        "Measuring itself uses CPU that the services would have.";
}
