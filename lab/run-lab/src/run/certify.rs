//! What measuring costs on one cell: the same load on two pairs of services, one with probes and one
//! without.
//!
//! Rounds are paired and their order alternates (on off, off on, …), so that a drift of the machine
//! cancels. What is compared is the CPU time that gateway and echo used for a request, not latency:
//! it is what the probe takes, and hardly depends on what else the machine does. A plan's
//! certification and `run-lab certify` both come here.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::RunError;
use super::edge_client::EdgeClient;
use super::round::{begin, round};
use super::testbed::TestBed;
use lab_contrast::{Level, Mean};
use lab_drive::builtin::{Driver, Gateway, threads_cpu_ns};
use lab_launch::Services;
use lab_model::event::{LabEvent, Reporter};
use lab_model::plan::{Certify, SETTLE_NS};
use lab_model::{Cell, Certificate, Knobs, ProbeCost, Requests};

/// How often one pair is measured before it is given up: a machine that was disturbed once is quiet
/// again, one that cannot keep the rate never is.
const ATTEMPTS: u32 = 3;

/// All that a certification needs.
pub(super) struct Certifier<'a> {
    pub(super) driver: &'a Driver,
    pub(super) testbed: &'a TestBed,
    pub(super) reporter: &'a mut dyn Reporter,
    /// Cancelled when it is to stop.
    pub(super) halt: &'a CancellationToken,
    /// A request that is not answered for so long is an error, in nanoseconds.
    pub(super) timeout_ns: u64,
}

/// A measurement, or why there is none.
type Measured<T> = Result<T, String>;

/// One of the two arms.
struct Arm {
    services: Services,
    edge: EdgeClient,
}

/// What a round cost.
#[derive(Clone, Copy)]
struct Cost {
    /// CPU time of the services per request, in nanoseconds.
    cpu_ns: f64,
    /// Share of the requests that was traced.
    traced: f64,
}

/// What both rounds of a pair cost.
struct Pair {
    on: Cost,
    off: Cost,
}

impl Certifier<'_> {
    /// Measures the cost of the probe as `plan` says, on the cell that is `place` (of how many).
    ///
    /// # Errors
    /// If the services do not start. That it could not be measured is no error, but a reason.
    pub(super) async fn certify(
        &mut self,
        plan: &Certify,
        place: (usize, usize),
    ) -> Result<Measured<Certificate>, RunError> {
        let cell = plan.cell.id.clone();
        let (pairs, pair_ns) = (plan.pairs, plan.pair_ns());
        self.reporter.on(&LabEvent::Certifying { pairs, pair_ns, cell: cell.clone(), place });
        let on = self.start(&plan.cell, false).await?;
        let off = match self.start(&plan.cell, true).await {
            Ok(off) => off,
            Err(error) => {
                on.stop().await;
                return Err(error);
            }
        };
        let certificate = self.compare(plan, &on, &off).await;
        on.stop().await;
        off.stop().await;
        let certificate = certificate?;
        self.reporter.on(&match certificate.clone() {
            Ok(certificate) => LabEvent::Certified(certificate),
            Err(reason) => LabEvent::NotCertified { cell, reason },
        });
        Ok(certificate)
    }

    async fn start(&self, cell: &Cell, probes_off: bool) -> Result<Arm, RunError> {
        let knobs = Knobs { probes_off, ..cell.knobs.clone() };
        let suffix = if probes_off { "-probes-off" } else { "-probes-on" };
        let services = self.testbed.start_beside(&knobs, suffix).await?;
        let edge = self.testbed.edge_to(&knobs, &services)?;
        Ok(Arm { services, edge })
    }

    /// Warms both arms up and measures all pairs.
    async fn compare(
        &mut self,
        plan: &Certify,
        on: &Arm,
        off: &Arm,
    ) -> Result<Measured<Certificate>, RunError> {
        let warmup = Cell { duration_ns: plan.cell.warmup_ns, warmup_ns: 0, ..plan.cell.clone() };
        // What the warm-up cost, and whether all of it was answered, is nobody's business.
        let _ = self.round(&warmup, on).await?;
        let _ = self.round(&warmup, off).await?;
        let mut pairs = Vec::new();
        let mut discarded = 0;
        for number in 0..plan.pairs {
            let mut attempt = 1;
            let pair = loop {
                let pair = self.pair(plan, number, on, off).await?;
                if self.halt.is_cancelled() {
                    return Ok(Err("it was stopped".to_owned()));
                }
                match pair {
                    Ok(pair) => break pair,
                    Err(reason) => {
                        let reason = format!("pair {} of {}: {reason}", number + 1, plan.pairs);
                        if attempt == ATTEMPTS {
                            return Ok(Err(format!(
                                "{reason}, {ATTEMPTS} times running; ask for less than {}/s",
                                plan.cell.rate
                            )));
                        }
                        attempt += 1;
                        discarded += 1;
                        self.reporter.on(&LabEvent::PairDiscarded { reason });
                    }
                }
            };
            pairs.push(pair);
            self.reporter.on(&LabEvent::Paired { done: number + 1 });
        }
        Ok(certificate(&plan.cell.id, &pairs, discarded))
    }

    /// One pair of rounds. Even ones begin with probes on, odd ones with probes off.
    async fn pair(
        &self,
        plan: &Certify,
        number: u32,
        on: &Arm,
        off: &Arm,
    ) -> Result<Measured<Pair>, RunError> {
        let cell = Cell { warmup_ns: 0, ..plan.cell.clone() };
        let on_first = number.is_multiple_of(2);
        let (first, second) = if on_first { (on, off) } else { (off, on) };
        let first = match self.round(&cell, first).await? {
            Ok(cost) => cost,
            Err(reason) => return Ok(Err(reason)),
        };
        let second = self.round(&cell, second).await?;
        Ok(second.map(|second| {
            let (on, off) = if on_first { (first, second) } else { (second, first) };
            Pair { on, off }
        }))
    }

    /// One round on one arm.
    async fn round(&self, cell: &Cell, arm: &Arm) -> Result<Measured<Cost>, RunError> {
        let round = round(cell, 0, self.timeout_ns);
        let before = arm.cpu_ns();
        let target = Gateway::new(&arm.edge.connections, cell, "", 0, round.sampling.weight());
        let measured = begin(self.driver, target, round, self.halt)?.finish().await;
        let settle = tokio::time::sleep(Duration::from_nanos(SETTLE_NS));
        let _ = self.halt.run_until_cancelled(settle).await;
        let Some((before, after)) = before.zip(arm.cpu_ns()) else {
            return Ok(Err("a service is gone".to_owned()));
        };
        let requests = measured.requests;
        if requests.ok == 0 || requests.ok < requests.planned {
            let probes = if arm.services.knobs.probes_off { "off" } else { "on" };
            return Ok(Err(unanswered(requests, probes)));
        }
        let all = requests.ok as f64;
        let cpu_ns = after.saturating_sub(before) as f64 / all;
        Ok(Ok(Cost { cpu_ns, traced: measured.traced as f64 / all }))
    }
}

impl Arm {
    async fn stop(self) {
        self.edge.stop().await;
        self.services.stop().await;
    }

    /// CPU time that both services have used, in nanoseconds.
    fn cpu_ns(&self) -> Option<u64> {
        self.services.parts().map(|part| threads_cpu_ns(part.pid)).sum()
    }
}

fn unanswered(requests: Requests, probes: &str) -> String {
    format!(
        "of {} requests {} were dropped and {} failed with probes {probes}",
        requests.planned, requests.dropped, requests.error
    )
}

fn certificate(cell: &str, pairs: &[Pair], discarded: u32) -> Measured<Certificate> {
    let ratios: Vec<f64> = pairs.iter().map(|pair| pair.on.cpu_ns / pair.off.cpu_ns).collect();
    let ratio = Mean::of_alternating(&ratios).ok_or_else(|| "fewer than two pairs".to_owned())?;
    let mean = |value: fn(&Pair) -> f64| pairs.iter().map(value).sum::<f64>() / pairs.len() as f64;
    Ok(Certificate {
        cost: ProbeCost {
            ratio: ratio.value,
            interval: ratio.interval(Level::ALONE),
            pairs: pairs.len() as u32,
            cell: cell.to_owned(),
            traced_share: mean(|pair| pair.on.traced),
        },
        on_ns: mean(|pair| pair.on.cpu_ns),
        off_ns: mean(|pair| pair.off.cpu_ns),
        discarded,
    })
}
