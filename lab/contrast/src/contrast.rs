//! Two arms against each other, part by part: differences that add up, and ratios of what is always above 0.

use serde::{Deserialize, Serialize};

use crate::mean::{Level, Mean};

/// Answers that a round needs for its p99 to get an interval: of fewer, a handful of requests would decide.
pub const P99_ANSWERS: u64 = 1_000;

/// What a round of one arm says. Times are microseconds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Round {
    /// Its number in the run, which says which arm went first: even ones begin with one arm, odd ones with the other.
    pub number: u32,
    /// Mean latency of the requests whose parts are known.
    pub mean: f64,
    /// Mean latency of all.
    pub latency: f64,
    /// The parts of `mean`, in the same order in all rounds; with what no part explains among them they add up to it.
    pub parts: Vec<f64>,
    /// CPU time of the services per request, where it is known.
    pub cpu: Option<f64>,
    /// The median of the latency.
    pub p50: f64,
    /// Its 90th percentile.
    pub p90: f64,
    /// Its 99th percentile.
    pub p99: f64,
    /// Requests that were answered.
    pub answered: u64,
}

/// A difference, the second arm's less the first's, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Mean over the pairs of rounds.
    pub us: f64,
    /// Its 95 % interval by itself.
    pub alone: (f64, f64),
    /// Its wider interval, with which all intervals of the run hold together with 95 %: this one decides.
    pub together: (f64, f64),
    /// The smallest true difference that four of five such runs would have found.
    pub visible: f64,
}

impl Difference {
    /// Whether a difference was found: 0 is outside of the interval in [`Self::together`].
    #[must_use]
    pub fn found(&self) -> bool {
        self.together.0 > 0.0 || self.together.1 < 0.0
    }
}

/// The second arm's over the first's, with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// The geometric mean over the pairs of rounds.
    pub ratio: f64,
    /// Its interval.
    pub interval: (f64, f64),
}

/// One arm less another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contrast {
    /// Pairs of rounds.
    pub pairs: usize,
    /// Of the mean latency.
    pub mean: Difference,
    /// Of its parts, in their order; they add up to `mean`. Parts that neither arm has are `None`.
    pub parts: Vec<Option<Difference>>,
    /// Of the mean latency of all requests.
    pub latency: Ratio,
    /// Of the services' CPU time per request, where both arms know it.
    pub cpu: Option<Ratio>,
    /// Of the 99th percentile, where every round of both has enough answers for one.
    pub p99: Option<Ratio>,
}

/// The second arm of each pair against its first. Rounds are paired in their order, each with its like by number. The
/// differences of means and parts of *all* that are given hold together; `None` where there are too few rounds.
#[must_use]
pub fn contrasts(arms: &[(&[Round], &[Round])]) -> Vec<Option<Contrast>> {
    let raw: Vec<_> = arms.iter().map(|(first, second)| Paired::of(first, second)).collect();
    let tested: usize =
        raw.iter().flatten().map(|paired| 1 + paired.parts.iter().flatten().count()).sum();
    let together = Level::together(tested);
    raw.into_iter().map(|paired| Some(paired?.at(together))).collect()
}

/// Means over pairs that have not got their intervals yet.
struct Paired {
    pairs: usize,
    mean: Mean,
    parts: Vec<Option<Mean>>,
    latency: Mean,
    cpu: Option<Mean>,
    p99: Option<Mean>,
}

impl Paired {
    fn of(first: &[Round], second: &[Round]) -> Option<Paired> {
        let pairs: Vec<_> = std::iter::zip(first, second).collect();
        let over = |difference: &dyn Fn(&Round, &Round) -> Option<f64>| {
            let values = pairs.iter().map(|(a, b)| Some((a.number, difference(a, b)?)));
            Mean::of_rounds(&values.collect::<Option<Vec<_>>>()?)
        };
        let count = pairs.first().map_or(0, |(round, _)| round.parts.len());
        let part = |index: usize| {
            let there = pairs.iter().any(|(a, b)| a.parts[index] != 0.0 || b.parts[index] != 0.0);
            there.then(|| over(&|a, b| Some(b.parts[index] - a.parts[index])))?
        };
        let enough = |round: &Round| round.answered >= P99_ANSWERS;
        Some(Paired {
            pairs: pairs.len(),
            mean: over(&|a, b| Some(b.mean - a.mean))?,
            parts: (0..count).map(part).collect(),
            latency: over(&|a, b| log(b.latency, a.latency))?,
            cpu: over(&|a, b| log(b.cpu?, a.cpu?)),
            p99: over(&|a, b| (enough(a) && enough(b)).then(|| log(b.p99, a.p99))?),
        })
    }

    fn at(&self, together: Level) -> Contrast {
        let difference = |mean: &Mean| Difference {
            us: mean.value,
            alone: mean.interval(Level::ALONE),
            together: mean.interval(together),
            visible: mean.visible(together),
        };
        Contrast {
            pairs: self.pairs,
            mean: difference(&self.mean),
            parts: self.parts.iter().map(|part| part.as_ref().map(difference)).collect(),
            latency: ratio(&self.latency),
            cpu: self.cpu.as_ref().map(ratio),
            p99: self.p99.as_ref().map(ratio),
        }
    }
}

fn log(over: f64, under: f64) -> Option<f64> {
    (over > 0.0 && under > 0.0).then(|| (over / under).ln())
}

fn ratio(mean: &Mean) -> Ratio {
    let (low, high) = mean.interval(Level::ALONE);
    Ratio { ratio: mean.value.exp(), interval: (low.exp(), high.exp()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(number: u32, parts: &[f64]) -> Round {
        let mean = parts.iter().sum();
        Round {
            number,
            mean,
            latency: mean,
            parts: parts.to_vec(),
            cpu: Some(40.0),
            p50: mean,
            p90: mean * 2.0,
            p99: mean * 3.0,
            answered: 1_000,
        }
    }

    fn arm(shift: f64) -> Vec<Round> {
        let noise = [0.0, 1.0, -1.0, 0.5, -0.5, 0.0, 0.3, -0.3];
        let parts = noise.map(|noise| [100.0 + shift + noise, 50.0 - noise / 2.0, 0.0]);
        (0..).zip(parts).map(|(number, parts)| round(number, &parts)).collect()
    }

    #[test]
    fn the_parts_of_a_difference_add_up_to_it() {
        let (first, mut second) = (arm(0.0), arm(7.0));
        second.rotate_left(3);
        let contrast = contrasts(&[(&first, &second)]).remove(0).unwrap();
        let sum: f64 = contrast.parts.iter().flatten().map(|part| part.us).sum();
        assert!((sum - contrast.mean.us).abs() < 1e-9, "{sum} and {}", contrast.mean.us);
        assert_eq!(contrast.parts[2], None, "a part that neither has is not tested");
    }

    #[test]
    fn a_difference_is_found_in_its_part_and_in_no_other() {
        let (first, mut second) = (arm(0.0), arm(7.0));
        second.rotate_left(3);
        let contrast = contrasts(&[(&first, &second)]).remove(0).unwrap();
        assert!(contrast.mean.found() && contrast.parts[0].unwrap().found());
        assert!(!contrast.parts[1].unwrap().found());
        assert!(contrast.latency.interval.0 > 1.0);
    }

    #[test]
    fn what_is_decided_together_is_wider_the_more_is_decided() {
        let (first, mut second) = (arm(0.0), arm(7.0));
        second.rotate_left(3);
        let one = contrasts(&[(&first, &second)]).remove(0).unwrap().mean;
        let many = contrasts(&vec![(&*first, &*second); 8]).remove(0).unwrap().mean;
        assert_eq!(one.alone, many.alone);
        assert!(many.together.1 > one.together.1 && many.visible > one.visible);
    }

    #[test]
    fn one_round_is_no_contrast_and_few_answers_are_no_p99() {
        let (first, second) = (arm(0.0), arm(7.0));
        assert_eq!(contrasts(&[(&first[..1], &second[..1])]), [None]);
        let mut few = second.clone();
        few[3].answered = 999;
        assert_eq!(contrasts(&[(&first, &few)]).remove(0).unwrap().p99, None);
        assert!(contrasts(&[(&first, &second)]).remove(0).unwrap().p99.is_some());
    }

    #[test]
    fn a_round_without_cpu_leaves_the_ratio_of_cpu_out() {
        let (first, mut second) = (arm(0.0), arm(7.0));
        second[0].cpu = None;
        assert_eq!(contrasts(&[(&first, &second)]).remove(0).unwrap().cpu, None);
    }
}
