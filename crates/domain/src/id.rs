//! Ids inside: small integers for what is configured, time-ordered integers for what is logged.
//!
//! A message or attempt id is 41 bits of milliseconds, 10 bits of node slot, 12 bits of counter. Time-ordered integer
//! keys are what makes the log cheap: new rows go to the right edge of every index.

use crate::clock::Timestamp;

/// Bits of the counter, the lowest.
const COUNTER_BITS: u32 = 12;
/// Bits of the node slot, between counter and time.
const NODE_BITS: u32 = 10;
/// Highest node slot.
pub const NODE_MAX: u16 = (1 << NODE_BITS) - 1;
/// Ids count milliseconds from 2020-01-01T00:00:00Z, so that 41 bits last until 2089.
pub const EPOCH_MS: i64 = 1_577_836_800_000;
/// Ids of one millisecond, of all node slots.
pub const IDS_PER_MS: i64 = 1 << (NODE_BITS + COUNTER_BITS);

macro_rules! integer_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub i64);
    };
}

integer_id!(
    /// A message, ordered by the time of its acceptance.
    MessageId
);
integer_id!(
    /// An attempt, ordered by the time of its recording.
    AttemptId
);
integer_id!(
    /// The small key of an environment.
    EnvironmentKey
);
integer_id!(
    /// The small key of an application; never leaves the process.
    ApplicationKey
);
integer_id!(
    /// The small key of an endpoint; never leaves the process.
    EndpointKey
);
integer_id!(
    /// The small key of a user; never leaves the process.
    UserKey
);
integer_id!(
    /// One acquisition of a lease; never reused (PROTOCOL rule 1).
    LeaseId
);
integer_id!(
    /// One claim of a delivery row; never reused (PROTOCOL rule 10).
    ClaimId
);

impl MessageId {
    /// When the message was accepted.
    #[must_use]
    pub const fn timestamp(self) -> Timestamp {
        time_of(self.0)
    }
}

impl AttemptId {
    /// When the attempt was recorded.
    #[must_use]
    pub const fn timestamp(self) -> Timestamp {
        time_of(self.0)
    }
}

/// The lowest id that an instant can have: every id made before `time` is lower.
#[must_use]
pub const fn floor_of(time: Timestamp) -> i64 {
    let ms = time.0 - EPOCH_MS;
    if ms <= 0 { 0 } else { ms << (NODE_BITS + COUNTER_BITS) }
}

const fn time_of(id: i64) -> Timestamp {
    Timestamp((id >> (NODE_BITS + COUNTER_BITS)) + EPOCH_MS)
}

/// Makes ids for one node slot, strictly rising whatever the clock does (PROTOCOL rules 6 and 7).
#[derive(Debug)]
pub struct IdClock {
    node: u16,
    last: i64,
}

impl IdClock {
    /// A clock whose first id is above `highest_stored`, the highest id that this node slot has in the store.
    ///
    /// # Panics
    /// When `node` is above [`NODE_MAX`]: slots are given out by the store.
    #[must_use]
    pub fn new(node: u16, highest_stored: i64) -> Self {
        assert!(node <= NODE_MAX, "node slot {node} is above {NODE_MAX}");
        Self { node, last: highest_stored }
    }

    /// The next id. When the clock stands still, the counter moves; when the counter is full or the clock went back,
    /// ids go on from the last one's millisecond.
    pub fn next(&mut self, now: Timestamp) -> i64 {
        let fresh = floor_of(now) | (i64::from(self.node) << COUNTER_BITS);
        self.last = if fresh > self.last { fresh } else { self.after_last() };
        self.last
    }

    /// Nothing below this will ever be assigned again. It does not look at the clock: a clock that goes back would
    /// assign below what a floor taken from it had promised.
    #[must_use]
    pub const fn floor(&self) -> i64 {
        self.last + 1
    }

    /// Promises that no id of a moment before `now` is assigned any more, and answers the lowest one that may be. So a
    /// lease that has nothing to do still moves its checkpoint on (PROTOCOL rule 6).
    pub fn advance(&mut self, now: Timestamp) -> i64 {
        self.last = self.last.max((floor_of(now) | (i64::from(self.node) << COUNTER_BITS)) - 1);
        self.floor()
    }

    fn after_last(&self) -> i64 {
        let counter_mask = (1 << COUNTER_BITS) - 1;
        let slot = i64::from(self.node) << COUNTER_BITS;
        let same_slot = (self.last >> COUNTER_BITS) & i64::from(NODE_MAX) == i64::from(self.node);
        if same_slot && self.last & counter_mask < counter_mask {
            return self.last + 1;
        }
        (((self.last >> (NODE_BITS + COUNTER_BITS)) + 1) << (NODE_BITS + COUNTER_BITS)) | slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_rise_while_the_clock_stands_still_and_when_it_goes_back() {
        let mut ids = IdClock::new(3, 0);
        let mut last = 0;
        for step in 0..20_000 {
            let id = ids.next(Timestamp(1_800_000_000_000 - step / 7_000 * 1000));
            assert!(id > last, "{id} after {last}");
            last = id;
        }
    }

    #[test]
    fn a_restarted_node_stays_above_what_it_stored() {
        let mut ids = IdClock::new(7, 0);
        let stored = ids.next(Timestamp(1_800_000_000_000));
        let mut restarted = IdClock::new(7, stored);
        assert!(restarted.next(Timestamp(1_700_000_000_000)) > stored);
    }

    #[test]
    fn an_id_tells_its_time_and_nothing_below_the_floor_follows() {
        let now = Timestamp(1_800_000_000_123);
        let mut ids = IdClock::new(1023, 0);
        let floor = ids.floor();
        let id = ids.next(now);
        assert_eq!(MessageId(id).timestamp(), now);
        assert!(id >= floor);
        assert!(ids.floor() > id);
        assert!(ids.next(Timestamp(0)) >= ids.floor() - 1);
    }

    #[test]
    fn what_was_promised_not_to_be_assigned_is_not_when_the_clock_goes_back() {
        for node in [0, 1, NODE_MAX] {
            let mut ids = IdClock::new(node, 0);
            let promised = ids.advance(Timestamp(1_800_000_000_000));
            let id = ids.next(Timestamp(1_700_000_000_000));
            assert!(id >= promised, "{id} is below {promised}");
            assert_eq!(ids.advance(Timestamp(0)), id + 1);
        }
    }

    #[test]
    fn nodes_never_make_the_same_id() {
        let now = Timestamp(1_800_000_000_000);
        let (mut a, mut b) = (IdClock::new(1, 0), IdClock::new(2, 0));
        let mut seen = std::collections::HashSet::new();
        for _ in 0..10_000 {
            assert!(seen.insert(a.next(now)));
            assert!(seen.insert(b.next(now)));
        }
    }
}
