//! How many messages an endpoint gets in a time: `throttleRate` a `throttlePeriod`.
//!
//! The limit is exact: of any stretch of time as long as the period, none has more than `rate` requests in it. For that
//! the times of the last `rate` requests are kept: 8 bytes each, at most half a megabyte.

use crate::clock::Timestamp;
use crate::word::worded;
use std::collections::VecDeque;

worded!(
    /// The time that a rate counts in.
    Period {
        /// A second.
        Second = "second",
        /// A minute.
        Minute = "minute",
        /// An hour.
        Hour = "hour",
    }
);

impl Period {
    /// Its length in milliseconds.
    #[must_use]
    pub const fn ms(self) -> i64 {
        match self {
            Self::Second => 1_000,
            Self::Minute => 60_000,
            Self::Hour => 3_600_000,
        }
    }
}

/// So many in a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many; at least 1.
    pub count: u32,
    /// In how many milliseconds.
    pub ms: i64,
}

impl Rate {
    /// The part of this rate that one of `nodes` may use, so that all together keep to it. Where there are more nodes than
    /// requests, each waits for longer.
    #[must_use]
    pub fn shared_by(self, nodes: u32) -> Self {
        let nodes = nodes.max(1);
        match self.count / nodes {
            0 => Self { count: 1, ms: self.ms * i64::from(nodes) / i64::from(self.count.max(1)) },
            count => Self { count, ms: self.ms },
        }
    }
}

/// Keeps one endpoint to its rate.
#[derive(Debug, Default)]
pub struct Throttle {
    /// When the last requests were sent, oldest first.
    sent: VecDeque<Timestamp>,
}

impl Throttle {
    /// When the next request may go: `now`, or later.
    #[must_use]
    pub fn ready_at(&self, rate: Rate, now: Timestamp) -> Timestamp {
        let count = usize::try_from(rate.count.max(1)).unwrap_or(usize::MAX);
        match self.sent.len().checked_sub(count).and_then(|index| self.sent.get(index)) {
            // A clock that was set back must not close the door for as long.
            Some(first) if *first <= now => first.plus_ms(rate.ms).max(now),
            _ => now,
        }
    }

    /// How many requests may go at once now.
    #[must_use]
    pub fn room(&self, rate: Rate, now: Timestamp) -> usize {
        let counts = |sent: &&Timestamp| **sent <= now && now.since(**sent) < rate.ms;
        let used = self.sent.iter().rev().take_while(counts).count();
        usize::try_from(rate.count).unwrap_or(usize::MAX).saturating_sub(used)
    }

    /// Whether nothing that was sent counts any more.
    #[must_use]
    pub fn is_over(&self, rate: Option<Rate>, now: Timestamp) -> bool {
        let Some(rate) = rate else { return true };
        self.sent.back().is_none_or(|last| now.since(*last) >= rate.ms)
    }

    /// Notes that a request goes now.
    pub fn sent(&mut self, rate: Rate, now: Timestamp) {
        let count = usize::try_from(rate.count.max(1)).unwrap_or(usize::MAX);
        while self.sent.len() >= count {
            self.sent.pop_front();
        }
        self.sent.push_back(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    #[test]
    fn no_stretch_of_a_period_has_more_than_the_rate() {
        let rate = Rate { count: 10, ms: 1_000 };
        let (mut throttle, mut sent, mut now) = (Throttle::default(), Vec::new(), NOW);
        for step in 0..1_000_i64 {
            now = now.plus_ms(step * 7 % 90);
            if throttle.ready_at(rate, now) <= now {
                throttle.sent(rate, now);
                sent.push(now);
            }
        }
        assert!(sent.windows(11).all(|w| w[10].since(w[0]) >= 1_000));
        assert!(sent.len() > 300, "what is free is used: {}", sent.len());
    }

    #[test]
    fn the_next_one_goes_when_the_oldest_has_left_the_period() {
        let rate = Rate { count: 2, ms: 60_000 };
        let mut throttle = Throttle::default();
        throttle.sent(rate, NOW);
        throttle.sent(rate, NOW.plus_ms(50));
        assert_eq!(throttle.ready_at(rate, NOW.plus_ms(100)), NOW.plus_ms(60_000));
        // A rate that was raised holds at once, and one that was lowered, too.
        assert_eq!(throttle.ready_at(Rate { count: 3, ms: 60_000 }, NOW.plus_ms(100)), NOW.plus_ms(100));
        assert_eq!(throttle.ready_at(Rate { count: 1, ms: 60_000 }, NOW.plus_ms(100)), NOW.plus_ms(60_050));
        assert_eq!(throttle.ready_at(rate, NOW.plus_ms(-5)), NOW.plus_ms(-5), "a clock that was set back");
    }

    #[test]
    fn nodes_share_a_rate() {
        let minute = |count| Rate { count, ms: 60_000 };
        assert_eq!(minute(10).shared_by(3), minute(3));
        assert_eq!(minute(1).shared_by(3), Rate { count: 1, ms: 180_000 });
        assert_eq!(minute(2).shared_by(3), Rate { count: 1, ms: 90_000 });
        assert_eq!(minute(5).shared_by(0), minute(5));
    }
}
