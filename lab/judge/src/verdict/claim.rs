//! What may be claimed of two cells, in a sentence: a difference with its interval and where it comes from, or that none
//! was seen and how large one would have had to be.

use super::Status;
use super::diagnosis::overloaded;
use super::explanation::family_words;
use crate::result::units::{interval, percent, rate, time, trimmed};
use crate::result::{CellResult, ContrastResult, RESIDUAL, RunResult, TAIL};
use lab_contrast::{Difference, Ratio};
use lab_model::Capability;
use ledger::Family;

/// What may be said of two cells that differ in their protocol alone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Comparison<'a> {
    /// This, with its intervals. `doubted`: one of them is SUSPECT or UNCHECKED.
    Claim {
        /// What was computed of their rounds.
        contrast: &'a ContrastResult,
        /// A reader has to have a reason in mind.
        doubted: bool,
        /// The services were not started anew between rounds.
        one_start: bool,
    },
    /// Nothing, since one of them does not mean what it says.
    Invalid,
    /// Nothing of a protocol: more was asked than could be served.
    Overloaded,
    /// Nothing, since that takes two rounds of each at least.
    TooFewRounds,
}

/// What may be said of `first` and `second`, two cells of `result`.
#[must_use]
pub fn comparison<'a>(
    result: &'a RunResult,
    first: &CellResult,
    second: &CellResult,
) -> Comparison<'a> {
    let cells = [first, second];
    let status = |status| cells.iter().any(|cell| cell.verdict.status == status);
    if status(Status::Invalid) {
        return Comparison::Invalid;
    }
    if cells.iter().any(|cell| overloaded(cell)) {
        return Comparison::Overloaded;
    }
    let doubted = status(Status::Suspect) || status(Status::Unchecked);
    let of_both = |claim: &&ContrastResult| claim.first == first.id && claim.second == second.id;
    match result.contrasts.iter().find(of_both) {
        Some(contrast) => {
            let one_start = !result.system.can(Capability::Restart);
            Comparison::Claim { contrast, doubted, one_start }
        }
        None => Comparison::TooFewRounds,
    }
}

/// What is said of each claim about a system that was not started anew: how fast one start of it is, is not in the interval.
pub const ONE_START: &str = " (of this start only)";

/// `comparison` of two cells in words, by the names of their protocols.
#[must_use]
pub fn told(comparison: Comparison<'_>, cells: [&CellResult; 2], names: [&str; 2]) -> String {
    let [first, second] = cells;
    match comparison {
        Comparison::Claim { contrast, one_start, .. } => {
            let start = if one_start { ONE_START } else { "" };
            format!("{}{start}", sentence(contrast, names[0], names[1]))
        }
        Comparison::Invalid => "no comparison, since a cell of it is INVALID".to_owned(),
        Comparison::Overloaded => format!(
            "no comparison: of {}/s offered {}/s were served by {} and {}/s by {}, so the means of {} and {} are what overload \
             makes of them, not the cost of a protocol",
            rate(first.factors.rate_per_s),
            rate(first.load.completed_per_s),
            names[0],
            rate(second.load.completed_per_s),
            names[1],
            time(first.latency_us.mean),
            time(second.latency_us.mean)
        ),
        Comparison::TooFewRounds => {
            "no comparison, since that takes two rounds of each at least".to_owned()
        }
    }
}

/// `comparison` of two cells by their names, as short as a board has room for: which is faster, and by how much or why
/// that is not claimed.
#[must_use]
pub fn at_a_glance(comparison: Comparison<'_>, names: [&str; 2]) -> (String, String) {
    let nothing = |why: &str| ("no comparison".to_owned(), why.to_owned());
    let (claim, doubted, one_start) = match comparison {
        Comparison::Claim { contrast, doubted, one_start } => (contrast, doubted, one_start),
        Comparison::Invalid => return nothing("a cell of it is INVALID"),
        Comparison::Overloaded => return nothing("overloaded: the means are those of queues"),
        Comparison::TooFewRounds => return nothing("that takes two rounds of each at least"),
    };
    let doubt = if doubted { " (doubtful)" } else { "" };
    let start = if one_start { ONE_START } else { "" };
    if !claim.mean.found() {
        let least = time(claim.mean.visible);
        let why = format!("{least} or more would be seen{doubt}{start}");
        return ("no difference seen".to_owned(), why);
    }
    let (faster, mean) =
        if claim.mean.us > 0.0 { (names[0], claim.mean) } else { (names[1], opposite(claim.mean)) };
    let by = format!("by {} {}{doubt}{start}", time(mean.us), interval(mean.together, time));
    (format!("{faster} is faster"), by)
}

/// What the cell called `name` spends most of its time on, as short as a board has room for.
#[must_use]
pub fn mostly(cell: &CellResult, name: &str) -> String {
    let most = cell.families.iter().max_by(|a, b| a.share.total_cmp(&b.share));
    most.map_or_else(String::new, |most| {
        let family = Family::from_name(&most.family).map_or(most.family.as_str(), |it| it.label());
        format!("{name} mostly: {family}, {}", percent(most.share))
    })
}

/// How little can be seen where no difference was: the least that would have been, and the noise that it had to be above.
fn unseen(claim: &ContrastResult) -> String {
    let floor = claim.noise_floor_us.map_or_else(String::new, |floor| {
        format!(
            "; without pairing, halves of one side's own rounds differ by up to {}",
            time(floor)
        )
    });
    let what =
        if claim.shows_steps() { "of the means seen, though of their parts" } else { "seen" };
    format!(
        "no difference {what}; one of {} or more would have been ({} pairs of rounds{floor})",
        time(claim.mean.visible),
        claim.pairs
    )
}

/// What is claimed without the families: who takes longer and by how much, or that no difference was seen.
#[must_use]
pub fn headline(claim: &ContrastResult, names: [&str; 2]) -> String {
    let [first, second] = names;
    let mean = claim.mean;
    if !mean.found() {
        return unseen(claim);
    }
    let slower = if mean.us > 0.0 { second } else { first };
    let (mean, latency) = if mean.us > 0.0 {
        (mean, claim.latency)
    } else {
        (opposite(mean), inverse(claim.latency))
    };
    format!(
        "{slower} takes {} longer {}, {}× {}",
        time(mean.us),
        interval(mean.together, time),
        trimmed(latency.ratio),
        interval(latency.interval, |ratio| format!("{ratio:.2}"))
    )
}

/// `claim` about the second cell, called `second`, against the first.
fn sentence(claim: &ContrastResult, first: &str, second: &str) -> String {
    let parts = match (claim.mean.found(), parts(claim)) {
        (true, parts) if parts.is_empty() => "; of no family alone can that be said".to_owned(),
        (true, parts) => format!(": {parts}"),
        (false, parts) if parts.is_empty() => String::new(),
        // What other families add hides it in the mean.
        (false, parts) => format!("; {second} differs from {first} by {parts}"),
    };
    format!("{}{parts}", headline(claim, [first, second]))
}

/// The families whose part was found, the largest first, as they add to what the slower one takes longer; where none is
/// the slower one, the second's less the first's.
fn parts(claim: &ContrastResult) -> String {
    let turned = |difference: Difference| {
        let first_is_slower = claim.mean.found() && claim.mean.us < 0.0;
        if first_is_slower { opposite(difference) } else { difference }
    };
    let mut found: Vec<(&str, Difference)> = claim
        .parts
        .iter()
        .filter(|part| claim.tells(part))
        .map(|part| (part.family.as_str(), turned(part.difference)))
        .collect();
    found.sort_by(|(_, one), (_, other)| other.us.abs().total_cmp(&one.us.abs()));
    let words = |(family, part): &(&str, Difference)| {
        let name = part_words(family);
        format!("{} {name} {}", time(part.us), interval(part.together, time))
    };
    found.iter().map(words).collect::<Vec<_>>().join(", ")
}

/// A part of a difference as claims call it: a family, or what is none.
#[must_use]
pub fn part_words(family: &str) -> &'static str {
    match family {
        TAIL => "in the slowest of every 40 requests",
        RESIDUAL => "unexplained",
        family => family_words(family),
    }
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
            first_us: 400.0,
            second_us: 400.0 + us,
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
            "gRPC takes 100 µs longer [60.0, 140 µs], 1.25× [1.10, 1.40]: 70.0 µs queueing [50.0, 90.0 µs], \
             30.0 µs framing [10.0, 50.0 µs]"
        );
    }

    #[test]
    fn at_a_glance_the_faster_one_is_named_or_why_nobody_is() {
        let names = ["REST", "gRPC"];
        let glance = |claim: &ContrastResult, doubted| {
            at_a_glance(Comparison::Claim { contrast: claim, doubted, one_start: false }, names)
        };
        let pair = |answer: &str, by: &str| (answer.to_owned(), by.to_owned());
        let faster = pair("REST is faster", "by 100 µs [60.0, 140 µs]");
        assert_eq!(glance(&claim(100.0, 40.0), false), faster);
        let faster = pair("gRPC is faster", "by 100 µs [10.0, 190 µs] (doubtful)");
        assert_eq!(glance(&claim(-100.0, 90.0), true), faster);
        let none = pair("no difference seen", "52.0 µs or more would be seen");
        assert_eq!(glance(&claim(10.0, 40.0), false), none);
        let (answer, why) = at_a_glance(Comparison::TooFewRounds, names);
        assert_eq!((answer.as_str(), why.contains("two rounds")), ("no comparison", true));
    }

    #[test]
    fn the_slower_one_is_named_whichever_it_is() {
        assert_eq!(
            sentence(&claim(-100.0, 90.0), "REST", "gRPC"),
            "REST takes 100 µs longer [10.0, 190 µs], 0.8× [0.71, 0.91]: 70.0 µs queueing [25.0, 115 µs]"
        );
    }

    #[test]
    fn where_none_is_seen_the_least_that_would_have_been_is_told() {
        assert_eq!(
            sentence(&claim(10.0, 40.0), "REST", "gRPC"),
            "no difference seen; one of 52.0 µs or more would have been (6 pairs of rounds)"
        );
    }

    #[test]
    fn what_is_found_of_families_is_told_though_the_mean_hides_it() {
        let mut claim = claim(10.0, 40.0);
        claim.parts[0].difference = difference(70.0, 20.0);
        claim.parts[1].difference = difference(-30.0, 5.0);
        assert_eq!(
            sentence(&claim, "REST", "gRPC"),
            "no difference of the means seen, though of their parts; one of 52.0 µs or more would have been (6 pairs of \
             rounds); gRPC differs from REST by 70.0 µs queueing [50.0, 90.0 µs], -30.0 µs framing [-35.0, -25.0 µs]"
        );
    }

    #[test]
    fn a_difference_that_is_in_no_family_alone_is_said_to_be_so() {
        let mut claim = claim(100.0, 90.0);
        claim.parts.iter_mut().for_each(|part| part.difference = difference(50.0, 60.0));
        assert!(sentence(&claim, "REST", "gRPC").ends_with("of no family alone can that be said"));
    }
}
