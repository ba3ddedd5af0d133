//! The queues' part about rates and scripts: who waits outside of the round, and who may enter it again.

use super::{Line, Queues, SCRIPTED_MAX};
use crate::throttle::{Asking, Limits};
use domain::clock::Timestamp;
use domain::id::EndpointKey;

/// A line that waits longer for its rate keeps nothing in memory meanwhile, in milliseconds.
const THROTTLED_MS_MAX: i64 = 5_000;
/// Claimed deliveries that wait in a line, for each request that it may have in flight.
const AHEAD: u32 = 4;

impl Line {
    /// How many claimed deliveries may wait in it: what its rate lets through at once, and some for each request in flight.
    pub(crate) fn window(&self, most: usize, nodes: u32) -> usize {
        let in_flight = usize::try_from(self.share(nodes).saturating_mul(AHEAD)).unwrap_or(usize::MAX);
        most.min(in_flight).min(self.limits.at_once(nodes).unwrap_or(most))
    }

    /// Until when it waits for its rate, if that is so long that nothing of it stays in memory.
    pub(crate) fn set_aside(&self, now: Timestamp) -> Option<Timestamp> {
        self.throttled_until.filter(|until| until.since(now) > THROTTLED_MS_MAX)
    }
}

impl Queues {
    /// Lines whose rate lets them go on enter the round again.
    pub(super) fn wake(&mut self, now: Timestamp) {
        let nodes = self.other_nodes + 1;
        let lines = &self.lines;
        let woken = self.throttles.wake(now, |endpoint, application| {
            let (of, rate) = lines.get(&endpoint)?.limits.application?;
            (of == application).then(|| rate.shared_by(nodes))
        });
        woken.into_iter().for_each(|endpoint| self.call(endpoint));
    }

    fn call(&mut self, endpoint: EndpointKey) {
        let Some(line) = self.lines.get_mut(&endpoint) else { return };
        if line.throttled_until.take().is_some() {
            line.is_called = true;
            line.gauge.set_closed(line.breaker.is_open());
            // What was set aside is in rows.
            if line.fresh.is_empty() && line.claimed.is_empty() {
                self.called.push(endpoint);
            }
            self.enter_round(endpoint);
        }
    }

    /// Whether the line's rates let one more request go, which is counted then.
    pub(super) fn may_go(&mut self, endpoint: EndpointKey, now: Timestamp) -> bool {
        let Some(line) = self.lines.get_mut(&endpoint) else { return false };
        let is_called = std::mem::take(&mut line.is_called);
        let asking = Asking { endpoint, limits: &line.limits, own: &mut line.throttle, is_called };
        let Err(until) = self.throttles.admit(asking, self.other_nodes + 1, now) else { return true };
        line.throttled_until = Some(until);
        if line.set_aside(now).is_some() {
            line.gauge.set_closed(true);
            self.set_aside.push((endpoint, until));
        }
        false
    }

    /// Takes the lines that have begun to wait long for their rate, with until when, and those that may go on again.
    pub(crate) fn throttled(&mut self) -> (Vec<(EndpointKey, Timestamp)>, Vec<EndpointKey>) {
        (std::mem::take(&mut self.set_aside), std::mem::take(&mut self.called))
    }

    /// Hears of changes: lines that wait for a rate that is another one now, or because of a clock that was set back, are asked
    /// again.
    pub(crate) fn look_again(&mut self, now: Timestamp, limits: impl Fn(EndpointKey) -> Option<Limits>) {
        let nodes = self.other_nodes + 1;
        let mut again = Vec::new();
        for (endpoint, line) in self.lines.iter_mut().filter(|(_, line)| line.throttled_until.is_some()) {
            let limits = limits(*endpoint).unwrap_or_default();
            let rate = limits.rate.map(|rate| rate.shared_by(nodes));
            let is_ready = rate.is_some_and(|rate| line.throttle.ready_at(rate, now) <= now);
            let waits_for_own = line.limits.application.is_none();
            if limits != line.limits || (waits_for_own && is_ready) {
                line.limits = limits;
                again.push(*endpoint);
            }
        }
        again.into_iter().for_each(|endpoint| self.call(endpoint));
        self.throttles.clock_was_set_back(now);
    }

    /// Lines with scripts enter the round again when there is room for them.
    pub(super) fn recall_scripts(&mut self) {
        while self.scripted < SCRIPTED_MAX
            && let Some(endpoint) = self.scripts_wait.pop_front()
        {
            if let Some(line) = self.lines.get_mut(&endpoint) {
                line.in_round = false;
            }
            self.enter_round(endpoint);
        }
    }
}
