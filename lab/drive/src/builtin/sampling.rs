//! Which requests are traced: at most so many a second, each standing for as many.
//!
//! Of each so many in a row one is chosen by dice. One at equal distances would be in step with whatever else happens at
//! equal distances (a timer, a full batch), and would see it always or never.

use super::values::mix;

/// Which request of a row is chosen must not follow from what is asked: both throw the same dice, this one from here.
const OTHER_DICE: u64 = 1 << 62;

/// One of `every` requests in a row is traced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampling {
    every: u64,
}

impl Sampling {
    /// Traces as many of `rate` requests a second as stay within `limit` traces a second.
    #[must_use]
    pub fn at_most(limit: f64, rate: f64) -> Sampling {
        Sampling { every: (rate / limit).ceil().max(1.0) as u64 }
    }

    /// Whether the request with this number, from 0, is traced: the same ones in every round.
    #[must_use]
    pub fn traces(self, index: u64) -> bool {
        let (row, place) = (index / self.every, index % self.every);
        place == mix(OTHER_DICE | row) % self.every
    }

    /// How many requests each traced one stands for.
    #[must_use]
    pub fn weight(self) -> f64 {
        self.every as f64
    }
}

#[cfg(test)]
mod tests {
    use lab_model::MAX_TRACES_PER_SECOND;

    use super::*;

    fn traced(rate: f64) -> (usize, f64) {
        let sampling = Sampling::at_most(MAX_TRACES_PER_SECOND, rate);
        ((0..rate as u64).filter(|&index| sampling.traces(index)).count(), sampling.weight())
    }

    #[test]
    fn up_to_the_limit_every_request_is_traced() {
        assert_eq!(traced(100.0), (100, 1.0));
        assert_eq!(traced(200.0), (200, 1.0));
    }

    #[test]
    fn past_it_one_of_k_is_and_stands_for_k() {
        assert_eq!(traced(202.0), (101, 2.0));
        assert_eq!(traced(1_000.0), (200, 5.0));
        assert_eq!(traced(20_000.0), (200, 100.0));
    }

    #[test]
    fn no_place_in_a_row_is_chosen_more_often_than_others_nor_in_step() {
        let sampling = Sampling::at_most(200.0, 1_000.0);
        let chosen: Vec<u64> = (0..50_000).filter(|&index| sampling.traces(index)).collect();
        assert_eq!(chosen.len(), 10_000);
        for place in 0..5 {
            let often = chosen.iter().filter(|index| *index % 5 == place).count();
            assert!((1_850..2_150).contains(&often), "place {place}: {often}");
        }
        let steps: std::collections::BTreeSet<u64> =
            chosen.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(steps, (1..10).collect());
    }
}
