//! A run that is opened with the sidecar: with the lab's own, or with that of a system that runs already.

use lab_drive::builtin::SERVICE;
use lab_launch::Control;
use lab_model::Cell;
use lab_supervise::PartError;
use ledger::clock;
use tokio::sync::mpsc;
use tokio::time::{Duration, Instant};

use super::RunError;
use super::attached::{Attachment, Elsewhere};
use super::counters::TRACES_OPEN;
use super::interrupt::Interrupt;
use super::points::Points;
use super::setup::Setup;
use super::testbed::{TestBed, supervisor};

/// Most that is waited for spans: SDKs export every five seconds, and a sidecar waits as long for what is missing.
const LAST_SPANS: Duration = Duration::from_secs(12);

impl TestBed {
    /// Makes ready to measure a system that runs already.
    ///
    /// # Errors
    /// If the folder of logs cannot be made.
    pub async fn attach(
        setup: Setup<'_>,
        attached: &Attachment,
        interrupt: &Interrupt,
    ) -> Result<(TestBed, mpsc::UnboundedReceiver<PartError>), RunError> {
        let (supervisor, died) = supervisor(&setup, interrupt)?;
        let control = Control::at(&attached.sidecar, attached.token.clone());
        let control = control.map_err(PartError::from)?;
        let mut testbed = TestBed::bare(supervisor, control);
        testbed.attached = Some(attached.clone());
        testbed.stop = interrupt.stop.clone();
        Ok((testbed, died))
    }

    /// Opens a run of `cells` with the sidecar.
    ///
    /// # Errors
    /// If it does not, or keeps no rows.
    pub(super) async fn open(&mut self, cells: &[Cell]) -> Result<(), PartError> {
        self.before = (self.control.stats().await?, clock::now());
        let opened = Points::announce(&self.control, cells.iter()).await?;
        if let Some(attached) = &self.attached {
            if !opened.rows {
                return Err(PartError::Setup {
                    part: "sidecar".to_owned(),
                    attempt: format!("read rows of {}", attached.sidecar),
                    reason: "it keeps none: start it with --run-file PATH".to_owned(),
                });
            }
            self.otlp = attached.otlp(&opened);
            // Elsewhere this process has another id, and may share this one with somebody else's.
            if !opened.processes.is_empty() && opened.processes == clock::processes() {
                self.control.watch(SERVICE, std::process::id(), false).await?;
            }
        }
        self.opened = Some(opened);
        Ok(())
    }

    /// Has the sidecar watch these processes, each under its name.
    ///
    /// # Errors
    /// If it does not.
    pub async fn watch(&self, processes: &[(String, u32)]) -> Result<(), PartError> {
        for (name, pid) in processes {
            self.control.watch(name, *pid, false).await?;
        }
        Ok(())
    }

    /// Services that are not ours are not stopped, which would have them send what they hold: their last spans come when
    /// their exporters' time has come. Until then the requests that they are missed in are open. Whoever interrupts the
    /// run goes without them.
    pub(super) async fn wait_for_spans(&self) -> Result<(), PartError> {
        if self.attached.is_none() {
            return Ok(());
        }
        let end = Instant::now() + LAST_SPANS;
        let all_there = async {
            while Instant::now() < end
                && self.control.stats().await?.get(TRACES_OPEN).is_some_and(|&open| open > 0)
            {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Ok(())
        };
        self.stop.run_until_cancelled(all_there).await.unwrap_or(Ok(()))
    }

    /// Nonce of the run that is open; none for load by hand.
    pub(super) fn nonce(&self) -> Option<&str> {
        self.opened.as_ref().map(|opened| &*opened.nonce)
    }

    /// Where the rows of the open run are, if the sidecar that has them is not ours.
    pub(super) fn elsewhere(&self) -> Option<Elsewhere<'_>> {
        let opened = self.opened.as_ref().filter(|_| self.attached.is_some())?;
        Some(Elsewhere::of(&self.control, opened, self.before.1))
    }

    /// Who tells InfluxDB of the run, and under which name.
    pub(super) fn points(&self) -> Points {
        match &self.opened {
            Some(opened) => Points::new(opened.influxdb.then(|| self.control.clone()), &opened.run),
            None => Points::new(None, ""),
        }
    }
}
