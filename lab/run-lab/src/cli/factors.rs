//! What the command line changes in a plan: its factors, its settings, and what is asked of the system.

use std::fmt;
use std::path::Path;

use clap::{Args, ValueEnum};
use toml::{Table, Value};

use super::Failure;
use crate::run::Pins;
use lab_model::plan::{self, Aim, Objective, Overrides, Payload, Plan, Rate, Span, Until};
use lab_model::{Arrivals, Protocol};
use lab_supervise::Cpus;

/// Rounds at most, in units of those asked for, while intervals are still too wide.
const UNTIL_ROUNDS: u32 = 10;
/// Rounds at least before intervals are looked at.
const LEAST_ROUNDS: u32 = 6;

/// Heading of the options that say what is held to limits, and where results go.
pub(super) const RESULTS: &str = "What is asked, and where it goes";

/// What a plan's cells are, and how they are run.
#[derive(Debug, Args)]
#[command(next_help_heading = "Cells and load")]
pub(super) struct FactorArgs {
    /// Run these protocols only
    #[arg(long, value_enum, value_delimiter = ',', value_name = "LIST")]
    protocol: Vec<ProtocolChoice>,
    /// Use these payloads instead, up to 16777216 bytes
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    size: Vec<Payload>,
    /// Offer these rates instead, in requests per second
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    rate: Vec<Rate>,
    /// Measured time of each round instead
    #[arg(long, value_name = "DURATION")]
    duration: Option<Span>,
    /// Time before each round that is not counted, instead
    #[arg(long, value_name = "DURATION")]
    warmup: Option<Span>,
    /// How long each cell is asked before those that it is compared with have their turn, instead; 0 for whole rounds
    #[arg(long, value_name = "DURATION")]
    turn: Option<Span>,
    /// Repetitions of each cell instead
    #[arg(long, value_name = "N")]
    rounds: Option<u32>,
    /// Go on, up to ten times the rounds, until each claim is known to within this part of the mean, e.g. 5%
    #[arg(long, value_name = "P%", value_parser = parse_percent)]
    until: Option<f64>,
    /// Inject delays, e.g. handler=5ms (by the gateway), echo:reply_encode=1ms, driver:request_encode=1ms
    #[arg(long, value_name = "STAGE=DURATION", value_delimiter = ',', help_heading = "Services")]
    inject: Vec<String>,
    /// Set a knob of the services in every cell (repeatable), e.g. stream_window=64KiB
    #[arg(long, value_name = "KNOB=VALUE", help_heading = "Services")]
    set: Vec<String>,
    /// When requests begin, instead: at equal distances, or at random as with many users (at the same times in every run)
    #[arg(long, value_enum, value_name = "HOW")]
    arrivals: Option<ArrivalsChoice>,
    /// A closed loop instead: N users, each of whom waits for the answer before asking again. A slow system is then asked
    /// less often, which hides how long users would wait who come at their own pace
    #[arg(long, value_name = "N", conflicts_with_all = ["arrivals", "rate"],
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    concurrency: Option<u32>,
    /// Trace at most so many requests a second instead
    #[arg(long, value_name = "N")]
    traces_per_second: Option<Rate>,
    /// Run the load generator and the services on these CPUs, e.g. driver=0 services=1 (what is not named runs anywhere)
    #[arg(long, num_args = 1.., value_name = "WHO=CPUS", value_parser = parse_pin, help_heading = "Services")]
    pin: Vec<Pin>,
    /// What is asked of each cell (repeatable), e.g. p99<200ms, errors<1%, completed>95; exit code 6 if it is missed
    #[arg(long, value_name = "OBJECTIVE", help_heading = RESULTS)]
    objective: Vec<Objective>,
}

/// Protocols to choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ProtocolChoice {
    /// JSON over HTTP/1.1
    Rest,
    /// Protobuf over HTTP/2
    Grpc,
}

impl From<ProtocolChoice> for Protocol {
    fn from(choice: ProtocolChoice) -> Protocol {
        match choice {
            ProtocolChoice::Rest => Protocol::Rest,
            ProtocolChoice::Grpc => Protocol::Grpc,
        }
    }
}

/// Arrivals to choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ArrivalsChoice {
    /// At equal distances
    Constant,
    /// At random, independent of each other
    Poisson,
}

/// Who is kept on which CPUs.
#[derive(Debug, Clone)]
enum Pin {
    Driver(Cpus),
    Services(Cpus),
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pin::Driver(cpus) => write!(f, "driver={cpus}"),
            Pin::Services(cpus) => write!(f, "services={cpus}"),
        }
    }
}

fn parse_pin(text: &str) -> Result<Pin, String> {
    match text.split_once('=') {
        Some(("driver", cpus)) => cpus.parse().map(Pin::Driver),
        Some(("services", cpus)) => cpus.parse().map(Pin::Services),
        _ => Err("write driver=CPUS or services=CPUS, such as driver=0 services=1".to_owned()),
    }
}

/// A percentage as a share.
fn parse_percent(text: &str) -> Result<f64, String> {
    let number = text.trim().strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
    number
        .filter(|percent| (0.1..=100.0).contains(percent))
        .map(|percent| percent / 100.0)
        .ok_or_else(|| format!("{text:?} is not a percentage from 0.1% to 100%, such as 5%"))
}

impl FactorArgs {
    /// Which CPUs are whose.
    pub(super) fn pins(&self) -> Pins {
        let mut pins = Pins::default();
        for pin in self.pin.iter().cloned() {
            match pin {
                Pin::Driver(cpus) => pins.driver = Some(cpus),
                Pin::Services(cpus) => pins.services = Some(cpus),
            }
        }
        pins
    }

    /// The same as it is written.
    pub(super) fn pinned(&self) -> Vec<String> {
        self.pin.iter().map(Pin::to_string).collect()
    }

    /// Pins as `words` say.
    pub(super) fn pin(&mut self, words: &[String]) -> Result<(), Failure> {
        self.pin = words
            .iter()
            .map(|word| parse_pin(word))
            .collect::<Result<_, _>>()
            .map_err(Failure::usage)?;
        Ok(())
    }

    /// What a script of the user's own is run by: how often. Everything else is its own.
    pub(super) fn plan_of_script(&self, script: Option<&Path>) -> Plan {
        let stem = script.and_then(Path::file_stem).unwrap_or_default();
        Plan {
            name: stem.to_string_lossy().into_owned(),
            rounds: self.rounds.unwrap_or(1).max(1),
            objectives: self
                .objective
                .iter()
                .map(|&holds| Aim { holds, cells: String::new() })
                .collect(),
            ..Plan::default()
        }
    }

    /// What is changed in a plan that has rounds of its own.
    pub(super) fn overrides(&self) -> Result<Overrides, Failure> {
        let rounds = self
            .until
            .map_or(self.rounds, |_| Some(self.rounds.unwrap_or(LEAST_ROUNDS).max(LEAST_ROUNDS)));
        let until = self.until.zip(rounds);
        Ok(Overrides {
            protocols: self.protocol.iter().map(|&choice| choice.into()).collect(),
            payloads: self.size.iter().map(|size| size.0).collect(),
            rates: self.rate.iter().map(|rate| rate.0).collect(),
            duration_ns: self.duration.map(|span| span.0),
            warmup_ns: self.warmup.map(|span| span.0),
            turn_ns: self.turn.map(|span| span.0),
            rounds,
            until: until.map(|(share, rounds)| Until { share, rounds: rounds * UNTIL_ROUNDS }),
            knobs: overlay_settings(&self.set, &self.inject)?,
            arms: Vec::new(),
            arrivals: match (self.concurrency, self.arrivals) {
                (Some(users), _) => Some(Arrivals::Closed(users as usize)),
                (None, Some(ArrivalsChoice::Constant)) => Some(Arrivals::Constant),
                (None, Some(ArrivalsChoice::Poisson)) => Some(Arrivals::Poisson),
                (None, None) => None,
            },
            traces_per_second: self.traces_per_second.map(|rate| rate.0),
            objectives: self.objective.clone(),
            no_certify: false,
        })
    }
}

/// The settings that `--set` and `--inject` spell out.
pub(super) fn overlay_settings(set: &[String], inject: &[String]) -> Result<Table, Failure> {
    let mut settings = Table::new();
    for text in set {
        let (knob, value) = plan::assignment(text)
            .map_err(|error| Failure::usage(format!("--set {text}: {error}")))?;
        if settings.insert(knob.clone(), value).is_some() {
            return Err(Failure::usage(format!("--set {text}: {knob} is set twice")));
        }
    }
    let mut delays = Table::new();
    for text in inject {
        let (place, delay) =
            plan::injection(text).map_err(|error| Failure::usage(format!("--inject: {error}")))?;
        if delays.insert(place.clone(), delay).is_some() {
            let twice = format!("--inject {text}: a delay into {place} is asked for twice");
            return Err(Failure::usage(twice));
        }
    }
    if !delays.is_empty() && settings.insert("inject".to_owned(), Value::Table(delays)).is_some() {
        return Err(Failure::usage("delays are set by --set inject and by --inject: use one"));
    }
    // Refused now, the error names the option; refused with the plan, it would name the plan's file.
    plan::read_knobs(&settings)
        .map_err(|error| Failure::usage(format!("--set or --inject: {error}")))?;
    Ok(settings)
}
