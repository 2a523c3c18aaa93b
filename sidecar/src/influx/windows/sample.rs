//! A bounded sample of a window's requests, for percentiles and bands.
//!
//! Up to [`MOST`] requests it holds all of them and is exact; past that it is a uniform sample (Vitter's
//! algorithm R). What all windows hold together is bounded by [`Room`]: a window that finds none left goes on
//! with the sample it has, which stays uniform.

/// Requests that a window holds of a cell, at most.
pub(super) const MOST: usize = 1_024;
/// Stage times that all windows may hold together, of 4 bytes each.
pub(super) const ROOM: i64 = 6 << 20;

/// What a request takes beside its stage times, in the same unit.
const OVERHEAD: i64 = 14;

/// How many more stage times may be held.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room(pub(super) i64);

/// One request.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    /// Latency, in nanoseconds.
    pub(super) latency: i64,
    /// Place of its operation.
    pub(super) operation: usize,
    /// Time of every column, in nanoseconds. Columns that came later are 0. Seven digits are plenty for a
    /// percentile, and half the memory.
    columns: Box<[f32]>,
}

impl Row {
    /// Nanoseconds of `column`.
    pub(super) fn get(&self, column: usize) -> f64 {
        self.columns.get(column).copied().map_or(0.0, f64::from)
    }
}

/// The sample.
#[derive(Debug, Default)]
pub(super) struct Sample {
    rows: Vec<Row>,
    seen: u64,
    /// No longer grows: a request takes the place of another, or none.
    full: bool,
    random: u64,
}

impl Sample {
    /// Offers a request.
    pub(super) fn offer(
        &mut self,
        operation: usize,
        latency: i64,
        columns: &[i64],
        room: &mut Room,
    ) {
        self.seen += 1;
        let size = size(columns.len());
        let fits = self.rows.is_empty() || (self.rows.len() < MOST && room.0 >= size);
        if fits && !self.full {
            room.0 -= size;
            self.rows.push(row(operation, latency, columns));
            return;
        }
        self.full = true;
        let at = usize::try_from(self.random() % self.seen).unwrap_or(usize::MAX);
        if let Some(place) = self.rows.get_mut(at) {
            room.0 += self::size(place.columns.len()) - size;
            *place = row(operation, latency, columns);
        }
    }

    /// Its requests, in no order that means anything.
    pub(super) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Gives back the room that it took.
    pub(super) fn release(&self, room: &mut Room) {
        room.0 += self.rows.iter().map(|row| size(row.columns.len())).sum::<i64>();
    }

    /// Steele, Lea and Flood's SplitMix64. Nobody gains by guessing which requests are sampled.
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

fn size(columns: usize) -> i64 {
    columns as i64 + OVERHEAD
}

fn row(operation: usize, latency: i64, columns: &[i64]) -> Row {
    Row { latency, operation, columns: columns.iter().map(|&ns| ns as f32).collect() }
}

/// Place of a percentile among `len` values in order, by nearest rank.
pub(super) fn rank(len: usize, percent: usize) -> usize {
    (len * percent).div_ceil(100).saturating_sub(1)
}

/// The value at a percentile, by nearest rank; `values` are put in another order.
pub(super) fn percentile<T: Copy + Default>(
    values: &mut [T],
    percent: usize,
    order: fn(&T, &T) -> std::cmp::Ordering,
) -> T {
    if values.is_empty() {
        return T::default();
    }
    let at = rank(values.len(), percent);
    *values.select_nth_unstable_by(at, order).1
}
