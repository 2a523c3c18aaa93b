//! A script that is not the lab's: one process of k6 is one round, and what it asks, how often and of whom is its own.
//!
//! Cells are what comes of it: a scenario and an operation each. Its requests are in the ledger if it imports
//! `hoplab.js`, whose lines k6's own log pushes to the sidecar.

mod attempts;
mod declared;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use ledger::wall::WallClock;
use tokio_util::sync::CancellationToken;

use super::command::{self, FIXED, SERVICE, THRESHOLDS};
use super::stream::Stream;
use super::usage::History;
use super::{K6, K6Error};
use attempts::Attempts;
use lab_model::workload::Carried;
use lab_model::{Entry, K6Measure, Requests, RoundMeasure};
use lab_supervise::{External, Part, PartError, StopSignal, Supervisor};

/// How often progress is told and the use of CPU read.
const TICK: std::time::Duration = std::time::Duration::from_millis(100);

/// What a script is called in errors, where a cell would be named.
pub const CELL: &str = "of the script";

/// A round of a script.
#[derive(Debug, Clone, Copy)]
pub struct ScriptOrder<'a> {
    /// The script.
    pub script: &'a Path,
    /// Number of the round, from 0.
    pub number: u32,
    /// Where the system is that was named; the script may ask there or elsewhere.
    pub entry: &'a Entry,
}

/// What was measured of a cell.
#[derive(Debug)]
pub struct Measured {
    /// The cell: scenario and operation.
    pub cell: String,
    /// What the script says that each hop of it is to carry.
    pub carries: Vec<Carried>,
    /// How long it was asked for, in nanoseconds.
    pub asked_ns: u64,
    /// The round.
    pub round: RoundMeasure,
}

impl K6 {
    /// Runs the script once. When `halt` is cancelled k6 is stopped in order, and what was measured is returned.
    ///
    /// # Errors
    /// If k6 does not start, ends with an error of its own, or made no request.
    pub async fn script(
        &self,
        supervisor: &Supervisor,
        order: ScriptOrder<'_>,
        halt: &CancellationToken,
        progress: &mut (dyn FnMut(Requests, u64) + Send),
    ) -> Result<Vec<Measured>, K6Error> {
        let system = |attempt: String| {
            move |error| K6Error::System { cell: CELL.to_owned(), attempt, error }
        };
        command::write_scripts(&self.out)
            .and_then(|()| command::write_config(&self.out))
            .map_err(system(format!("write k6's files to {}", self.out.display())))?;
        let stream = Stream::new().map_err(system("make a pipe for k6".to_owned()))?;
        let started = supervisor.keep(self.program_of(order, &stream)).await;
        let part = started.map_err(|source| K6Error::Start {
            cell: CELL.to_owned(),
            round: order.number,
            source: Box::new(source),
        })?;
        self.watch(part, stream, order, halt, progress).await
    }

    /// k6, told as little as can be: options and thresholds are the script's own.
    fn program_of(&self, order: ScriptOrder<'_>, stream: &Stream) -> External<'static> {
        let mut foreign = External::new(SERVICE, self.program.clone());
        let mut json = OsString::from("json=");
        json.push(stream.path());
        // All but where its log goes.
        let mut arguments: Vec<OsString> = FIXED[..4].iter().map(OsString::from).collect();
        let log = match &self.otlp {
            Some(otlp) => {
                format!("loki={otlp}/loki/api/v1/push,limit=2000,pushPeriod=500ms,level=info")
            }
            None => "file=/dev/stderr,level=error".to_owned(),
        };
        arguments.extend([OsString::from("--log-output"), OsString::from(log)]);
        arguments.extend(self.release.arguments().iter().map(OsString::from));
        let config = self.out.join(command::CONFIG.0);
        arguments.extend(["--config".into(), config.into(), "--out".into(), json]);
        arguments.push(order.script.into());
        foreign.arguments = arguments;
        foreign.env = vec![
            ("TARGET", order.entry.url.clone()),
            ("GATEWAY", order.entry.url.clone()),
            ("HOPLAB", "on".to_owned()),
        ];
        if let Some(nonce) = &self.nonce {
            // Each request names its own cell.
            foreign.env.push(("EDGE", ledger::edge::said("*", order.number, nonce)));
        }
        foreign.stop = StopSignal::Int;
        foreign.finite = true;
        foreign.remove = stream.path().parent().map(Path::to_owned);
        foreign
    }

    async fn watch(
        &self,
        mut part: Part,
        mut stream: Stream,
        order: ScriptOrder<'_>,
        halt: &CancellationToken,
        progress: &mut (dyn FnMut(Requests, u64) + Send),
    ) -> Result<Vec<Measured>, K6Error> {
        let mut attempts = Attempts::new(WallClock::read());
        let mut readings = History::of(part.pid);
        let mut tick = tokio::time::interval(TICK);
        let ended = loop {
            tokio::select! {
                read = stream.read(|line| attempts.line(line)) => {
                    // What a script says wrong it says from its first requests on.
                    if read.is_err() || attempts.conflict.is_some() { break None }
                }
                ended = part.end() => break Some(ended),
                () = halt.cancelled() => break None,
                _ = tick.tick() => {
                    readings.take();
                    progress(attempts.requests(), attempts.elapsed_ns());
                }
            }
        };
        if ended.is_none() {
            let stop = part.stop();
            tokio::pin!(stop);
            loop {
                tokio::select! {
                    () = &mut stop => break,
                    read = stream.read(|line| attempts.line(line)) => if read.is_err() { break },
                }
            }
        }
        // What is left in the pipe is read, whatever ended k6.
        let _ = stream.rest(|line| attempts.line(line));
        attempts.refused += stream.too_long();
        if let Some(reason) = attempts.conflict.take() {
            return Err(K6Error::Declared { reason });
        }
        readings.take();
        let thresholds_failed = matches!(
            &ended,
            Some(Err(PartError::Died { status, .. })) if status.code() == Some(THRESHOLDS)
        );
        if let Some(Err(source)) = ended
            && !thresholds_failed
        {
            let (cell, round, source) = (CELL.to_owned(), order.number, Box::new(source));
            return Err(K6Error::Ended { cell, round, source, kept: None });
        }
        let lines_refused = attempts.refused;
        let measured = measured(attempts.close(), order.number, &readings, thresholds_failed);
        if measured.is_empty() && !halt.is_cancelled() {
            return Err(K6Error::Nothing {
                cell: CELL.to_owned(),
                round: order.number,
                lines_refused,
            });
        }
        Ok(measured)
    }
}

/// Each cell of the round. How much of the CPU k6 used is of all that it asked while it asked for this one.
fn measured(
    attempts: Attempts,
    round: u32,
    readings: &History,
    thresholds_failed: bool,
) -> Vec<Measured> {
    let facts =
        K6Measure { thresholds_failed, lines_refused: attempts.refused, ..K6Measure::default() };
    let beside: Vec<u64> = attempts.cells.keys().map(|cell| attempts.beside(cell)).collect();
    let one = |((cell, counted), beside): ((String, attempts::Counted), u64)| {
        let ((start_ns, end_ns), asked_ns) = (counted.span_ns, counted.asked_ns());
        let entries = counted.entries;
        let (driver_cpu_ns, host_cpu_share) = readings.between(start_ns, end_ns);
        let carries = declared::read(&counted.declared).unwrap_or_default();
        let round = RoundMeasure {
            round,
            start_ns,
            end_ns,
            rests: Vec::new(),
            requests: entries.requests,
            traced: 0,
            weight: 1.0,
            latency: entries.latency,
            send_delay: entries.send_delay,
            seconds: entries.seconds,
            errors: entries.errors,
            statements: None,
            k6: Some(K6Measure { joined: entries.requests.started, beside, ..facts }),
            processes: BTreeMap::new(),
            services_cpu_ns: None,
            driver_cpu_ns,
            host_cpu_share,
        };
        Measured { cell, carries, asked_ns, round }
    };
    attempts.cells.into_iter().zip(beside).map(one).collect()
}
