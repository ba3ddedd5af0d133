//! How many requests a credential may make in a second. Off unless the operator says otherwise.

use crate::App;
use crate::error::{AppError, Result};
use crate::principal::Principal;
use domain::clock::Timestamp;
use domain::throttle::{Rate, Throttle};
use foldhash::HashMap;
use parking_lot::Mutex;

/// Credentials whose requests are counted at once; beyond that the idle ones are forgotten, or all.
const COUNTED_MAX: usize = 10_000;

/// The requests of the last second, by the subject of their credential.
#[derive(Debug, Default)]
pub(crate) struct Rates(Mutex<HashMap<[u8; 16], Throttle>>);

impl Rates {
    fn admit(&self, subject: [u8; 16], rate: Rate, now: Timestamp) -> bool {
        let mut counted = self.0.lock();
        if counted.len() >= COUNTED_MAX {
            counted.retain(|_, throttle| !throttle.is_over(Some(rate), now));
        }
        if counted.len() >= COUNTED_MAX {
            counted.clear();
        }
        let throttle = counted.entry(subject).or_default();
        let fits = throttle.ready_at(rate, now) <= now;
        if fits {
            throttle.sent(rate, now);
        }
        fits
    }
}

impl App {
    /// Counts a request of this principal.
    ///
    /// # Errors
    /// `TooMany` when it has made as many as it may in the last second.
    pub fn count_request(&self, principal: &Principal) -> Result<()> {
        let most = self.settings().api_rate_limit;
        let rate = Rate { count: most, ms: 1_000 };
        if most == 0 || self.inner.rates.admit(principal.subject, rate, self.now()) {
            return Ok(());
        }
        Err(AppError::TooMany(format!(
            "This credential has made {most} requests within a second: no more are allowed (api_rate_limit). Try again in a \
             second."
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_counted_apart() {
        let (rates, rate, now) = (Rates::default(), Rate { count: 2, ms: 1_000 }, Timestamp(5_000));
        let admit = |subject: u8, ms| rates.admit([subject; 16], rate, now.plus_ms(ms));
        assert_eq!([admit(1, 0), admit(1, 1), admit(1, 2), admit(2, 3)], [true, true, false, true]);
        assert!(!admit(1, 999) && admit(1, 1_000));
    }
}
