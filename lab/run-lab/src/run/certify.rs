//! What measuring costs on one cell: an experiment of two arms, probes on and off, as any other.
//!
//! What is compared is the CPU time that the services used for a request, and its latency by the load generator's own
//! stopwatch. A plan's certification and `run-lab certify` both come here.

use super::RunError;
use super::load::Load;
use lab_judge::result::certificate;
use lab_model::event::LabEvent;
use lab_model::plan::{Certify, SETTLE_NS};
use lab_model::{CellMeasure, Certificate};

impl Load<'_> {
    /// Measures the cost of the probe as `plan` says, on the cell that is `place` (of how many).
    ///
    /// # Errors
    /// If the services do not start. That it could not be measured is no error, but a reason.
    pub(super) async fn certify(
        &mut self,
        plan: &Certify,
        place: (usize, usize),
    ) -> Result<Result<Certificate, String>, RunError> {
        let cell = plan.cell.id.clone();
        self.reporter.on(&LabEvent::Certifying { pairs: plan.pairs, cell: cell.clone(), place });
        let mut arms = plan.arms().map(|cell| CellMeasure { cell, rounds: Vec::new() });
        // k6 spans its requests itself, whatever the probes do.
        let k6 = self.k6.take();
        let passed = self.certifying(&mut arms, plan.pairs).await;
        self.k6 = k6;
        passed?;
        let [on, off] = &arms;
        let certificate = match self.halt.is_cancelled() {
            true => Err("it was stopped".to_owned()),
            false => certificate(&cell, on, off),
        };
        self.reporter.on(&match certificate.clone() {
            Ok(certificate) => LabEvent::Certified(certificate),
            Err(reason) => LabEvent::NotCertified { cell, reason },
        });
        Ok(certificate)
    }

    /// All rounds of both arms. Their requests belong to no cell of the run.
    async fn certifying(&mut self, arms: &mut [CellMeasure], pairs: u32) -> Result<(), RunError> {
        let settle_ns = std::mem::replace(&mut self.settle_ns, SETTLE_NS);
        let counts = std::mem::replace(&mut self.counts, false);
        let mut passed = Ok(());
        for round in 0..pairs {
            passed = self.pass(arms, round).await;
            if passed.is_err() || self.halt.is_cancelled() {
                break;
            }
        }
        (self.settle_ns, self.counts) = (settle_ns, counts);
        passed
    }
}
