//! A system that runs already: where it is, and the rows that its sidecar keeps of a run.

use lab_judge::Rows;
use lab_launch::{Control, ControlError, Opened, Token};
use lab_model::{Entry, System};
use ledger::clock;
use settings::PeerUrl;
use sidecar::runfile::{ProcessSample, RequestRow};

/// A system that runs already.
#[derive(Debug, Clone)]
pub struct Attachment {
    /// Where load generators ask.
    pub target: PeerUrl,
    /// Where its sidecar is controlled.
    pub sidecar: PeerUrl,
    /// The token that this asks for, if it does.
    pub token: Option<Token>,
    /// Where it takes spans, if not where it says.
    pub otlp: Option<PeerUrl>,
}

impl Attachment {
    /// The same as results name it.
    #[must_use]
    pub fn system(&self) -> System {
        System::Attached { target: self.target.to_string(), sidecar: self.sidecar.to_string() }
    }

    /// Who is asked.
    pub(super) fn entry(&self) -> Entry {
        let authority = self.target.uri().authority();
        let name = authority.map(|authority| authority.to_string()).unwrap_or_default();
        Entry { url: self.target.to_string(), name }
    }

    /// Where spans go: where somebody says, else on the sidecar's host, by the port that it says.
    pub(super) fn otlp(&self, opened: &Opened) -> String {
        if let Some(otlp) = &self.otlp {
            return otlp.to_string();
        }
        let host = self.sidecar.uri().host().unwrap_or_default();
        format!("http://{host}:{}", opened.otlp)
    }
}

/// The request that a line of a sidecar's answer is.
pub(super) fn row_of(line: &[u8]) -> Result<RequestRow, String> {
    let row = serde_json::from_slice(line);
    row.map_err(|error| format!("a row that this version cannot read: {error}"))
}

/// The rows of one run, asked of the sidecar that has them.
pub(super) struct Elsewhere<'a> {
    control: &'a Control,
    opened: &'a Opened,
    /// When the run began: what was sampled before is no sample of it.
    from_ns: u64,
}

impl Elsewhere<'_> {
    pub(super) fn of<'a>(control: &'a Control, opened: &'a Opened, from_ns: u64) -> Elsewhere<'a> {
        Elsewhere { control, opened, from_ns }
    }

    async fn rows(
        &self,
        cell: &str,
        hops: &str,
        take: &mut dyn FnMut(&RequestRow),
    ) -> Result<(), ControlError> {
        let questions = [("run", &*self.opened.nonce), ("cell", cell), ("hops", hops)];
        let mut read = |line: &[u8]| {
            take(&row_of(line)?);
            Ok(())
        };
        self.control.lines("/rows", &questions, &mut read).await
    }
}

impl Rows for Elsewhere<'_> {
    type Error = ControlError;

    /// None where the sidecar's clock is not this one: then nobody can tell which of them are of a round.
    async fn samples(&mut self) -> Result<Vec<ProcessSample>, ControlError> {
        let mut samples = Vec::new();
        if self.opened.clock.is_empty() || self.opened.clock != clock::identity() {
            return Ok(samples);
        }
        let mut read = |line: &[u8]| {
            let sample = serde_json::from_slice(line);
            samples.push(
                sample
                    .map_err(|error| format!("a sample that this version cannot read: {error}"))?,
            );
            Ok(())
        };
        let from = self.from_ns.to_string();
        self.control.lines("/samples", &[("from", &from)], &mut read).await?;
        Ok(samples)
    }

    async fn each(
        &mut self,
        cell: &str,
        take: &mut dyn FnMut(&RequestRow),
    ) -> Result<(), ControlError> {
        self.rows(cell, "true", take).await
    }

    async fn each_alone(
        &mut self,
        cell: &str,
        take: &mut dyn FnMut(&RequestRow),
    ) -> Result<(), ControlError> {
        self.rows(cell, "false", take).await
    }
}
