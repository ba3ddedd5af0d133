//! What the store counts: commits, how many commands each carried, how long the disk took.

use std::sync::atomic::{AtomicU64, Ordering};

/// Upper bounds of the batch histogram, in commands.
pub const BATCH_BOUNDS: [u64; 8] = [1, 4, 16, 32, 64, 128, 512, 1024];
/// Upper bounds of the commit histogram, in microseconds.
pub const COMMIT_BOUNDS_US: [u64; 9] = [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 50_000, 250_000];

/// A histogram with fixed bounds; the last bucket is all the rest.
#[derive(Debug)]
pub struct Histogram<const N: usize> {
    bounds: [u64; N],
    buckets: [AtomicU64; N],
    rest: AtomicU64,
    sum: AtomicU64,
}

impl<const N: usize> Histogram<N> {
    /// An empty histogram with these upper bounds, rising.
    #[must_use]
    pub fn new(bounds: [u64; N]) -> Self {
        Self {
            bounds,
            buckets: std::array::from_fn(|_| AtomicU64::new(0)),
            rest: AtomicU64::new(0),
            sum: AtomicU64::new(0),
        }
    }

    /// Counts one value.
    pub fn observe(&self, value: u64) {
        let bucket =
            self.bounds.iter().position(|bound| value <= *bound).map_or(&self.rest, |i| &self.buckets[i]);
        bucket.fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// Upper bounds with the count of values at or below each (cumulative), then the count and the sum of all.
    #[must_use]
    pub fn read(&self) -> (Vec<(u64, u64)>, u64, u64) {
        let mut count = 0;
        let mut cumulative = Vec::with_capacity(N);
        for (bound, bucket) in self.bounds.iter().zip(&self.buckets) {
            count += bucket.load(Ordering::Relaxed);
            cumulative.push((*bound, count));
        }
        (cumulative, count + self.rest.load(Ordering::Relaxed), self.sum.load(Ordering::Relaxed))
    }
}

/// The store's own counts.
#[derive(Debug)]
pub struct StoreMetrics {
    /// Messages accepted.
    pub accepted: AtomicU64,
    /// Deliveries parked when their message was accepted, or later.
    pub parked: AtomicU64,
    /// Commits that failed.
    pub commit_failures: AtomicU64,
    /// Commands that each commit carried.
    pub batch: Histogram<8>,
    /// What each COMMIT took, its fsync included, in microseconds.
    pub commit_us: Histogram<9>,
}

impl Default for StoreMetrics {
    fn default() -> Self {
        Self {
            accepted: AtomicU64::new(0),
            parked: AtomicU64::new(0),
            commit_failures: AtomicU64::new(0),
            batch: Histogram::new(BATCH_BOUNDS),
            commit_us: Histogram::new(COMMIT_BOUNDS_US),
        }
    }
}
