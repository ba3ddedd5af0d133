//! Lines that have sent as much as their rate allows, and when each may go on.
//!
//! A rate is an endpoint's (`throttleRate` a `throttlePeriod`), or its application's over all its endpoints; both hold.
//! Nodes share rates: each keeps to its part.

use domain::clock::Timestamp;
use domain::id::{ApplicationKey, EndpointKey};
use domain::throttle::{Period, Rate, Throttle};
use foldhash::HashMap;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use store::routing::Route;

/// What an endpoint's line must keep to, beside what it learns by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Requests in flight; none is as many as its pace allows.
    pub(crate) in_flight: Option<u32>,
    /// Its own rate.
    pub(crate) rate: Option<Rate>,
    /// Its application's.
    pub(crate) application: Option<(ApplicationKey, Rate)>,
}

impl Limits {
    /// Those of an endpoint.
    pub(crate) fn of(route: &Route) -> Self {
        let (fields, application) = (&route.endpoint.fields, &route.application);
        let rate = |count: u16, period: Period| Rate { count: count.into(), ms: period.ms() };
        let own = fields.throttle_rate.map(|count| rate(count, fields.options.throttle_period));
        let shared =
            application.fields.throttle_rate.map(|count| (application.key, rate(count, Period::Second)));
        // Strict order: one after the other.
        let in_flight =
            if fields.options.ordered { Some(1) } else { fields.options.max_in_flight.map(u32::from) };
        Self { in_flight, rate: own, application: shared }
    }

    /// Whether it has a rate at all: most have none, and pay for nothing.
    const fn are_free(&self) -> bool {
        self.rate.is_none() && self.application.is_none()
    }
}

/// Who waits for a rate, and what applications have sent.
#[derive(Debug, Default)]
pub(crate) struct Throttles {
    waiting: BinaryHeap<Reverse<(Timestamp, EndpointKey)>>,
    applications: HashMap<ApplicationKey, Throttle>,
}

impl Throttles {
    /// Lets a line's next request go, and counts it; or answers when it may be asked for again.
    pub(crate) fn admit(
        &mut self,
        (limits, own): (&Limits, &mut Throttle),
        nodes: u32,
        now: Timestamp,
    ) -> Result<(), Timestamp> {
        if limits.are_free() {
            return Ok(());
        }
        let rate = limits.rate.map(|rate| rate.shared_by(nodes));
        let shared = limits.application.map(|(application, rate)| (application, rate.shared_by(nodes)));
        let mut ready_at = rate.map_or(now, |rate| own.ready_at(rate, now));
        if let Some((application, rate)) = shared {
            let throttle = self.applications.entry(application).or_default();
            ready_at = ready_at.max(throttle.ready_at(rate, now));
            if ready_at <= now {
                throttle.sent(rate, now);
            }
        }
        if ready_at > now {
            return Err(ready_at);
        }
        if let Some(rate) = rate {
            own.sent(rate, now);
        }
        Ok(())
    }

    /// Notes that a line is to be asked again at this time.
    pub(crate) fn wait(&mut self, endpoint: EndpointKey, until: Timestamp) {
        self.waiting.push(Reverse((until, endpoint)));
    }

    /// Takes a line whose time has come.
    pub(crate) fn wake(&mut self, now: Timestamp) -> Option<EndpointKey> {
        let Reverse((until, endpoint)) = *self.waiting.peek()?;
        (until <= now).then(|| {
            self.waiting.pop();
            endpoint
        })
    }

    /// When the next line is to be asked again.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.waiting.peek().map(|Reverse((until, _))| *until)
    }

    /// Forgets what applications have sent that are not among these any more.
    pub(crate) fn forget(&mut self, is_there: impl Fn(ApplicationKey) -> bool) {
        self.applications.retain(|application, _| is_there(*application));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    #[test]
    fn an_endpoints_and_its_applications_rate_both_hold() {
        let mut throttles = Throttles::default();
        let second = |count| Rate { count, ms: 1_000 };
        let limits = |own| Limits {
            rate: Some(second(own)),
            application: Some((ApplicationKey(1), second(3))),
            ..Limits::default()
        };
        let (mut first, mut other) = (Throttle::default(), Throttle::default());
        let mut ask = |own, throttle: &mut Throttle, now| throttles.admit((&limits(own), throttle), 1, now);
        assert_eq!(ask(2, &mut first, NOW), Ok(()));
        assert_eq!(ask(2, &mut first, NOW.plus_ms(10)), Ok(()));
        assert_eq!(ask(2, &mut first, NOW.plus_ms(20)), Err(NOW.plus_ms(1_000)), "its own");
        assert_eq!(ask(9, &mut other, NOW.plus_ms(30)), Ok(()));
        assert_eq!(ask(9, &mut other, NOW.plus_ms(40)), Err(NOW.plus_ms(1_000)), "the application's");
        assert_eq!(ask(9, &mut other, NOW.plus_ms(1_000)), Ok(()));
    }

    #[test]
    fn a_line_comes_up_when_its_time_has_come() {
        let mut throttles = Throttles::default();
        throttles.wait(EndpointKey(1), NOW.plus_ms(20));
        throttles.wait(EndpointKey(2), NOW.plus_ms(10));
        assert_eq!(throttles.next(), Some(NOW.plus_ms(10)));
        assert_eq!(throttles.wake(NOW.plus_ms(9)), None);
        assert_eq!(throttles.wake(NOW.plus_ms(15)), Some(EndpointKey(2)));
        assert_eq!(throttles.wake(NOW.plus_ms(15)), None);
    }
}
