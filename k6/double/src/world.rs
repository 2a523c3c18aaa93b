//! What all users of a run share: what they are told, where they tell it, and when they are to stop.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::SystemTime;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::collector::Samples;
use crate::fault::Faults;
use crate::line::{Labels, Sample};
use crate::log::Log;
use crate::metric::{Metric, Metrics};
use crate::options::Options;
use crate::refused::Refused;
use crate::tags::Pairs;

/// The world of a script.
pub(crate) struct World {
    /// Where the script is.
    pub(crate) script: PathBuf,
    /// The variables of the environment, and those of the command line.
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) metrics: Metrics,
    pub(crate) faults: Faults,
    pub(crate) log: Arc<Log>,
    /// Iterations that were begun.
    pub(crate) begun: AtomicU64,
    /// Cancelled when scenarios are to end: what of them is under way is cut off.
    pub(crate) cut: CancellationToken,
    /// Cancelled when nothing of the script is to go on.
    pub(crate) halt: CancellationToken,
    /// Why everything was stopped by the script, or by something that the double cannot do.
    stopped: Mutex<Option<Refused>>,
    running: OnceLock<Running>,
    /// What the script's `setup` answered, as JSON.
    setup_data: OnceLock<String>,
    /// Until everything has been told.
    samples: Mutex<Option<Samples>>,
}

/// What is known once the script's options are.
pub(crate) struct Running {
    pub(crate) options: Options,
    /// Tags of all samples.
    pub(crate) tags: Pairs,
    /// When the run began.
    pub(crate) began: Instant,
}

impl World {
    pub(crate) fn new(
        script: PathBuf,
        env: BTreeMap<String, String>,
        faults: &Faults,
        log: &Arc<Log>,
    ) -> World {
        let halt = CancellationToken::new();
        World {
            script,
            env,
            metrics: Metrics::default(),
            faults: faults.clone(),
            log: Arc::clone(log),
            begun: AtomicU64::new(0),
            cut: halt.child_token(),
            halt,
            stopped: Mutex::default(),
            running: OnceLock::new(),
            setup_data: OnceLock::new(),
            samples: Mutex::default(),
        }
    }

    /// From here on iterations can be run: their samples go to `samples`.
    pub(crate) fn begin(&self, options: Options, tags: Pairs, samples: Samples) {
        *self.samples.lock().unwrap_or_else(PoisonError::into_inner) = Some(samples);
        let _ = self.running.set(Running { options, tags, began: Instant::now() });
    }

    /// What is known once the script's options are.
    pub(crate) fn running(&self) -> Option<&Running> {
        self.running.get()
    }

    /// Tags of all samples.
    pub(crate) fn tags(&self) -> Pairs {
        self.running().map(|running| running.tags.clone()).unwrap_or_default()
    }

    /// What `setup` answered, which each iteration is given.
    pub(crate) fn set_up(&self, data: String) {
        let _ = self.setup_data.set(data);
    }

    /// What an iteration is given, as JSON; empty if it is nothing.
    pub(crate) fn setup_data(&self) -> String {
        self.setup_data.get().cloned().unwrap_or_default()
    }

    /// Nothing is told from here on.
    pub(crate) fn end(&self) {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Tells samples of one moment, one after another.
    pub(crate) fn tell(&self, at: SystemTime, labels: &Arc<Labels>, values: &[(Metric, f64)]) {
        let samples = values.iter().map(|(metric, value)| Sample {
            metric: metric.clone(),
            at,
            value: *value,
            labels: Arc::clone(labels),
        });
        if let Some(to) = &*self.samples.lock().unwrap_or_else(PoisonError::into_inner) {
            // The collector is there until nobody can tell it anything any more.
            let _ = to.send(samples.collect());
        }
    }

    /// Ends the scenarios, as the script says.
    pub(crate) fn abort(&self, why: Refused) {
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
        self.cut.cancel();
    }

    /// Ends everything, for what comes after would mean something else than with k6.
    pub(crate) fn stop(&self, why: Refused) {
        self.abort(why);
        self.halt.cancel();
    }

    /// Why it was stopped or aborted, if it was; the first reason is told.
    pub(crate) fn stopped(&self) -> Option<Refused> {
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
