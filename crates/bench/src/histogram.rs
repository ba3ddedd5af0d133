//! A histogram of nanoseconds: 64 buckets to each power of two, so every figure is right within 1.6 %.
//!
//! It only grows, so what happened in a window is the difference of two snapshots and nothing is ever reset in between.

use serde::{Deserialize, Serialize};

/// Bits of precision below the leading one.
const PRECISION_BITS: u32 = 6;
const PER_POWER: usize = 1 << PRECISION_BITS;
/// Up to 2^40 ns, 18 minutes; what takes longer counts as that.
const BUCKETS: usize = (40 - PRECISION_BITS as usize + 1) * PER_POWER;

/// Counts by bucket.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
}

/// The buckets that are not empty, as they travel between processes.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Sparse(Vec<(usize, u64)>);

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS] }
    }
}

impl Histogram {
    pub(crate) fn record(&mut self, nanoseconds: u64) {
        self.counts[bucket(nanoseconds)] += 1;
    }

    pub(crate) fn sparse(&self) -> Sparse {
        Sparse(self.counts.iter().copied().enumerate().filter(|(_, count)| *count > 0).collect())
    }

    pub(crate) fn from_sparse(sparse: &Sparse) -> Self {
        let mut histogram = Self::default();
        for (index, count) in &sparse.0 {
            histogram.counts[(*index).min(BUCKETS - 1)] += count;
        }
        histogram
    }

    /// What was counted here and not yet in `earlier`.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let counts = self.counts.iter().zip(&earlier.counts).map(|(now, then)| now.saturating_sub(*then));
        Self { counts: counts.collect() }
    }

    pub(crate) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The value that this share (0 to 1) of all did not exceed, in milliseconds; 0 when nothing was counted.
    pub(crate) fn quantile_ms(&self, share: f64) -> f64 {
        let wanted = (self.count() as f64 * share).ceil().max(1.0);
        let mut seen = 0.0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += *count as f64;
            if seen >= wanted {
                return upper_bound(index) as f64 / 1e6;
            }
        }
        0.0
    }
}

fn bucket(nanoseconds: u64) -> usize {
    let value = nanoseconds.max(1);
    let power = value.ilog2();
    if power <= PRECISION_BITS {
        return usize::try_from(value).unwrap_or(usize::MAX).min(2 * PER_POWER - 1);
    }
    let shift = power - PRECISION_BITS;
    let within = usize::try_from(value >> shift).unwrap_or(usize::MAX);
    (shift as usize * PER_POWER + within).min(BUCKETS - 1)
}

fn upper_bound(index: usize) -> u64 {
    if index < 2 * PER_POWER {
        return index as u64;
    }
    let shift = index / PER_POWER - 1;
    let within = (index % PER_POWER + PER_POWER) as u64;
    ((within + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_its_value_within_two_percent() {
        for value in [1, 63, 64, 127, 128, 129, 1_000, 123_456, 9_999_999, 60_000_000_000] {
            let upper = upper_bound(bucket(value));
            assert!(upper >= value && upper as f64 <= value as f64 * 1.016, "{value} became {upper}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_of_a_window_leave_out_what_came_before() {
        let mut histogram = Histogram::default();
        histogram.record(5_000_000_000);
        let before = Histogram::from_sparse(&histogram.sparse());
        for milliseconds in 1..=100 {
            histogram.record(milliseconds * 1_000_000);
        }
        let window = histogram.since(&before);
        assert_eq!(window.count(), 100);
        assert!((window.quantile_ms(0.5) - 50.0).abs() < 1.0);
        assert!((window.quantile_ms(0.99) - 99.0).abs() < 2.0);
        assert_eq!(Histogram::default().quantile_ms(0.5), 0.0);
    }
}
