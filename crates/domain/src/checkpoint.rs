//! The checkpoint: up to which message id every first attempt is confirmed (PROTOCOL rule 6).
//!
//! The store's writer keeps one [`Outstanding`] per lease. Only answered commits change it, so what it says is what a
//! rescue may skip.

use crate::id::MessageId;
use std::collections::VecDeque;

/// The messages of a lease whose first attempts are not all confirmed yet, in the order of their ids.
#[derive(Debug, Default)]
pub struct Outstanding {
    waiting: VecDeque<(MessageId, u32)>,
}

impl Outstanding {
    /// A message was committed whose first attempts to `endpoints` endpoints are held in memory.
    ///
    /// # Panics
    /// When ids do not rise: the writer assigns them in order.
    pub fn accepted(&mut self, message: MessageId, endpoints: u32) {
        if endpoints == 0 {
            return;
        }
        assert!(self.waiting.back().is_none_or(|(last, _)| *last < message), "message ids must rise");
        self.waiting.push_back((message, endpoints));
    }

    /// One first attempt of `message` was committed, or parked as a row.
    pub fn confirmed(&mut self, message: MessageId) {
        if let Ok(index) = self.waiting.binary_search_by_key(&message, |(id, _)| *id) {
            let left = &mut self.waiting[index].1;
            *left = left.saturating_sub(1);
        }
        while self.waiting.front().is_some_and(|(_, left)| *left == 0) {
            self.waiting.pop_front();
        }
    }

    /// The checkpoint, where `next_id` is the lowest id that may still be assigned.
    #[must_use]
    pub fn checkpoint(&self, next_id: i64) -> i64 {
        self.waiting.front().map_or(next_id, |(oldest, _)| oldest.0) - 1
    }

    /// Messages that wait for a first attempt.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checkpoint_never_passes_an_unconfirmed_first_attempt() {
        let mut outstanding = Outstanding::default();
        assert_eq!(outstanding.checkpoint(100), 99);
        outstanding.accepted(MessageId(100), 2);
        outstanding.accepted(MessageId(101), 1);
        outstanding.accepted(MessageId(102), 0);
        assert_eq!(outstanding.checkpoint(110), 99);
        outstanding.confirmed(MessageId(101));
        assert_eq!(outstanding.checkpoint(110), 99);
        outstanding.confirmed(MessageId(100));
        assert_eq!(outstanding.checkpoint(110), 99);
        outstanding.confirmed(MessageId(100));
        assert_eq!(outstanding.checkpoint(110), 109);
        assert!(outstanding.is_empty());
    }
}
