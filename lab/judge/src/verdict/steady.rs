//! Was what was measured the same from one end to the other? Halves of rounds, and of turns, against each other.

use super::Reason;
use super::rules;
use crate::result::units::percent;
use crate::result::{CellResult, RoundResult};
use lab_contrast::{Level, Mean};

/// So many rounds it takes to tell a change that every round has from chance.
const ROUNDS_TO_TELL: usize = 4;

/// What can rise or fall while requests are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stretch {
    Round,
    /// Of a round in which cells took turns. Whoever falls behind in it has caught up before the next one begins.
    Turn,
}

impl Stretch {
    const fn name(self) -> &'static str {
        match self {
            Stretch::Round => "round",
            Stretch::Turn => "turn",
        }
    }

    /// The mean latencies of its two halves.
    fn halves(self, round: &RoundResult) -> Option<(f64, f64)> {
        match self {
            Stretch::Round => round.first_half_us.zip(round.second_half_us),
            Stretch::Turn => round.halves_of_turns_us,
        }
    }
}

/// How much longer the second half of a round, or of a turn, takes than its first, as a share, with an interval that
/// excludes no more than one in a thousand; `None` of too few rounds.
pub(super) fn half_against_half(cell: &CellResult, of: Stretch) -> Option<(f64, (f64, f64))> {
    let log =
        |first: f64, second: f64| (first > 0.0 && second > 0.0).then(|| (second / first).ln());
    let halves = cell.rounds.iter().filter_map(|round| of.halves(round));
    let logs: Vec<f64> = halves.filter_map(|(first, second)| log(first, second)).collect();
    let mean = (logs.len() >= ROUNDS_TO_TELL).then(|| Mean::of(&logs))??;
    let share = |log: f64| log.exp() - 1.0;
    // 0.95 to the power of one in fifty.
    let (low, high) = mean.interval(Level::together(50));
    Some((share(mean.value), (share(low), share(high))))
}

/// Judges whether latency rose or fell while requests were made.
pub(super) fn steady(cell: &CellResult, reasons: &mut Vec<Reason>) {
    for of in [Stretch::Round, Stretch::Turn] {
        let Some((change, (low, high))) = half_against_half(cell, of) else { continue };
        let surely = if low > 0.0 { low } else { -high };
        let past = rules::NOT_STEADY.check(surely, |limit| {
            let (way, least) = if change > 0.0 { ("longer", low) } else { ("less", -high) };
            format!(
                "the second half of a {} took {} {way} than its first, surely {} (99.9 % interval; limit {}): the mean is \
                 that of a state that did not last. Warm up longer, or ask for less",
                of.name(),
                percent(change.abs()),
                percent(least),
                percent(limit)
            )
        });
        if past.is_some() {
            return reasons.extend(past);
        }
    }
}
