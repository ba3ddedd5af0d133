//! The breaker of one endpoint: after failures in a row it opens, so that deliveries wait in their rows and spend no
//! attempts; then it lets one probe through at a time.
//!
//! An endpoint that answers 429 or 503 with `Retry-After` opens it at once, until then (an hour at most): it speaks for all that
//! would come, not for one delivery alone.
//!
//! A timeout weighs three failures, because it holds a socket for the whole deadline. Open times double from 10 s to
//! 5 min while probes fail; one success closes it.

use crate::line::Ended;
use domain::clock::Timestamp;

/// The weight of failures in a row that opens it.
const OPENS_AT: u32 = 12;
/// What a timeout weighs; any other failure weighs one.
const TIMEOUT_WEIGHT: u32 = 3;
/// The first open time, in milliseconds.
const OPEN_MS_MIN: i64 = 10_000;
/// The longest open time, in milliseconds.
const OPEN_MS_MAX: i64 = 300_000;

/// A `Retry-After` that is worth keeping the whole endpoint waiting, in milliseconds…
const REST_MS_MIN: i64 = 1_000;
/// …and how long it does at most.
const REST_MS_MAX: i64 = 3_600_000;

/// The breaker.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    weight: u32,
    open: Option<Open>,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    probe_at: Timestamp,
    for_ms: i64,
    /// The probe time has come: one request may go.
    probing: bool,
}

impl Breaker {
    /// Whether deliveries are to wait in their rows.
    pub(crate) const fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Whether there is nothing to remember.
    #[cfg(test)]
    pub(crate) const fn is_calm(&self) -> bool {
        self.open.is_none() && self.weight == 0
    }

    /// Requests that may be in flight as far as the breaker goes.
    pub(crate) const fn limit(&self) -> u32 {
        match self.open {
            None => u32::MAX,
            Some(Open { probing: true, .. }) => 1,
            Some(_) => 0,
        }
    }

    /// When the next probe may be claimed, while it is open.
    pub(crate) fn probe_at(&self) -> Option<Timestamp> {
        self.open.map(|open| open.probe_at)
    }

    /// Lets one probe through if its time has come.
    pub(crate) fn probe(&mut self, now: Timestamp) -> bool {
        match &mut self.open {
            Some(open) if open.probe_at <= now => {
                open.probing = true;
                true
            }
            _ => false,
        }
    }

    /// Learns from an attempt; answers whether it opened by it, or opened again after a probe.
    pub(crate) fn ended(&mut self, ended: Ended, now: Timestamp) -> bool {
        let weight = match ended {
            Ended::NotSent | Ended::Canceled | Ended::PutOff | Ended::Nothing => return false,
            Ended::Succeeded | Ended::Slow => {
                *self = Self::default();
                return false;
            }
            Ended::TimedOut => TIMEOUT_WEIGHT,
            Ended::Refused | Ended::Busy(_) | Ended::Unreachable => 1,
        };
        self.weight = self.weight.saturating_add(weight);
        // It said itself when it is worth trying again.
        let rest = match ended {
            Ended::Busy(until) => until.min(now.plus_ms(REST_MS_MAX)),
            _ => now,
        };
        let (probe_at, for_ms) = match &mut self.open {
            Some(open) if !open.probing => {
                open.probe_at = open.probe_at.max(rest);
                return false;
            }
            Some(open) => {
                let for_ms = (open.for_ms * 2).min(OPEN_MS_MAX);
                (now.plus_ms(for_ms), for_ms)
            }
            None if self.weight >= OPENS_AT => (now.plus_ms(OPEN_MS_MIN), OPEN_MS_MIN),
            None if rest.since(now) > REST_MS_MIN => (rest, OPEN_MS_MIN),
            None => return false,
        };
        self.open = Some(Open { probe_at: probe_at.max(rest), for_ms, probing: false });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    #[test]
    fn it_opens_after_failures_in_a_row_probes_and_closes_by_one_success() {
        let mut breaker = Breaker::default();
        for _ in 0..11 {
            assert!(!breaker.ended(Ended::Refused, NOW));
        }
        assert!(breaker.ended(Ended::Refused, NOW));
        assert_eq!((breaker.limit(), breaker.probe_at()), (0, Some(NOW.plus_ms(10_000))));
        assert!(!breaker.probe(NOW.plus_ms(9_999)));
        assert!(breaker.probe(NOW.plus_ms(10_000)));
        assert_eq!(breaker.limit(), 1);
        assert!(breaker.ended(Ended::TimedOut, NOW.plus_ms(10_000)));
        assert_eq!(breaker.probe_at(), Some(NOW.plus_ms(30_000)));
        assert!(breaker.probe(NOW.plus_ms(30_000)));
        assert!(!breaker.ended(Ended::Succeeded, NOW));
        assert!(breaker.is_calm());
    }

    #[test]
    fn four_timeouts_open_it_and_a_success_between_failures_keeps_it_closed() {
        let mut breaker = Breaker::default();
        let opened: Vec<_> = (0..4).map(|_| breaker.ended(Ended::TimedOut, NOW)).collect();
        assert_eq!(opened, [false, false, false, true]);
        let mut breaker = Breaker::default();
        for _ in 0..100 {
            assert!(!breaker.ended(Ended::Refused, NOW));
            breaker.ended(Ended::Succeeded, NOW);
        }
    }

    #[test]
    fn an_endpoint_that_says_when_is_left_alone_until_then() {
        let mut breaker = Breaker::default();
        assert!(!breaker.ended(Ended::Busy(NOW.plus_ms(1_000)), NOW), "a second is not worth it");
        assert!(breaker.ended(Ended::Busy(NOW.plus_ms(60_000)), NOW));
        assert_eq!(breaker.probe_at(), Some(NOW.plus_ms(60_000)));
        // Another answer that was on its way can only put it off.
        assert!(!breaker.ended(Ended::Busy(NOW.plus_ms(30_000)), NOW));
        assert!(!breaker.ended(Ended::Busy(NOW.plus_ms(90_000)), NOW));
        assert_eq!(breaker.probe_at(), Some(NOW.plus_ms(90_000)));
        let later = NOW.plus_ms(90_000);
        assert!(breaker.probe(later));
        assert!(breaker.ended(Ended::Busy(later.plus_ms(86_400_000)), later));
        assert_eq!(breaker.probe_at(), Some(later.plus_ms(REST_MS_MAX)), "an hour at most");
    }

    #[test]
    fn what_was_never_sent_says_nothing_about_the_endpoint_and_a_slow_success_is_one() {
        let mut breaker = Breaker::default();
        for _ in 0..100 {
            assert!(!breaker.ended(Ended::NotSent, NOW));
        }
        assert!(breaker.is_calm());
        breaker.ended(Ended::TimedOut, NOW);
        breaker.ended(Ended::Slow, NOW);
        assert!(breaker.is_calm());
    }

    #[test]
    fn late_answers_of_requests_sent_before_it_opened_do_not_move_the_probe() {
        let mut breaker = Breaker::default();
        (0..4).for_each(|_| {
            breaker.ended(Ended::TimedOut, NOW);
        });
        assert!(!breaker.ended(Ended::TimedOut, NOW.plus_ms(5_000)));
        assert_eq!(breaker.probe_at(), Some(NOW.plus_ms(10_000)));
    }
}
