//! What a user's script asks of k6's modules, answered: what it tells, what it wants to know, and when it waits.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Course;
use crate::connection::Connection;
use crate::line::Labels;
use crate::metric::Metric;
use crate::refused::{Refused, code};
use crate::tags::Pairs;
use crate::world::World;

/// What of the script's own went wrong, in k6's words.
pub(super) fn exception(text: impl std::fmt::Display) -> Refused {
    Refused { code: code::SCRIPT, text: text.to_string(), hint: "script exception" }
}

/// A user as its script sees it.
pub(super) struct Host {
    pub(super) world: Arc<World>,
    id: u64,
    env: BTreeMap<String, String>,
    pub(super) runtime: Handle,
    /// By host and port.
    pub(super) connections: HashMap<String, Connection>,
    /// The script has been read.
    read: bool,
    tags: Pairs,
    metadata: Pairs,
    groups: Vec<String>,
    course: Option<Arc<Course>>,
    /// Of the scenario, from 0.
    number: u64,
    /// Iterations of this user.
    iterations: u64,
    /// The function that is called outside of any scenario.
    outside: &'static str,
}

impl Host {
    pub(super) fn new(
        world: Arc<World>,
        id: u64,
        env: BTreeMap<String, String>,
        runtime: Handle,
    ) -> Host {
        Host {
            world,
            id,
            env,
            runtime,
            connections: HashMap::new(),
            read: false,
            tags: Pairs::new(),
            metadata: Pairs::new(),
            groups: Vec::new(),
            course: None,
            number: 0,
            iterations: 0,
            outside: "",
        }
    }

    pub(super) fn script(&self) -> &Path {
        &self.world.script
    }

    /// A function is called outside of any scenario.
    pub(super) fn outside(&mut self, function: &'static str) {
        self.outside = function;
    }

    /// The number of the user's iteration, from 0.
    pub(super) fn iteration(&self) -> u64 {
        self.iterations.saturating_sub(1)
    }

    /// What stops the user in what it does.
    pub(super) fn cut(&self) -> &CancellationToken {
        self.course.as_ref().map_or(&self.world.halt, |course| &course.cut)
    }

    pub(super) fn is_cut(&self) -> bool {
        self.cut().is_cancelled()
    }

    pub(super) fn stopped(&self) -> Option<Refused> {
        self.world.stopped()
    }

    /// An iteration begins: when, and what it is given.
    pub(super) fn begin(&mut self, course: Arc<Course>, number: u64) -> (Instant, String) {
        (self.course, self.number) = (Some(course), number);
        self.iterations += 1;
        self.world.begun.fetch_add(1, Ordering::Relaxed);
        (Instant::now(), self.world.setup_data())
    }

    /// An iteration is over: what it took is told, unless it was cut off.
    pub(super) fn end(&mut self, began: Instant) {
        let took = began.elapsed();
        let (mut sent, mut received) = (0, 0);
        for traffic in self.connections.values().map(Connection::traffic) {
            (sent, received) = (sent + traffic.sent, received + traffic.received);
        }
        let mut told =
            vec![(Metric::DATA_SENT, sent as f64), (Metric::DATA_RECEIVED, received as f64)];
        if !self.is_cut() {
            told.extend([(Metric::ITERATION_DURATION, ms(took)), (Metric::ITERATIONS, 1.0)]);
        }
        self.groups.clear();
        self.world.tell(SystemTime::now(), &self.labels(&Pairs::new(), &[]), &told);
    }

    /// Labels of what the user tells: its own tags, `more` and k6's, of which the script may have left some out.
    pub(super) fn labels(&self, more: &Pairs, system: &[(&str, String)]) -> Arc<Labels> {
        let Some(running) = self.world.running() else { return Arc::default() };
        let mut tags = running.tags.clone();
        let course = self.course.as_deref();
        let own = course.iter().flat_map(|course| &course.scenario.tags).chain(&self.tags);
        tags.extend(own.chain(more).map(|(name, value)| (name.clone(), value.clone())));
        let group = match course {
            None => format!("::{}", self.outside),
            Some(_) => self.groups.iter().map(|group| format!("::{group}")).collect(),
        };
        let scenario = course.map(|course| ("scenario", course.scenario.name.clone()));
        let k6s = scenario.into_iter().chain([("group", group)]).chain(system.iter().cloned());
        let wanted = |(name, _): &(&str, String)| {
            running.options.system_tags.iter().any(|wanted| wanted == name)
        };
        tags.extend(k6s.filter(wanted).map(|(name, value)| (name.to_owned(), value)));
        Arc::new(Labels { tags, metadata: self.metadata.clone() })
    }

    /// Answers `what` the script asks; `about` it says more, as JSON, and so does the answer.
    pub(super) fn answer(&mut self, what: &str, about: &str) -> String {
        let about = serde_json::from_str(about).unwrap_or(Value::Null);
        let answered = if self.is_cut() {
            Err("the iteration was interrupted".to_owned())
        } else {
            self.carry_out(what, about)
        };
        let answer = match answered {
            Ok(value) => json!({ "value": value }),
            Err(error) => json!({ "error": error }),
        };
        answer.to_string()
    }

    fn carry_out(&mut self, what: &str, about: Value) -> Result<Value, String> {
        let text = |name: &str| about[name].as_str().unwrap_or_default();
        match what {
            "globals" => return Ok(json!({ "env": self.env, "vu": self.id })),
            "over" => self.read = true,
            "open" => return self.open(text("path"), text("mode")),
            "metric" => {
                self.only_when_read_first("new metrics")?;
                let time = about["time"] == true;
                self.world.metrics.make(text("name"), text("kind"), time)?;
            }
            "console" => self.world.log.console(level(text("level")), text("text")),
            "cannot" => return Err(self.cannot(about.as_str().unwrap_or_default())),
            "abort" => {
                let said = format!("test aborted: {}", text("text"));
                self.world.abort(Refused::new(code::SCRIPT_ABORTED, said.clone()));
                return Err(said);
            }
            "milliseconds" => {
                let span: Result<settings::Span, _> = about.as_str().unwrap_or_default().parse();
                return Ok(json!(ms(span.map_err(|error| error.to_string())?.duration())));
            }
            "keep" => self.keep(text("what"), text("name"), about["value"].as_str()),
            "state" => return self.state(about.as_str().unwrap_or_default()),
            _ if self.world.running().is_none() => {
                return Err(format!("{what} is not there while the script is being read"));
            }
            "add" => self.add(text("name"), &about)?,
            "check" => {
                let check = ("check", text("name").to_owned());
                let labels = self.labels(&pairs(&about["tags"])?, &[check]);
                let passed = about["passed"] == true;
                self.now(&labels, Metric::CHECKS, f64::from(u8::from(passed)));
                return Ok(passed.into());
            }
            "group" => return Ok(self.group(&about)),
            "sleep" => {
                let seconds = about["seconds"].as_f64().unwrap_or_default().clamp(0.0, 86_400.0);
                let (cut, span) = (self.cut().clone(), Duration::from_secs_f64(seconds));
                // A timer belongs to the runtime that it is made in.
                let sleep = async { cut.run_until_cancelled(tokio::time::sleep(span)).await };
                self.runtime.block_on(sleep);
            }
            "http" => return self.http(about),
            other => return Err(self.cannot(other)),
        }
        Ok(Value::Null)
    }

    /// What the double cannot do ends the run.
    pub(super) fn cannot(&self, what: &str) -> String {
        let text = format!("the double of k6 cannot {what}");
        self.world.stop(exception(&text));
        text
    }

    fn only_when_read_first(&self, what: &str) -> Result<(), String> {
        if self.read { Err(format!("{what} must be made in the init context")) } else { Ok(()) }
    }

    fn open(&self, path: &str, mode: &str) -> Result<Value, String> {
        self.only_when_read_first("what is opened")?;
        if !mode.is_empty() {
            return Err(self.cannot(&format!("open a file in the mode {mode:?}")));
        }
        let folder: PathBuf = self.script().parent().map(Path::to_owned).unwrap_or_default();
        let text = std::fs::read_to_string(folder.join(path));
        text.map(Value::from).map_err(|error| {
            format!("The file \"{path}\" couldn't be opened on local disk: {error}")
        })
    }

    fn keep(&mut self, what: &str, name: &str, value: Option<&str>) {
        let kept = if what == "tags" { &mut self.tags } else { &mut self.metadata };
        match value {
            Some(value) => _ = kept.insert(name.to_owned(), value.to_owned()),
            None => _ = kept.remove(name),
        }
    }

    fn add(&self, name: &str, about: &Value) -> Result<(), String> {
        let metric = self.world.metrics.named(name).ok_or_else(|| format!("no metric {name}"))?;
        let value = about["value"].as_f64();
        let value = value.ok_or_else(|| format!("an invalid value for metric '{name}'"))?;
        self.now(&self.labels(&pairs(&about["tags"])?, &[]), metric, value);
        Ok(())
    }

    /// Enters a group, or leaves the last.
    fn group(&mut self, about: &Value) -> Value {
        let now = SystemTime::now();
        if let Some(name) = about["enter"].as_str() {
            self.groups.push(name.to_owned());
            return json!(now.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as f64);
        }
        let began = Duration::from_nanos(about["began"].as_f64().unwrap_or_default() as u64);
        let took = now.duration_since(UNIX_EPOCH + began).unwrap_or_default();
        let labels = self.labels(&Pairs::new(), &[]);
        self.now(&labels, Metric::GROUP_DURATION, ms(took));
        self.groups.pop();
        Value::Null
    }

    fn state(&self, what: &str) -> Result<Value, String> {
        match (what, self.course.as_deref()) {
            ("scenario", Some(course)) => Ok(json!({
                "name": course.scenario.name,
                "executor": course.scenario.executor.name(),
                "startTime": ms(course.began.duration_since(UNIX_EPOCH).unwrap_or_default()).floor(),
                "iterationInInstance": self.number,
                "iterationInTest": self.number,
            })),
            ("scenario", None) => {
                Err("getting scenario information outside of the VU context is not supported"
                    .to_owned())
            }
            ("instance", _) => {
                let running = self.world.running().map(|running| ms(running.began.elapsed()));
                Ok(json!({ "currentTestRunDuration": running.unwrap_or_default() }))
            }
            _ => {
                let iteration = self.iteration();
                Ok(json!({ "idInInstance": self.id, "idInTest": self.id,
                    "iterationInInstance": iteration, "iterationInScenario": iteration }))
            }
        }
    }

    fn now(&self, labels: &Arc<Labels>, metric: Metric, value: f64) {
        self.world.tell(SystemTime::now(), labels, &[(metric, value)]);
    }
}

/// Names and texts of an object, as k6 takes tags.
pub(super) fn pairs(value: &Value) -> Result<Pairs, String> {
    let plain = |(name, value): (&String, &Value)| match value {
        Value::String(text) => Ok((name.clone(), text.clone())),
        Value::Number(_) | Value::Bool(_) => Ok((name.clone(), value.to_string())),
        _ => Err(format!("the tag {name} is neither text, number nor boolean")),
    };
    value.as_object().into_iter().flatten().map(plain).collect()
}

fn level(text: &str) -> &'static str {
    ["debug", "warning", "error"].into_iter().find(|known| *known == text).unwrap_or("info")
}

/// Milliseconds to the nanosecond.
pub(super) fn ms(span: Duration) -> f64 {
    span.as_nanos() as f64 / 1e6
}
