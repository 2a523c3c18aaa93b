//! A script's `options`: which scenarios it has and what is done with what they tell. What k6 knows and the double does
//! not is refused by name, for it would change what is run.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};
use settings::Span;

use crate::refused::{Refused, code};
use crate::tags::Pairs;

/// Tags that k6 gives to samples unless the script says otherwise, of those that the double knows.
const SYSTEM_TAGS: [&str; 11] = [
    "proto",
    "status",
    "method",
    "url",
    "name",
    "group",
    "check",
    "error",
    "error_code",
    "scenario",
    "expected_response",
];
const TREND: [&str; 6] = ["avg", "min", "med", "max", "p(90)", "p(95)"];
/// What a closed loop takes at most that says how many iterations and not how long.
const MAX_DURATION: &str = "10m";
const GRACEFUL_STOP: &str = "30s";
/// What k6 takes at least for a scenario.
const SHORTEST: Duration = Duration::from_secs(1);

/// What a script asks for.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) scenarios: Vec<Scenario>,
    pub(crate) thresholds: Value,
    pub(crate) system_tags: Vec<String>,
    pub(crate) trend: Vec<String>,
    /// Tags of all samples; those of the command line come instead.
    pub(crate) tags: Pairs,
    pub(crate) discard_bodies: bool,
}

/// A scenario.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    /// The function of the script that is an iteration.
    pub(crate) exec: String,
    pub(crate) executor: Executor,
    pub(crate) tags: Pairs,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) start_time: Duration,
    pub(crate) graceful_stop: Duration,
}

/// When iterations begin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Executor {
    /// At equal distances, each taken by a user that is free.
    ArrivalRate { period: Duration, duration: Duration, preallocated: usize, max_vus: usize },
    /// Each user begins one when its last is over, until the time is.
    ConstantVus { vus: usize, duration: Duration },
    /// So many iterations, which the users share.
    Shared { vus: usize, iterations: u64, most: Duration },
    /// So many iterations of each user.
    PerVu { vus: usize, iterations: u64, most: Duration },
}

impl Executor {
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Executor::ArrivalRate { .. } => "constant-arrival-rate",
            Executor::ConstantVus { .. } => "constant-vus",
            Executor::Shared { .. } => "shared-iterations",
            Executor::PerVu { .. } => "per-vu-iterations",
        }
    }

    /// Users that it begins with.
    pub(crate) const fn users(&self) -> usize {
        match *self {
            Executor::ArrivalRate { preallocated, .. } => preallocated,
            Executor::ConstantVus { vus, .. }
            | Executor::Shared { vus, .. }
            | Executor::PerVu { vus, .. } => vus,
        }
    }
}

/// What is wrong, in words.
type Wrong = String;

/// An object of options, of which all that is there is to be asked for.
struct Table {
    what: String,
    rest: Map<String, Value>,
}

impl Table {
    fn new(what: &str, value: Value) -> Result<Table, Wrong> {
        match value {
            Value::Object(rest) => Ok(Table { what: what.to_owned(), rest }),
            other => Err(format!("{what} is no object: {other}")),
        }
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        self.rest.remove(name).filter(|value| !value.is_null())
    }

    fn text(&mut self, name: &str) -> Result<Option<String>, Wrong> {
        self.take(name)
            .map(|value| {
                let text = value.as_str().map(str::to_owned);
                text.ok_or_else(|| format!("{}.{name} is no text: {value}", self.what))
            })
            .transpose()
    }

    fn number(&mut self, name: &str) -> Result<Option<u64>, Wrong> {
        self.take(name)
            .map(|value| {
                let whole = value.as_u64().filter(|number| *number > 0);
                whole.ok_or_else(|| format!("{}.{name} is no whole number: {value}", self.what))
            })
            .transpose()
    }

    fn span(&mut self, name: &str, fallback: &str) -> Result<Duration, Wrong> {
        let text = self.text(name)?.unwrap_or_else(|| fallback.to_owned());
        let span: Result<Span, _> = text.parse();
        span.map(Span::duration).map_err(|error| format!("{}.{name}: {error}", self.what))
    }

    fn pairs(&mut self, name: &str) -> Result<Pairs, Wrong> {
        let Some(value) = self.take(name) else { return Ok(Pairs::new()) };
        let inner = Table::new(&format!("{}.{name}", self.what), value)?;
        let plain = |value: Value| value.as_str().map_or(value.to_string(), str::to_owned);
        Ok(inner.rest.into_iter().map(|(name, value)| (name, plain(value))).collect())
    }

    fn texts(&mut self, name: &str, fallback: &[&str]) -> Vec<String> {
        let named = self.take(name);
        let list = named.as_ref().and_then(Value::as_array);
        list.map_or_else(
            || fallback.iter().map(|text| (*text).to_owned()).collect(),
            |list| list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        )
    }

    /// Nothing is left.
    fn end(self) -> Result<(), Wrong> {
        let left: Vec<_> = self.rest.keys().map(String::as_str).collect();
        if left.is_empty() {
            return Ok(());
        }
        Err(format!("{}: the double of k6 does not know {}", self.what, left.join(", ")))
    }
}

impl Options {
    /// Reads `options` of a script with these `functions`.
    pub(crate) fn read(options: Value, functions: &[String]) -> Result<Options, Refused> {
        Options::of(options, functions).map_err(|wrong| Refused::new(code::CONFIGURATION, wrong))
    }

    fn of(options: Value, functions: &[String]) -> Result<Options, Wrong> {
        let mut table = Table::new("options", options)?;
        let scenarios = match table.take("scenarios") {
            Some(Value::Object(all)) => {
                all.into_iter().map(|(name, value)| scenario(name, value)).collect()
            }
            Some(other) => Err(format!("options.scenarios is no object: {other}")),
            None => short(&mut table).map(|scenario| vec![scenario]),
        }?;
        for Scenario { name, exec, .. } in &scenarios {
            if !functions.contains(exec) {
                return Err(format!("executor {name}: function '{exec}' not found in exports"));
            }
        }
        let discard_bodies = table.take("discardResponseBodies") == Some(Value::Bool(true));
        let options = Options {
            scenarios,
            thresholds: table.take("thresholds").unwrap_or_default(),
            system_tags: table.texts("systemTags", &SYSTEM_TAGS),
            trend: table.texts("summaryTrendStats", &TREND),
            tags: table.pairs("tags")?,
            discard_bodies,
        };
        table.end()?;
        Ok(options)
    }
}

/// The only scenario of a script that names none.
fn short(table: &mut Table) -> Result<Scenario, Wrong> {
    let vus = table.number("vus")?.unwrap_or(1) as usize;
    let (iterations, timed) = (table.number("iterations")?, table.rest.contains_key("duration"));
    let executor = match iterations {
        None if timed => Executor::ConstantVus { vus, duration: table.span("duration", "")? },
        iterations => Executor::Shared {
            vus,
            iterations: iterations.unwrap_or(1),
            most: table.span("duration", MAX_DURATION)?,
        },
    };
    Ok(Scenario {
        name: "default".to_owned(),
        exec: "default".to_owned(),
        executor,
        tags: Pairs::new(),
        env: BTreeMap::new(),
        start_time: Duration::ZERO,
        graceful_stop: Span::seconds(30).duration(),
    })
}

fn scenario(name: String, value: Value) -> Result<Scenario, Wrong> {
    let mut table = Table::new(&format!("options.scenarios.{name}"), value)?;
    let kind = table.text("executor")?.unwrap_or_default();
    let executor = executor(&kind, &mut table)?;
    let scenario = Scenario {
        exec: table.text("exec")?.unwrap_or_else(|| "default".to_owned()),
        executor,
        tags: table.pairs("tags")?,
        env: table.pairs("env")?,
        start_time: table.span("startTime", "0s")?,
        graceful_stop: table.span("gracefulStop", GRACEFUL_STOP)?,
        name,
    };
    table.end()?;
    Ok(scenario)
}

fn executor(kind: &str, table: &mut Table) -> Result<Executor, Wrong> {
    let vus = |table: &mut Table| Ok::<_, Wrong>(table.number("vus")?.unwrap_or(1) as usize);
    let long = |table: &mut Table| {
        let duration = table.span("duration", "0s")?;
        let enough = duration >= SHORTEST;
        enough
            .then_some(duration)
            .ok_or_else(|| format!("{}: the duration must be at least 1s", table.what))
    };
    match kind {
        "constant-arrival-rate" => {
            let (rate, unit) = (table.number("rate")?, table.span("timeUnit", "1s")?);
            let rate =
                rate.ok_or_else(|| format!("{}: the iteration rate isn't specified", table.what))?;
            let preallocated = table.number("preAllocatedVUs")?;
            let preallocated = preallocated.ok_or_else(|| {
                format!("{}: the number of preAllocatedVUs isn't specified", table.what)
            })?;
            Ok(Executor::ArrivalRate {
                period: Duration::from_nanos((unit.as_nanos() as f64 / rate as f64) as u64),
                duration: long(table)?,
                preallocated: preallocated as usize,
                max_vus: table.number("maxVUs")?.unwrap_or(preallocated) as usize,
            })
        }
        "constant-vus" => Ok(Executor::ConstantVus { vus: vus(table)?, duration: long(table)? }),
        "shared-iterations" => Ok(Executor::Shared {
            vus: vus(table)?,
            iterations: table.number("iterations")?.unwrap_or(1),
            most: table.span("maxDuration", MAX_DURATION)?,
        }),
        "per-vu-iterations" => Ok(Executor::PerVu {
            vus: vus(table)?,
            iterations: table.number("iterations")?.unwrap_or(1),
            most: table.span("maxDuration", MAX_DURATION)?,
        }),
        other => Err(format!("{}: the double of k6 has no executor {other:?}", table.what)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(options: Value) -> Result<Options, Wrong> {
        Options::of(options, &["default".to_owned(), "buy".to_owned()])
    }

    #[test]
    fn scenarios_are_read_as_k6_reads_them() {
        let options = read(json!({ "scenarios": {
            "browse": { "executor": "constant-arrival-rate", "rate": 5, "timeUnit": "2s", "duration": "3s",
                "preAllocatedVUs": 4 },
            "buy": { "executor": "constant-vus", "vus": 2, "duration": "1m", "exec": "buy", "startTime": "5s",
                "env": { "SIZE": 10 } },
        } }));
        let scenarios = options.expect("options").scenarios;
        let period = Duration::from_millis(400);
        let duration = Duration::from_secs(3);
        let rate = Executor::ArrivalRate { period, duration, preallocated: 4, max_vus: 4 };
        assert_eq!((&scenarios[0].executor, &*scenarios[0].exec), (&rate, "default"));
        assert_eq!(scenarios[1].start_time, Duration::from_secs(5));
        assert_eq!(scenarios[1].env["SIZE"], "10");
        let once = &read(json!({})).expect("options").scenarios[0];
        let most = Duration::from_secs(600);
        assert_eq!(once.executor, Executor::Shared { vus: 1, iterations: 1, most });
    }

    #[test]
    fn what_would_be_run_otherwise_is_refused_by_name() {
        let one = |more: &str, value: Value| {
            let mut scenario = json!({ "executor": "constant-vus", "duration": "1s" });
            scenario[more] = value;
            json!({ "scenarios": { "one": scenario } })
        };
        for (options, named) in [
            (json!({ "stages": [] }), "does not know stages"),
            (json!({ "noConnectionReuse": true }), "noConnectionReuse"),
            (one("executor", json!("ramping-vus")), "no executor \"ramping-vus\""),
            (one("rate", json!(7)), "does not know rate"),
            (one("exec", json!("sell")), "'sell' not found in exports"),
            (one("duration", json!("500ms")), "at least 1s"),
            (one("vus", json!(0.5)), "no whole number"),
        ] {
            let wrong = read(options.clone()).expect_err(named);
            assert!(wrong.contains(named), "{options}: {wrong}");
        }
    }
}
