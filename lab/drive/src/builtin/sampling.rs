//! Which requests are traced: at most so many a second, chosen by counting, each standing for as many.

/// Every `every`-th request is traced.
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

    /// Whether the request with this number, from 0, is traced.
    #[must_use]
    pub fn traces(self, index: u64) -> bool {
        index.is_multiple_of(self.every)
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
    fn past_it_every_kth_is_and_stands_for_k() {
        assert_eq!(traced(201.0), (101, 2.0));
        assert_eq!(traced(1_000.0), (200, 5.0));
        assert_eq!(traced(20_000.0), (200, 100.0));
    }
}
