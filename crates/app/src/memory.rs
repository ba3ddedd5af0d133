//! What `auto_` idempotency keys made: two minutes of memory, bounded, without a row for each key.
//!
//! Two generations of one size. New keys go into the young one; when it is two minutes old or full, it becomes the
//! old one and the old one is forgotten. Both tables are allocated once, so that no request ever pays for growth.

use crate::flight::Hash;
use domain::clock::Timestamp;
use domain::id::MessageId;
use domain::limit::IDEMPOTENCY_AUTO_MS;
use foldhash::fast::RandomState;
use parking_lot::Mutex;
use std::collections::HashMap;

/// Keys of one generation at most: what fits a table of 2^20 places, 26 MB. At 15,000 messages a second that is
/// still a minute; SDKs try again within seconds.
pub(crate) const KEYS_MAX: usize = 917_504;

/// The memory.
#[derive(Debug)]
pub(crate) struct Memory {
    generations: Mutex<Generations>,
}

#[derive(Debug)]
struct Generations {
    young: HashMap<Hash, MessageId, RandomState>,
    old: HashMap<Hash, MessageId, RandomState>,
    began_at: Timestamp,
    keys_max: usize,
}

impl Memory {
    /// An empty memory of at most `keys_max` keys a generation.
    pub(crate) fn new(keys_max: usize, now: Timestamp) -> Self {
        let table = || HashMap::with_capacity_and_hasher(keys_max, RandomState::default());
        Self {
            generations: Mutex::new(Generations { young: table(), old: table(), began_at: now, keys_max }),
        }
    }

    /// The message that this key made.
    pub(crate) fn get(&self, hash: &Hash, now: Timestamp) -> Option<MessageId> {
        let generations = self.generations.lock();
        if now.since(generations.began_at) >= 2 * IDEMPOTENCY_AUTO_MS {
            return None;
        }
        generations.young.get(hash).or_else(|| generations.old.get(hash)).copied()
    }

    /// Remembers what a key made.
    pub(crate) fn put(&self, hash: Hash, message: MessageId, now: Timestamp) {
        let mut generations = self.generations.lock();
        generations.turn(now);
        generations.young.insert(hash, message);
    }
}

impl Generations {
    fn turn(&mut self, now: Timestamp) {
        let age = now.since(self.began_at);
        if age < IDEMPOTENCY_AUTO_MS && self.young.len() < self.keys_max {
            return;
        }
        if age >= 2 * IDEMPOTENCY_AUTO_MS {
            self.young.clear();
        }
        std::mem::swap(&mut self.young, &mut self.old);
        self.young.clear();
        self.began_at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    #[test]
    fn a_key_is_remembered_for_two_minutes_and_forgotten_after_four() {
        let memory = Memory::new(8, NOW);
        memory.put([1; 16], MessageId(1), NOW.plus_ms(119_000));
        assert_eq!(memory.get(&[1; 16], NOW.plus_ms(239_000)), Some(MessageId(1)));
        assert_eq!(memory.get(&[1; 16], NOW.plus_ms(359_001)), None);
        let memory = Memory::new(8, NOW);
        memory.put([1; 16], MessageId(1), NOW);
        assert_eq!(memory.get(&[1; 16], NOW.plus_ms(240_000)), None);
    }

    #[test]
    fn a_full_generation_pushes_the_oldest_out() {
        let memory = Memory::new(2, NOW);
        for n in 0..5 {
            memory.put([n; 16], MessageId(n.into()), NOW);
        }
        let known = [0, 1, 2, 3, 4].map(|n| memory.get(&[n; 16], NOW).is_some());
        assert_eq!(known, [false, false, true, true, true]);
    }
}
