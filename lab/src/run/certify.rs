//! What measuring costs: the same load on two pairs of services, one with probes and one without.
//!
//! Rounds are paired and their order alternates (on off, off on, …), so that a drift of the machine
//! cancels. What is compared is the CPU time that gateway and echo used for a request, not latency:
//! it is what the probe takes, and hardly depends on what else the machine does.

use std::time::Duration;

use super::edge::Edge;
use super::load::{self, Load};
use super::{RunError, student};
use crate::driver::{Gateway, threads_cpu_ns};
use crate::event::LabEvent;
use crate::launch::Services;
use crate::model::{Cell, Knobs, ProbeCost};
use crate::plan::Certify;

/// Spans wait up to 500 ms for others before they are sent: their sending belongs to the round that
/// made them.
const SETTLE: Duration = Duration::from_millis(750);

/// One of the two arms.
struct Arm {
    services: Services,
    edge: Edge,
}

impl Arm {
    async fn start(load: &Load<'_>, cell: &Cell, probes_off: bool) -> Result<Arm, RunError> {
        let knobs = Knobs { probes_off, ..cell.knobs.clone() };
        let services =
            load.rig.pair(&knobs, if probes_off { "-probes-off" } else { "-probes-on" }).await?;
        let edge = load.rig.edge_to(&knobs, &services)?;
        Ok(Arm { services, edge })
    }

    async fn stop(self) {
        self.edge.stop().await;
        self.services.stop().await;
    }

    /// CPU time that both services have used, in nanoseconds.
    fn cpu_ns(&self) -> Option<u64> {
        Some(threads_cpu_ns(self.services.gateway.pid)? + threads_cpu_ns(self.services.echo.pid)?)
    }

    /// One round: CPU time of the services per answered request, in nanoseconds, and the share of the
    /// requests that was traced.
    async fn round(&self, load: &Load<'_>, cell: &Cell) -> Result<Option<(f64, f64)>, RunError> {
        let round = load::round(cell, 0, load.plan.timeout_ns);
        let weight = round.sampling.weight();
        let before = self.cpu_ns();
        let target = Gateway::new(&self.edge.connections, cell, "", 0, weight);
        let measured = load::begin(load.driver, target, round, &load.halt)?.finish().await;
        tokio::time::sleep(SETTLE).await;
        let used = before.zip(self.cpu_ns()).map(|(before, after)| after.saturating_sub(before));
        let ok = measured.requests.ok;
        let clean = ok > 0 && ok == measured.requests.planned;
        Ok(used
            .filter(|_| clean)
            .map(|used| (used as f64 / ok as f64, measured.traced as f64 / ok as f64)))
    }
}

/// Measures the cost of the probe as `plan` says; `None` if it could not be measured.
pub(super) async fn certify(
    load: &mut Load<'_>,
    plan: &Certify,
) -> Result<Option<ProbeCost>, RunError> {
    load.reporter.on(&LabEvent::Certifying {
        pairs: plan.pairs,
        pair_ns: 2 * plan.cell.duration_ns,
        cell: plan.cell.id.clone(),
    });
    let on = Arm::start(load, &plan.cell, false).await?;
    let off = match Arm::start(load, &plan.cell, true).await {
        Ok(off) => off,
        Err(error) => {
            on.stop().await;
            return Err(error);
        }
    };
    let cost = compare(load, plan, &on, &off).await;
    on.stop().await;
    off.stop().await;
    let cost = cost?;
    match &cost {
        Ok(cost) => load.reporter.on(&LabEvent::Certified(cost.clone())),
        Err(reason) => load.reporter.on(&LabEvent::NotCertified { reason: reason.clone() }),
    }
    Ok(cost.ok())
}

async fn compare(
    load: &mut Load<'_>,
    plan: &Certify,
    on: &Arm,
    off: &Arm,
) -> Result<Result<ProbeCost, String>, RunError> {
    let round = Cell { warmup_ns: 0, ..plan.cell.clone() };
    let warmup = Cell { duration_ns: plan.cell.warmup_ns, ..round.clone() };
    on.round(load, &warmup).await?;
    off.round(load, &warmup).await?;
    let (mut ratios, mut traced) = (Vec::new(), 0.0);
    for pair in 0..plan.pairs {
        let (with, without) = if pair.is_multiple_of(2) {
            let with = on.round(load, &round).await?;
            (with, off.round(load, &round).await?)
        } else {
            let without = off.round(load, &round).await?;
            (on.round(load, &round).await?, without)
        };
        if load.halt.is_cancelled() {
            return Ok(Err("the run was stopped".to_owned()));
        }
        let Some(((with, share), (without, _))) = with.zip(without) else {
            return Ok(Err(format!(
                "not every request of pair {} of {} was answered",
                pair + 1,
                plan.pairs
            )));
        };
        ratios.push(with / without);
        traced += share;
        load.reporter.on(&LabEvent::Paired { done: pair + 1 });
    }
    let interval = student::interval(&ratios).ok_or_else(|| "fewer than two pairs".to_owned());
    Ok(interval.map(|(ratio, interval)| ProbeCost {
        ratio,
        interval,
        pairs: plan.pairs,
        cell: plan.cell.id.clone(),
        traced_share: traced / f64::from(plan.pairs),
    }))
}
