//! How much one number of an arm has changed, as a limit is held against it.

use statrs::statistics::Statistics;

use crate::contrast::{P99_ANSWERS, Round};
use crate::mean::Mean;

/// What of a round is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statistic {
    /// Mean latency of all requests.
    Mean,
    /// Median latency.
    P50,
    /// 90th percentile of the latency.
    P90,
    /// 99th percentile of the latency, where each round has answers enough for one.
    P99,
    /// CPU time of the services per request.
    Cpu,
    /// One of the parts of the mean, by its index. A part that does not exist counts as 0.
    Part(usize),
}

/// The unit that a change is told in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum In {
    /// The logarithm of the ratio, the second arm's over the first's.
    Ratio,
    /// Microseconds, the second arm's less the first's.
    Microseconds,
}

/// Why nothing can be said of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoChange {
    /// There are too few pairs of rounds.
    Rounds,
    /// A round does not have the number.
    Unknown,
    /// A round has too few answers for a 99th percentile.
    Answers,
}

impl Statistic {
    fn of(self, round: &Round) -> Result<f64, NoChange> {
        match self {
            Statistic::Mean => Ok(round.latency),
            Statistic::P50 => Ok(round.p50),
            Statistic::P90 => Ok(round.p90),
            Statistic::P99 if round.answered < P99_ANSWERS => Err(NoChange::Answers),
            Statistic::P99 => Ok(round.p99),
            Statistic::Cpu => round.cpu.ok_or(NoChange::Unknown),
            Statistic::Part(place) => round.parts.get(place).copied().ok_or(NoChange::Unknown),
        }
    }

    fn told(self, round: &Round, told: In) -> Result<f64, NoChange> {
        let value = self.of(round)?;
        match told {
            In::Microseconds => Ok(value),
            // What took no time at all has no logarithm.
            In::Ratio if value > 0.0 => Ok(value.ln()),
            In::Ratio => Err(NoChange::Unknown),
        }
    }
}

/// How much `statistic` of the second arm differs from that of the first, whose rounds ran in turn with its own.
///
/// # Errors
/// [`NoChange`] says why nothing can be said.
pub fn change(
    first: &[Round],
    second: &[Round],
    statistic: Statistic,
    told: In,
) -> Result<Mean, NoChange> {
    let pair = |(a, b): (&Round, &Round)| {
        Ok((a.number, statistic.told(b, told)? - statistic.told(a, told)?))
    };
    let differences: Vec<(u32, f64)> =
        std::iter::zip(first, second).map(pair).collect::<Result<_, _>>()?;
    Mean::of_rounds(&differences).ok_or(NoChange::Rounds)
}

/// How many runs a side needs at least to be compared: of two runs the spread is as good as unknown.
const RUNS: usize = 3;

/// How much `statistic` of the second runs differs from that of the first. Each run counts as one value, all of its rounds
/// together, since much differs between runs that is the same within one.
///
/// The two sides may vary differently (B. L. Welch, "The generalization of 'Student's' problem when several different
/// population variances are involved", Biometrika 34, 1947).
///
/// # Errors
/// [`NoChange`] says why nothing can be said.
pub fn change_of_runs(
    first: &[Vec<Round>],
    second: &[Vec<Round>],
    statistic: Statistic,
    told: In,
) -> Result<Mean, NoChange> {
    if first.len().min(second.len()) < RUNS {
        return Err(NoChange::Rounds);
    }
    let run = |rounds: &Vec<Round>| {
        let values: Vec<f64> =
            rounds.iter().map(|round| statistic.told(round, told)).collect::<Result<_, _>>()?;
        if values.is_empty() { Err(NoChange::Unknown) } else { Ok((&values).mean()) }
    };
    let side = |runs: &[Vec<Round>]| {
        let values: Vec<f64> = runs.iter().map(run).collect::<Result<_, _>>()?;
        Mean::of(&values).ok_or(NoChange::Rounds)
    };
    let (first, second) = (side(first)?, side(second)?);
    let squares = first.error.powi(2) + second.error.powi(2);
    let each = |side: &Mean| side.error.powi(4) / side.freedom;
    let freedom = squares.powi(2) / (each(&first) + each(&second));
    Ok(Mean {
        value: second.value - first.value,
        error: squares.sqrt(),
        // Without any spread there is no error to have freedom in.
        freedom: if freedom.is_finite() { freedom } else { 1.0 },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mean::Level;

    fn rounds(means: &[f64]) -> Vec<Round> {
        let round = |(number, &latency): (u32, &f64)| Round {
            number,
            latency,
            p50: latency / 2.0,
            p99: latency * 3.0,
            answered: 1_000,
            ..Round::default()
        };
        (0..).zip(means).map(round).collect()
    }

    #[test]
    fn a_change_is_told_as_a_ratio_or_in_microseconds() {
        let (first, second) = (rounds(&[100.0; 6]), rounds(&[105.0; 6]));
        let of = |told| change(&first, &second, Statistic::Mean, told).unwrap().value;
        assert!((of(In::Ratio).exp() - 1.05).abs() < 1e-12);
        assert!((of(In::Microseconds) - 5.0).abs() < 1e-12);
    }

    #[test]
    fn a_round_that_is_missing_in_the_middle_turns_none_of_the_others_round() {
        // Whichever arm goes second takes 10 more; the arms are alike.
        let first: Vec<f64> = (0..8).map(|at| 100.0 + 10.0 * f64::from(at % 2)).collect();
        let second: Vec<f64> = (0..8).map(|at| 110.0 - 10.0 * f64::from(at % 2)).collect();
        let (mut first, mut second) = (rounds(&first), rounds(&second));
        first.remove(3);
        second.remove(3);
        let changed = change(&first, &second, Statistic::Mean, In::Microseconds).unwrap();
        assert!(changed.value.abs() < 1e-9 && changed.error < 1e-9, "{changed:?}");
    }

    #[test]
    fn what_rounds_do_not_have_does_not_change() {
        let (first, mut second) = (rounds(&[100.0; 6]), rounds(&[105.0; 6]));
        let of = |second: &[Round], statistic| change(&first, second, statistic, In::Ratio).err();
        assert_eq!(of(&second, Statistic::Cpu), Some(NoChange::Unknown));
        assert_eq!(of(&second[..1], Statistic::Mean), Some(NoChange::Rounds));
        second[4].answered = 999;
        assert_eq!(of(&second, Statistic::P99), Some(NoChange::Answers));
        assert_eq!(of(&second, Statistic::P50), None);
    }

    #[test]
    fn the_interval_of_runs_is_welchs() {
        // {1, 2, 3} and {2, 4, 6}: errors² 1/3 and 4/3, freedom (5/3)² / (1/18 + 16/18) = 2.941.
        let runs = |means: [f64; 3]| means.map(|mean| rounds(&[mean, mean])).to_vec();
        let (first, second) = (runs([1.0, 2.0, 3.0]), runs([2.0, 4.0, 6.0]));
        let mean = change_of_runs(&first, &second, Statistic::Mean, In::Microseconds).unwrap();
        assert!((mean.value - 2.0).abs() < 1e-12 && (mean.freedom - 2.941).abs() < 1e-3);
        assert!((mean.error - (5.0_f64 / 3.0).sqrt()).abs() < 1e-12);
        assert!(mean.half(Level::ALONE) > 3.0 * mean.error);
    }

    #[test]
    fn two_runs_of_each_are_too_few() {
        let runs = vec![rounds(&[1.0; 6]); 2];
        let three = vec![rounds(&[1.0; 6]); 3];
        let of =
            |a: &[Vec<Round>], b: &[Vec<Round>]| change_of_runs(a, b, Statistic::Mean, In::Ratio);
        assert_eq!(of(&runs, &three), Err(NoChange::Rounds));
        assert_eq!(of(&three, &runs), Err(NoChange::Rounds));
        assert!(of(&three, &three).is_ok());
    }
}
