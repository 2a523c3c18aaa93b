//! One iteration of a virtual user: one request, and everything that is told of it, in k6's order.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::collector::Samples;
use crate::connection::{Connection, Reply};
use crate::fault::{Fault, Faults};
use crate::line::{Labels, Sample};
use crate::log::Log;
use crate::metric::Metric;
use crate::question::Question;
use crate::script::Options;

/// A virtual user: its connection, whether it has told when the scenario began, and whether it has asked anything.
#[derive(Debug, Default)]
pub(crate) struct User {
    connection: Connection,
    told: bool,
    warmed: bool,
}

/// What every iteration needs.
pub(crate) struct World {
    pub(crate) options: Options,
    pub(crate) faults: Faults,
    /// Tags of the command line.
    pub(crate) tags: Labels,
    pub(crate) samples: Samples,
    pub(crate) log: Arc<Log>,
    /// When the scenario began.
    pub(crate) origin: SystemTime,
    /// Iterations that were begun.
    pub(crate) begun: AtomicU64,
    /// Cancelled when those that are under way are to be cut off.
    pub(crate) cut: CancellationToken,
}

/// How long a user waits for its connection to be made before it asks.
const WARMING: Duration = Duration::from_secs(1);
/// The name of the only scenario.
const SCENARIO: &str = "load";

impl World {
    /// Tells samples of one moment, one after another.
    pub(crate) fn tell(&self, at: SystemTime, labels: &Arc<Labels>, values: &[(Metric, f64)]) {
        let samples = values.iter().map(|&(metric, value)| Sample {
            metric,
            at,
            value,
            labels: Arc::clone(labels),
        });
        // The collector is there until nobody can tell it anything any more.
        let _ = self.samples.send(samples.collect());
    }

    /// The tags of samples that belong to the scenario and to no request.
    pub(crate) fn of_scenario(&self) -> Arc<Labels> {
        self.tags.with([("scenario", SCENARIO.to_owned())])
    }

    /// Runs an iteration; the user can go on unless it was cut off.
    pub(crate) async fn iterate(&self, mut user: User) -> Option<User> {
        let (began, at) = (Instant::now(), SystemTime::now());
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        let measured = since_ms(self.origin, at) >= self.options.warmup.as_millis() as u64;
        let every = self.options.sample_every;
        let sampled = measured && every > 0 && number.is_multiple_of(every);
        let (trace, span): (u128, u64) = (rand::random(), rand::random());
        let phase = if measured { "measured" } else { "warmup" };
        let mut labels =
            self.tags.with([("scenario", SCENARIO.to_owned()), ("phase", phase.to_owned())]);
        Arc::make_mut(&mut labels).metadata = [
            ("trace_id", format!("{trace:032x}")),
            ("span_id", format!("{span:016x}")),
            ("sampled", u8::from(sampled).to_string()),
        ]
        .into();
        let question = self.options.question();
        if let Some(template) = question.template {
            let metadata = &mut Arc::make_mut(&mut labels).metadata;
            metadata.insert("template", template.to_string());
        }
        if measured && !self.options.warmup.is_zero() && !user.warmed {
            self.warm(&mut user, &labels).await;
        }
        user.warmed = true;
        if !user.told {
            user.told = true;
            let origin = since_ms(UNIX_EPOCH, self.origin) as f64;
            self.tell(SystemTime::now(), &labels, &[(Metric::Origin, origin)]);
        }
        self.tell(SystemTime::now(), &labels, &[(Metric::Started, 1.0)]);
        let parent = format!("00-{trace:032x}-{span:016x}-{:02x}", u8::from(sampled));
        let state = sampled.then(|| format!("hoplab={span:016x}:{}", self.edge(&question)));
        let reply =
            self.cut.run_until_cancelled(self.ask(&mut user, &question, &parent, state)).await;
        let reply = reply.map(|reply| lied(reply, &self.faults));
        if let Some(reply) = &reply {
            if sampled && self.options.writes {
                self.write(trace, span, &question, reply);
            }
            self.tell_reply(&labels, &question, reply);
        }
        let (end, traffic) = (SystemTime::now(), user.connection.traffic());
        let (sent, received) = (traffic.sent as f64, traffic.received as f64);
        let bytes = [(Metric::DataSent, sent), (Metric::DataReceived, received)];
        let Some(_) = reply else {
            self.tell(end, &labels, &bytes);
            return None;
        };
        let whole = [(Metric::IterationDuration, ms(began.elapsed())), (Metric::Iterations, 1.0)];
        self.tell(end, &labels, &[bytes, whole].concat());
        Some(user)
    }

    async fn ask(
        &self,
        user: &mut User,
        question: &Question,
        parent: &str,
        state: Option<String>,
    ) -> Reply {
        let host = self.host();
        let mut request = Request::builder()
            .method(question.method.as_str())
            .uri(&question.target)
            .header("Host", host)
            .header("User-Agent", format!("double of k6/{}", self.faults.release.number()))
            .header("traceparent", parent);
        if let Some(state) = state {
            request = request.header("tracestate", state);
        }
        for (name, value) in &question.headers {
            request = request.header(name, value);
        }
        let request =
            request.body(Full::new(Bytes::from(question.body.clone().unwrap_or_default())));
        match request {
            Ok(request) => user.connection.ask(host, request, self.options.timeout).await,
            Err(_) => Reply {
                status: 0,
                body: Bytes::new(),
                at: SystemTime::now(),
                times: Default::default(),
                error: Some((1020, "invalid URL")),
            },
        }
    }

    /// What `hoplab.js` says of whose request it is: where the cell is `*`, that of its scenario and operation.
    fn edge(&self, question: &Question) -> String {
        let Some(rest) = self.options.edge.strip_prefix("%2A:") else {
            return self.options.edge.clone();
        };
        let mut cell = String::new();
        for byte in format!("{SCENARIO} {} {}", question.method, question.route).bytes() {
            match byte {
                byte if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) => {
                    cell.push(byte.into())
                }
                byte => cell.push_str(&format!("%{byte:02X}")),
            }
        }
        format!("{cell}:{rest}")
    }

    /// Writes the line that `hoplab.js` writes of a request that is over.
    fn write(&self, trace: u128, span: u64, question: &Question, reply: &Reply) {
        let times = &reply.times;
        let mut line = json!({
            "v": 1,
            "trace": format!("{trace:032x}"),
            "span": format!("{span:016x}"),
            "edge": self.edge(question),
            "weight": self.options.sample_every,
            "scenario": SCENARIO,
            "kind": "http",
            "method": question.method,
            "name": format!("{} {}", question.method, question.route),
            "named": true,
            "peer": self.host(),
            "status": reply.status,
            "blocked": ms(times.blocked),
            "duration": ms(times.sending + times.waiting + times.receiving),
        });
        match reply.error {
            Some((_, "")) => line["error"] = json!(format!("status {}", reply.status)),
            Some((_, error)) => line["error"] = json!(error),
            None => line["reply"] = json!(reply.body.len()),
        }
        line["since"] = json!(ms(reply.at.elapsed().unwrap_or_default()));
        self.log.console(&format!("hoplab {line}"));
    }

    /// Has the user's connection made: by a request that is none of those asked for, whose answer may be any.
    async fn warm(&self, user: &mut User, labels: &Arc<Labels>) {
        const PATH: &str = "/healthz";
        let host = self.host();
        let request = Request::builder().uri(PATH).header("Host", host);
        let Ok(request) = request.body(Full::default()) else { return };
        let labels = labels.with([("phase", "warmup".to_owned())]);
        let asked = user.connection.ask(host, request, WARMING);
        let Some(reply) = self.cut.run_until_cancelled(asked).await else { return };
        let tags = self.tags_of("GET", PATH, &reply);
        self.tell(reply.at, &labels.with(tags), &times_of(&reply));
    }

    /// Where the gateway is, without the scheme.
    fn host(&self) -> &str {
        let gateway = &self.options.gateway;
        gateway.strip_prefix("http://").unwrap_or(gateway)
    }

    /// The tags of a request's times.
    fn tags_of(&self, method: &str, route: &str, reply: &Reply) -> Vec<(&'static str, String)> {
        let mut tags = vec![
            ("name", format!("{}{route}", self.options.gateway)),
            ("method", method.to_owned()),
            ("status", reply.status.to_string()),
        ];
        if let Some((code, error)) = reply.error {
            tags.push(("error_code", code.to_string()));
            if !error.is_empty() {
                tags.push(("error", error.to_owned()));
            }
        }
        tags
    }

    /// The times of a request, and what its answer was worth.
    fn tell_reply(&self, labels: &Arc<Labels>, question: &Question, reply: &Reply) {
        let expected = (200..400).contains(&reply.status);
        let mut tags = self.tags_of(&question.method, &question.route, reply);
        tags.push(("expected_response", expected.to_string()));
        let failed = (Metric::Failed, f64::from(u8::from(!expected)));
        let values = [times_of(reply).as_slice(), &[failed]].concat();
        self.tell(reply.at, &labels.with(tags), &values);
        let (checks, answered) = question.judge(reply.status, &reply.body);
        let now = SystemTime::now();
        for (check, passed) in checks {
            let labels = labels.with([("check", check)]);
            self.tell(now, &labels, &[(Metric::Checks, f64::from(u8::from(passed)))]);
        }
        let answered = f64::from(u8::from(answered));
        self.tell(SystemTime::now(), labels, &[(Metric::Answered, answered)]);
    }
}

/// What k6 tells of the time that a request took.
fn times_of(reply: &Reply) -> [(Metric, f64); 8] {
    let times = &reply.times;
    let duration = times.sending + times.waiting + times.receiving;
    [
        (Metric::HttpReqs, 1.0),
        (Metric::Duration, ms(duration)),
        (Metric::Blocked, ms(times.blocked)),
        (Metric::Connecting, ms(times.connecting)),
        (Metric::Handshaking, 0.0),
        (Metric::Sending, ms(times.sending)),
        (Metric::Waiting, ms(times.waiting)),
        (Metric::Receiving, ms(times.receiving)),
    ]
}

/// The reply as it is told: by a liar, a millisecond off.
fn lied(mut reply: Reply, faults: &Faults) -> Reply {
    const LIE: Duration = Duration::from_millis(1);
    let times = &mut reply.times;
    if faults.has(Fault::Long) {
        times.waiting += LIE;
    }
    if faults.has(Fault::Short) {
        let mut left = LIE;
        for part in [&mut times.waiting, &mut times.receiving, &mut times.sending] {
            let cut = left.min(*part);
            (*part, left) = (*part - cut, left - cut);
        }
    }
    if faults.has(Fault::Early) {
        reply.at -= LIE;
    }
    if faults.has(Fault::Late) {
        reply.at += LIE;
    }
    reply
}

fn since_ms(from: SystemTime, to: SystemTime) -> u64 {
    let ms = |at: SystemTime| at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
    ms(to).saturating_sub(ms(from))
}

/// Milliseconds to the nanosecond.
fn ms(span: Duration) -> f64 {
    span.as_nanos() as f64 / 1e6
}
