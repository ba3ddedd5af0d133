//! Lines that have sent as much as their rate allows, and when each may go on.
//!
//! A rate is an endpoint's (`throttleRate` a `throttlePeriod`), or its application's over all its endpoints; both hold.
//! Nodes share rates: each keeps to its part. Endpoints of an application whose rate is spent wait in a line of their own:
//! who was refused first goes on first, so that none starves.

use domain::clock::Timestamp;
use domain::id::{ApplicationKey, EndpointKey};
use domain::throttle::{Period, Rate, Throttle};
use foldhash::{HashMap, HashSet};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use store::routing::Route;

/// Between two looks whether those who were called have left some of an application's rate, in milliseconds.
const CALL_AGAIN_MS: i64 = 20;

/// No rate makes anybody wait longer: once an hour, shared by two dozen nodes.
const LONGEST_MS: i64 = 24 * 3_600_000;

/// Requests in flight to an endpoint with a script: most of their time may be that of waiting for the sandbox.
const SCRIPTS_OF_ENDPOINT_MAX: u32 = 32;

/// What an endpoint's line must keep to, beside what it learns by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Requests in flight; none is as many as its pace allows.
    pub(crate) in_flight: Option<u32>,
    /// Its own rate.
    pub(crate) rate: Option<Rate>,
    /// Its application's.
    pub(crate) application: Option<(ApplicationKey, Rate)>,
    /// Its requests wait for a script, of which few run at a time.
    pub(crate) has_script: bool,
}

impl Limits {
    /// Those of an endpoint.
    pub(crate) fn of(route: &Route) -> Self {
        let (fields, application) = (&route.endpoint.fields, &route.application);
        let rate = |count: u16, period: Period| Rate { count: count.into(), ms: period.ms() };
        let own = fields.throttle_rate.map(|count| rate(count, fields.options.throttle_period));
        let shared =
            application.fields.throttle_rate.map(|count| (application.key, rate(count, Period::Second)));
        let has_script = fields.options.transformation.as_ref().is_some_and(|script| script.enabled);
        // Strict order: one after the other.
        let in_flight =
            if fields.options.ordered { Some(1) } else { fields.options.max_in_flight.map(u32::from) };
        let in_flight = if has_script {
            Some(in_flight.unwrap_or(SCRIPTS_OF_ENDPOINT_MAX).min(SCRIPTS_OF_ENDPOINT_MAX))
        } else {
            in_flight
        };
        Self { in_flight, rate: own, application: shared, has_script }
    }

    /// Whether it has a rate at all: most have none, and pay for nothing.
    pub(crate) const fn are_free(&self) -> bool {
        self.rate.is_none() && self.application.is_none()
    }

    /// Requests that its rates let through at once; none when it has no rate.
    pub(crate) fn at_once(&self, nodes: u32) -> Option<usize> {
        let rates = self.rate.into_iter().chain(self.application.map(|(_, rate)| rate));
        rates.map(|rate| usize::try_from(rate.shared_by(nodes).count).unwrap_or(usize::MAX)).min()
    }
}

/// Who waits for a rate, and what applications have sent.
#[derive(Debug, Default)]
pub(crate) struct Throttles {
    waiting: BinaryHeap<Reverse<(Timestamp, Waiting)>>,
    applications: HashMap<ApplicationKey, Shared>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Waiting {
    /// For its own rate.
    Endpoint(EndpointKey),
    /// Those who wait for an application's.
    Application(ApplicationKey),
}

/// An application's rate.
#[derive(Debug, Default)]
struct Shared {
    throttle: Throttle,
    line: VecDeque<EndpointKey>,
}

/// What a line asks with.
pub(crate) struct Asking<'a> {
    pub(crate) endpoint: EndpointKey,
    pub(crate) limits: &'a Limits,
    pub(crate) own: &'a mut Throttle,
    /// It was called: its turn in its application's line has come.
    pub(crate) is_called: bool,
}

impl Throttles {
    /// Lets a line's next request go, and counts it; or notes that it waits, and answers until about when.
    pub(crate) fn admit(&mut self, asking: Asking<'_>, nodes: u32, now: Timestamp) -> Result<(), Timestamp> {
        let Asking { endpoint, limits, own, is_called } = asking;
        if limits.are_free() {
            return Ok(());
        }
        let rate = limits.rate.map(|rate| rate.shared_by(nodes));
        let ready_at = rate.map_or(now, |rate| own.ready_at(rate, now));
        if ready_at > now {
            self.waiting.push(Reverse((ready_at, Waiting::Endpoint(endpoint))));
            return Err(ready_at);
        }
        if let Some((application, rate)) = limits.application {
            let (rate, shared) = (rate.shared_by(nodes), self.applications.entry(application).or_default());
            let ready_at = shared.throttle.ready_at(rate, now);
            if ready_at > now || !(is_called || shared.line.is_empty()) {
                if shared.line.is_empty() {
                    self.waiting.push(Reverse((ready_at, Waiting::Application(application))));
                }
                let before = i64::try_from(shared.line.len()).unwrap_or(i64::MAX) / i64::from(rate.count);
                shared.line.push_back(endpoint);
                return Err(ready_at.plus_ms(before.saturating_mul(rate.ms)));
            }
            shared.throttle.sent(rate, now);
        }
        if let Some(rate) = rate {
            own.sent(rate, now);
        }
        Ok(())
    }

    /// Takes the lines whose time has come. `rate` tells what an application's is now.
    pub(crate) fn wake(
        &mut self,
        now: Timestamp,
        rate: impl Fn(EndpointKey, ApplicationKey) -> Option<Rate>,
    ) -> Vec<EndpointKey> {
        let mut woken = Vec::new();
        while let Some(Reverse((until, who))) = self.waiting.peek().copied().filter(|next| next.0.0 <= now) {
            self.waiting.pop();
            match who {
                Waiting::Endpoint(endpoint) => woken.push(endpoint),
                Waiting::Application(application) => {
                    let Some(shared) = self.applications.get_mut(&application) else { continue };
                    let Some(first) = shared.line.front() else { continue };
                    let (room, again) = match rate(*first, application) {
                        Some(rate) => (
                            shared.throttle.room(rate, now),
                            shared.throttle.ready_at(rate, now).max(until.max(now).plus_ms(CALL_AGAIN_MS)),
                        ),
                        // It has none any more.
                        None => (1, now),
                    };
                    woken.extend(shared.line.drain(..room.min(shared.line.len())));
                    if !shared.line.is_empty() {
                        self.waiting.push(Reverse((again, who)));
                    }
                }
            }
        }
        woken
    }

    /// Applications that wait for longer than any rate lets them wait are asked again now.
    pub(crate) fn clock_was_set_back(&mut self, now: Timestamp) {
        let longest = now.plus_ms(LONGEST_MS);
        if self.waiting.iter().any(|Reverse((until, _))| *until > longest) {
            let waiting = std::mem::take(&mut self.waiting);
            let again = |Reverse((until, who))| Reverse((if until > longest { now } else { until }, who));
            self.waiting = waiting.into_iter().map(again).collect();
        }
    }

    /// When the next line is to be asked again.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.waiting.peek().map(|Reverse((until, _))| *until)
    }

    /// Forgets what applications have sent that are not among these any more.
    pub(crate) fn forget(&mut self, there: &HashSet<ApplicationKey>) {
        self.applications
            .retain(|application, shared| !shared.line.is_empty() || there.contains(application));
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
        let mut ask = |own, throttle: &mut Throttle, now| {
            let endpoint = EndpointKey(1);
            throttles.admit(Asking { endpoint, limits: &limits(own), own: throttle, is_called: true }, 1, now)
        };
        assert_eq!(ask(2, &mut first, NOW), Ok(()));
        assert_eq!(ask(2, &mut first, NOW.plus_ms(10)), Ok(()));
        assert_eq!(ask(2, &mut first, NOW.plus_ms(20)), Err(NOW.plus_ms(1_000)), "its own");
        assert_eq!(ask(9, &mut other, NOW.plus_ms(30)), Ok(()));
        assert_eq!(ask(9, &mut other, NOW.plus_ms(40)), Err(NOW.plus_ms(1_000)), "the application's");
        assert_eq!(ask(9, &mut other, NOW.plus_ms(1_000)), Ok(()));
    }

    #[test]
    fn who_was_refused_first_goes_on_first() {
        let mut throttles = Throttles::default();
        let rate = Rate { count: 2, ms: 1_000 };
        let limits = Limits { application: Some((ApplicationKey(1), rate)), ..Limits::default() };
        let ask = |throttles: &mut Throttles, endpoint, is_called, now| {
            let own = &mut Throttle::default();
            let asking = Asking { endpoint: EndpointKey(endpoint), limits: &limits, own, is_called };
            throttles.admit(asking, 1, now)
        };
        let refused = |until_ms| Err(NOW.plus_ms(until_ms));
        for (endpoint, expected) in
            [(9, Ok(())), (8, Ok(())), (7, refused(1_000)), (1, refused(1_000)), (5, refused(2_000))]
        {
            assert_eq!(ask(&mut throttles, endpoint, false, NOW), expected, "{endpoint}");
        }
        let wake = |throttles: &mut Throttles, now| -> Vec<i64> {
            throttles.wake(now, |_, _| Some(rate)).into_iter().map(|endpoint| endpoint.0).collect()
        };
        assert_eq!(
            (throttles.next(), wake(&mut throttles, NOW.plus_ms(999))),
            (Some(NOW.plus_ms(1_000)), vec![])
        );
        let later = NOW.plus_ms(1_000);
        assert_eq!(wake(&mut throttles, later), [7, 1], "two may go");
        assert_eq!(ask(&mut throttles, 2, false, later), refused(1_000), "behind those who waited before");
        assert_eq!([7, 1].map(|endpoint| ask(&mut throttles, endpoint, true, later)), [Ok(()); 2]);
        assert_eq!(wake(&mut throttles, NOW.plus_ms(2_000)), [5, 2]);
        assert_eq!(throttles.next(), None);
    }
}
