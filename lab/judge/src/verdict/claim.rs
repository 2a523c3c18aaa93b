//! What may be claimed of two cells, in a sentence: a difference with its interval and where it comes from, or that none
//! was seen and how large one would have had to be.

use super::explanation::family_words;
use crate::result::units::{time, trimmed};
use crate::result::{ContrastResult, RESIDUAL};
use lab_contrast::{Difference, Ratio};

/// `claim` about the second cell, called `second`, against the first.
pub(super) fn sentence(claim: &ContrastResult, first: &str, second: &str) -> String {
    let mean = claim.mean;
    if !mean.found() {
        return format!(
            "no difference seen; less than {} would not have been, from {} pairs of rounds",
            time(mean.visible),
            claim.pairs
        );
    }
    let slower = if mean.us > 0.0 { second } else { first };
    let (mean, latency) = if mean.us > 0.0 {
        (mean, claim.latency)
    } else {
        (opposite(mean), inverse(claim.latency))
    };
    format!(
        "{slower} takes {} longer {}, {}× {}{}",
        time(mean.us),
        interval(mean.together, time),
        trimmed(latency.ratio),
        interval(latency.interval, |ratio| format!("{ratio:.2}")),
        parts(claim)
    )
}

/// The families whose part was found, the largest first, as they add to what the slower one takes longer.
fn parts(claim: &ContrastResult) -> String {
    let turned = |difference: Difference| {
        if claim.mean.us > 0.0 { difference } else { opposite(difference) }
    };
    let mut found: Vec<(&str, Difference)> = claim
        .parts
        .iter()
        .filter(|part| part.difference.found())
        .map(|part| (part.family.as_str(), turned(part.difference)))
        .collect();
    found.sort_by(|(_, one), (_, other)| other.us.abs().total_cmp(&one.us.abs()));
    if found.is_empty() {
        return "; of no family alone can that be said".to_owned();
    }
    let words = |(family, part): &(&str, Difference)| {
        let name = if *family == RESIDUAL { "unexplained" } else { family_words(family) };
        format!("{} {name} {}", time(part.us), interval(part.together, time))
    };
    format!(": {}", found.iter().map(words).collect::<Vec<_>>().join(", "))
}

fn interval((low, high): (f64, f64), write: impl Fn(f64) -> String) -> String {
    format!("[{}, {}]", write(low), write(high))
}

fn opposite(Difference { us, alone, together, visible }: Difference) -> Difference {
    let turn = |(low, high): (f64, f64)| (-high, -low);
    Difference { us: -us, alone: turn(alone), together: turn(together), visible }
}

fn inverse(Ratio { ratio, interval: (low, high) }: Ratio) -> Ratio {
    Ratio { ratio: 1.0 / ratio, interval: (1.0 / high, 1.0 / low) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::Part;

    fn difference(us: f64, half: f64) -> Difference {
        let around = |half: f64| (us - half, us + half);
        Difference { us, alone: around(half / 2.0), together: around(half), visible: half * 1.3 }
    }

    fn claim(us: f64, half: f64) -> ContrastResult {
        let part = |family: &str, us: f64| Part {
            family: family.to_owned(),
            difference: difference(us, half / 2.0),
        };
        ContrastResult {
            first: "rest-10B".to_owned(),
            second: "grpc-10B".to_owned(),
            pairs: 6,
            mean: difference(us, half),
            parts: vec![part("queue", us * 0.7), part("framing", us * 0.3), part("network", 0.0)],
            latency: Ratio { ratio: 1.25, interval: (1.1, 1.4) },
            cpu: None,
            p99: None,
            noise_floor_us: None,
        }
    }

    #[test]
    fn a_difference_is_told_with_its_interval_and_the_families_it_comes_from() {
        assert_eq!(
            sentence(&claim(100.0, 40.0), "REST", "gRPC"),
            "gRPC takes 100 µs longer [60.0 µs, 140 µs], 1.25× [1.10, 1.40]: 70.0 µs queueing [50.0 µs, 90.0 µs], \
             30.0 µs framing [10.0 µs, 50.0 µs]"
        );
    }

    #[test]
    fn the_slower_one_is_named_whichever_it_is() {
        assert_eq!(
            sentence(&claim(-100.0, 90.0), "REST", "gRPC"),
            "REST takes 100 µs longer [10.0 µs, 190 µs], 0.8× [0.71, 0.91]: 70.0 µs queueing [25.0 µs, 115 µs]"
        );
    }

    #[test]
    fn where_none_is_seen_the_least_that_would_have_been_is_told() {
        assert_eq!(
            sentence(&claim(10.0, 40.0), "REST", "gRPC"),
            "no difference seen; less than 52.0 µs would not have been, from 6 pairs of rounds"
        );
    }

    #[test]
    fn a_difference_that_is_in_no_family_alone_is_said_to_be_so() {
        let mut claim = claim(100.0, 90.0);
        claim.parts.iter_mut().for_each(|part| part.difference = difference(50.0, 60.0));
        assert!(sentence(&claim, "REST", "gRPC").ends_with("of no family alone can that be said"));
    }
}
