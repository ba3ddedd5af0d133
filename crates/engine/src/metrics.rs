//! What the engine counts.

use domain::attempt::Outcome;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use store::metrics::Histogram;

/// Upper bounds of the latency histogram, in milliseconds.
pub const LATENCY_BOUNDS_MS: [u64; 12] = [1, 2, 5, 10, 25, 50, 100, 250, 1_000, 5_000, 60_000, 3_600_000];

/// The engine's counts.
#[derive(Debug)]
pub struct EngineMetrics {
    /// Attempts by outcome, in the order of [`Outcome::ALL`].
    attempts: [AtomicU64; Outcome::ALL.len()],
    /// From accept to delivered, in milliseconds.
    pub accept_to_delivered_ms: Histogram<12>,
    /// Requests on the wire.
    pub in_flight: AtomicUsize,
    /// Deliveries that wait in memory.
    pub queued: AtomicUsize,
    /// Endpoints whose breaker is open.
    pub breakers_open: AtomicUsize,
}

impl Default for EngineMetrics {
    fn default() -> Self {
        Self {
            attempts: std::array::from_fn(|_| AtomicU64::new(0)),
            accept_to_delivered_ms: Histogram::new(LATENCY_BOUNDS_MS),
            in_flight: AtomicUsize::new(0),
            queued: AtomicUsize::new(0),
            breakers_open: AtomicUsize::new(0),
        }
    }
}

impl EngineMetrics {
    /// Attempts so far with this outcome; [`Outcome::Blocked`] are those that the address policy refused.
    #[must_use]
    pub fn attempts(&self, outcome: Outcome) -> u64 {
        self.slot(outcome).load(Ordering::Relaxed)
    }

    pub(crate) fn count(&self, outcome: Outcome) {
        self.slot(outcome).fetch_add(1, Ordering::Relaxed);
    }

    fn slot(&self, outcome: Outcome) -> &AtomicU64 {
        let index = Outcome::ALL.iter().position(|o| *o == outcome).unwrap_or_default();
        &self.attempts[index]
    }
}
