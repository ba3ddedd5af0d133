//! Memory for bodies that shaping makes larger than what was posted: payloads were counted when they came, these were not.

use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

/// Bodies altogether, in KiB (64 MiB).
const ALL_KIB: u32 = 64 << 10;
/// A body that is so much larger than its payload is counted, in bytes; smaller ones are bounded by the requests in flight.
const COUNTED_BYTES: usize = 16 << 10;
/// How long a request waits for others to end.
const WAITS: Duration = Duration::from_secs(2);

/// What is left of it.
#[derive(Debug)]
pub(crate) struct Memory {
    kib: Semaphore,
    waits: Duration,
}

impl Default for Memory {
    fn default() -> Self {
        Self { kib: Semaphore::new(ALL_KIB as usize), waits: WAITS }
    }
}

impl Memory {
    /// Takes what a body needs beside its payload until the answer is dropped; none when there is not enough for now.
    pub(crate) async fn of(&self, body: usize, payload: usize) -> Option<Option<SemaphorePermit<'_>>> {
        let more = body.saturating_sub(payload);
        if more < COUNTED_BYTES {
            return Some(None);
        }
        let kib = u32::try_from(more >> 10).unwrap_or(ALL_KIB).min(ALL_KIB);
        // Boxed: it is rare, and every request under way would carry its state along.
        Box::pin(timeout(self.waits, self.kib.acquire_many(kib))).await.ok()?.ok().map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn large_bodies_share_it_and_small_ones_do_not_ask() {
        let memory = Memory { waits: Duration::from_millis(5), ..Memory::default() };
        let all: Vec<_> = futures(&memory).await;
        assert!(all.iter().all(Option::is_some));
        assert!(memory.of(4 << 20, 10).await.is_none(), "it is spent");
        assert!(matches!(memory.of(4 << 20, 4 << 20).await, Some(None)), "no larger than what was posted");
        assert!(matches!(memory.of(8 << 10, 10).await, Some(None)));
        drop(all);
        assert!(memory.of(4 << 20, 10).await.is_some());
    }

    async fn futures(memory: &Memory) -> Vec<Option<Option<SemaphorePermit<'_>>>> {
        let mut all = Vec::new();
        for _ in 0..16 {
            all.push(memory.of(4 << 20, 0).await);
        }
        all
    }
}
