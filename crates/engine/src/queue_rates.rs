//! The queues' part about rates and scripts: who waits outside of the round, and who may enter it again.

use super::{Line, Queues};
use crate::throttle::{Asking, Limits};
use domain::clock::Timestamp;
use domain::id::EndpointKey;

/// A line that waits longer for its rate keeps nothing in memory meanwhile, in milliseconds.
const THROTTLED_MS_MAX: i64 = 5_000;
/// When a line is asked again that has as much in memory as its rate lets through, in milliseconds.
const ASK_AGAIN_MS: i64 = 100;

impl Line {
    /// How many more deliveries may be claimed: few where a rate lets few through. Later, for one that waits long for its rate.
    pub(crate) fn wants(&self, window: usize, nodes: u32, now: Timestamp) -> Result<usize, Timestamp> {
        if let Some(until) = self.throttled_until.filter(|until| until.since(now) > THROTTLED_MS_MAX) {
            return Err(until);
        }
        let most = self.limits.at_once(nodes).map_or(window, |most| most.min(window));
        match most.saturating_sub(self.claimed.len()) {
            0 => Err(now.plus_ms(ASK_AGAIN_MS)),
            more => Ok(more),
        }
    }

    /// Whether it waits for its rate so long that nothing of it stays in memory.
    pub(crate) fn is_set_aside(&self, now: Timestamp) -> bool {
        self.throttled_until.is_some_and(|until| until.since(now) > THROTTLED_MS_MAX)
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
            self.called.push(endpoint);
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
        if line.is_set_aside(now) {
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
    }

    /// One request with a script less: a line that waited for that enters the round.
    pub(super) fn script_ended(&mut self) {
        self.scripted -= 1;
        while let Some(endpoint) = self.scripts_wait.pop_front() {
            let Some(line) = self.lines.get_mut(&endpoint) else { continue };
            line.in_round = false;
            self.enter_round(endpoint);
            if self.lines.get(&endpoint).is_some_and(|line| line.in_round) {
                return;
            }
        }
    }
}
