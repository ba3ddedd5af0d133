//! Slow start: how many requests may be in flight to one endpoint.
//!
//! It begins at 4, grows by one with each success up to 128, and halves with each timeout, and where it was too much.

use crate::line::Ended;
use domain::limit::ENDPOINT_IN_FLIGHT_MAX;

/// Where it begins.
const START: u32 = 4;

/// The limit of one endpoint.
#[derive(Debug)]
pub(crate) struct Pace(u32);

impl Default for Pace {
    fn default() -> Self {
        Self(START)
    }
}

impl Pace {
    /// Requests that may be in flight.
    pub(crate) const fn limit(&self) -> u32 {
        self.0
    }

    /// Learns from an attempt.
    pub(crate) fn ended(&mut self, ended: Ended) {
        match ended {
            Ended::Succeeded => self.0 = (self.0 + 1).min(ENDPOINT_IN_FLIGHT_MAX),
            Ended::TimedOut | Ended::Busy(_) => self.0 = (self.0 / 2).max(1),
            Ended::Slow
            | Ended::Refused
            | Ended::Unreachable
            | Ended::NotSent
            | Ended::Canceled
            | Ended::PutOff
            | Ended::Nothing => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_with_successes_and_halves_with_timeouts() {
        let mut pace = Pace::default();
        assert_eq!(pace.limit(), 4);
        (0..200).for_each(|_| pace.ended(Ended::Succeeded));
        assert_eq!(pace.limit(), 128);
        pace.ended(Ended::TimedOut);
        assert_eq!(pace.limit(), 64);
        pace.ended(Ended::Refused);
        assert_eq!(pace.limit(), 64);
        (0..20).for_each(|_| pace.ended(Ended::TimedOut));
        assert_eq!(pace.limit(), 1);
    }
}
