//! Takes all samples: writes the JSON stream while they come, and keeps what the summary needs.
//!
//! On a thread of its own, every 200 ms as k6 does it: a stream that nobody reads holds up no request.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::fault::{Fault, Faults, Release};
use crate::line::{Sample, declaration};
use crate::metric::Metric;
use crate::refused::{Refused, code};
use crate::sink::Sinks;
use crate::tags::Part;
use crate::threshold::Thresholds;

const FLUSH: Duration = Duration::from_millis(200);
/// Lines after which a stream that is to break does.
const UNTIL_CUT: usize = 155;

/// Where samples go. Those of one message are told one after another.
pub(crate) type Samples = mpsc::Sender<Vec<Sample>>;

/// The thread that takes them.
pub(crate) struct Collector(JoinHandle<Collected>);

/// Everything that came.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    pub(crate) sinks: Sinks,
    /// What the system said when the stream could not be written.
    pub(crate) unwritten: Option<io::Error>,
}

/// Starts to take samples. It ends when nobody holds the other end any more.
pub(crate) fn start(
    stream: Option<&Path>,
    thresholds: Arc<Thresholds>,
    faults: &Faults,
) -> Result<(Collector, Samples), Refused> {
    let open = |path: &Path| {
        // As k6 makes its file: a pipe that is there is taken for it.
        let options = File::options().read(true).write(true).create(true).truncate(true).open(path);
        options.map_err(|error| {
            let text = format!("could not open '{}': {error}", path.display());
            Refused::new(code::USAGE, text)
        })
    };
    let out = stream.map(open).transpose()?;
    let (samples, come) = mpsc::channel();
    let writer = Writer {
        out,
        release: faults.release,
        lie: faults.has(Fault::Lie),
        silent: faults.has(Fault::Silent),
        cut: faults.has(Fault::Cut),
        lines: 0,
        declared: BTreeSet::new(),
        thresholds,
    };
    let thread = std::thread::spawn(move || take(&come, writer));
    Ok((Collector(thread), samples))
}

impl Collector {
    /// Waits until everything has been taken.
    pub(crate) fn stop(self) -> Collected {
        self.0.join().unwrap_or_default()
    }
}

fn take(come: &Receiver<Vec<Sample>>, mut writer: Writer) -> Collected {
    let mut collected = Collected::default();
    let (mut waiting, mut flush, mut over) = (Vec::new(), Instant::now() + FLUSH, false);
    while !over {
        match come.recv_timeout(flush.saturating_duration_since(Instant::now())) {
            Ok(samples) => {
                waiting.extend(samples);
                continue;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => over = true,
        }
        flush = Instant::now() + FLUSH;
        for sample in waiting.drain(..) {
            let (metric, value) = (&sample.metric, sample.value);
            collected.sinks.add(metric.name(), metric, value);
            let has = |part: &&Part| part.is_of(&sample.labels.tags);
            for part in writer.thresholds.submetrics(metric).filter(has) {
                collected.sinks.add(&part.of(metric), metric, value);
            }
            if let Err(error) = writer.tell(&sample) {
                collected.unwritten.get_or_insert(error);
            }
        }
    }
    collected
}

/// The JSON stream.
struct Writer {
    out: Option<File>,
    release: Release,
    lie: bool,
    silent: bool,
    cut: bool,
    lines: usize,
    /// Metrics that have been told of.
    declared: BTreeSet<String>,
    thresholds: Arc<Thresholds>,
}

impl Writer {
    fn tell(&mut self, sample: &Sample) -> io::Result<()> {
        if self.silent {
            return Ok(());
        }
        if self.declared.insert(sample.metric.name().to_owned()) {
            self.write(&declaration(&sample.metric, &self.thresholds))?;
        }
        let mut line = sample.line(self.release);
        if self.lie && sample.metric.name() == Metric::DURATION.name() {
            line = line.replace(r#""value":"#, r#""value":-"#);
        }
        self.write(&line)
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        let Some(out) = &mut self.out else { return Ok(()) };
        self.lines += 1;
        if self.cut && self.lines > UNTIL_CUT {
            out.write_all(&line.as_bytes()[..line.len() / 2])?;
            self.out = None;
            return Ok(());
        }
        out.write_all(format!("{line}\n").as_bytes())
    }
}
