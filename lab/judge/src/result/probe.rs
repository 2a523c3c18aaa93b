//! What measuring costs: one cell by two arms, probes on and off, whose rounds ran in turn.

use lab_contrast::{In, Level, Mean, NoChange, Round, Statistic, change};
use lab_model::{CellMeasure, Certificate, ProbeCost, RoundMeasure};

use super::rounding::ratio;

/// The certificate of the cell called `cell`, which was measured with probes `on` and `off`. A pair in which not every
/// request was answered is left out: CPU per request means nothing of a queue.
///
/// # Errors
/// Why there is none.
pub fn certificate(cell: &str, on: &CellMeasure, off: &CellMeasure) -> Result<Certificate, String> {
    let of = |measure: &CellMeasure, number: u32| {
        measure.rounds.iter().find(|round| round.round == number).cloned()
    };
    let pairs: Vec<(RoundMeasure, RoundMeasure)> =
        on.rounds.iter().filter_map(|one| Some((one.clone(), of(off, one.round)?))).collect();
    let (kept, left_out): (Vec<_>, Vec<_>) =
        pairs.iter().partition(|(on, off)| answered(on) && answered(off));
    let (with, without): (Vec<Round>, Vec<Round>) =
        kept.iter().map(|(on, off)| (round(on), round(off))).unzip();
    let told = |statistic| change(&without, &with, statistic, In::Ratio);
    let cpu = told(Statistic::Cpu).map_err(|why| match (why, left_out.first()) {
        (NoChange::Unknown, _) => "a service is gone".to_owned(),
        (_, Some((on, off))) => unanswered(on, off),
        _ => "fewer than two pairs of rounds, or all in one order".to_owned(),
    })?;
    let mean = |rounds: &[Round], of: fn(&Round) -> f64| {
        rounds.iter().map(of).sum::<f64>() / rounds.len() as f64 * 1e3
    };
    let traced: u64 = kept.iter().map(|(on, _)| on.traced).sum();
    let all: u64 = kept.iter().map(|(on, _)| on.requests.ok).sum();
    let times = |mean: &Mean| {
        let (low, high) = mean.interval(Level::ALONE);
        (mean.value.exp(), (low.exp(), high.exp()))
    };
    let (cost, interval) = times(&cpu);
    Ok(Certificate {
        cost: ProbeCost {
            ratio: cost,
            interval,
            pairs: kept.len() as u32,
            cell: cell.to_owned(),
            traced_share: ratio(traced as f64, all as f64),
            latency: told(Statistic::Mean).ok().as_ref().map(times),
        },
        on_ns: mean(&with, |round| round.cpu.unwrap_or_default()),
        off_ns: mean(&without, |round| round.cpu.unwrap_or_default()),
        latency_on_ns: mean(&with, |round| round.latency),
        latency_off_ns: mean(&without, |round| round.latency),
        left_out: left_out.len() as u32,
    })
}

/// Whether every request of the round was.
fn answered(round: &RoundMeasure) -> bool {
    round.requests.ok > 0 && round.requests.ok >= round.requests.planned
}

fn unanswered(on: &RoundMeasure, off: &RoundMeasure) -> String {
    let (one, probes) = if answered(on) { (off, "off") } else { (on, "on") };
    let requests = one.requests;
    format!(
        "of {} requests of a round {} were dropped and {} failed with probes {probes}; ask for less",
        requests.planned, requests.dropped, requests.error
    )
}

fn round(measure: &RoundMeasure) -> Round {
    let of_each = |ns: u64| ns as f64 / measure.requests.ok as f64 / 1e3;
    Round {
        number: measure.round,
        latency: measure.latency.mean() / 1e3,
        cpu: measure.services_cpu_ns.map(of_each),
        answered: measure.latency.len(),
        ..Round::default()
    }
}
