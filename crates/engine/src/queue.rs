//! Who is next: a line of deliveries for each endpoint, and a round between the lines.
//!
//! Each endpoint has its line, its limit of requests in flight (slow start) and its breaker. The round gives every
//! endpoint that may send one turn at a time. Fresh deliveries go before claimed ones, with a floor for the claimed.
//!
//! Endpoints stand in one of three ways: *proven* (the last attempt was answered), *new* (none has ended yet) or
//! *failing* (the last one was slow, timed out or found nobody). Failing ones together take at most half of all requests in
//! flight, failing and new ones at most three quarters: a thousand hanging endpoints cannot take the healthy ones'
//! turn, nor that of one that was just created.
//!
//! Pure: no clock, no I/O. Dispatch feeds it and carries out what it answers.

use crate::line::{Ended, Item, Line, Standing};
use crate::throttle::{Limits, Throttles};
use domain::clock::Timestamp;
use domain::id::EndpointKey;
use domain::limit::{IN_FLIGHT_MAX, QUEUED_MS_MAX};
use foldhash::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;
use store::delivery::Held;
use store::handoff::Gauge;

/// Requests in flight to failing endpoints, altogether.
const FAILING_MAX: usize = IN_FLIGHT_MAX / 2;
/// Requests in flight to failing and new endpoints, altogether.
const UNPROVEN_MAX: usize = IN_FLIGHT_MAX / 4 * 3;
/// An endpoint that was not used for so long is forgotten, in milliseconds (10 min).
const FORGOTTEN_AFTER_MS: i64 = 600_000;
/// Requests in flight that may wait for a script, altogether: few scripts run at a time.
const SCRIPTED_MAX: usize = IN_FLIGHT_MAX / 4;

/// A delivery whose turn has come.
#[derive(Debug)]
pub(crate) struct Turn {
    /// The delivery.
    pub(crate) item: Item,
    /// Under which share of the requests in flight it is counted.
    pub(crate) standing: Standing,
    /// Whether it is counted among those with a script.
    pub(crate) has_script: bool,
}

/// All lines and the round between them.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    lines: HashMap<EndpointKey, Line>,
    rounds: [VecDeque<EndpointKey>; 3],
    in_flight: [usize; 3],
    turn: usize,
    waiting: usize,
    /// Of those that wait, the claimed ones, and the bytes of their payloads.
    claimed: usize,
    claimed_bytes: usize,
    throttles: Throttles,
    /// Lines that begin to wait long for their rate, until when; and those that may go on.
    set_aside: Vec<(EndpointKey, Timestamp)>,
    called: Vec<EndpointKey>,
    /// Requests in flight of lines with scripts, and such lines that wait for one of them to end.
    scripted: usize,
    scripts_wait: VecDeque<EndpointKey>,
    /// Nodes that send to the same endpoints.
    other_nodes: u32,
}

impl Queues {
    /// Notes how many nodes share the endpoints, this one included. What is in flight already stays there.
    pub(crate) fn shared_by(&mut self, nodes: u32) {
        if self.other_nodes == nodes.saturating_sub(1) {
            return;
        }
        self.other_nodes = nodes.saturating_sub(1);
        // Fewer nodes are more room for each: lines that were full may send again.
        let endpoints: Vec<_> = self.lines.keys().copied().collect();
        endpoints.into_iter().for_each(|endpoint| self.enter_round(endpoint));
    }

    /// How many nodes share the endpoints.
    pub(crate) const fn nodes(&self) -> u32 {
        self.other_nodes + 1
    }

    /// Adds a delivery to its endpoint's line. `gauge` is the endpoint's, entered already for a fresh one; `limits` are what it
    /// must keep to from now on.
    pub(crate) fn push(&mut self, item: Item, gauge: &Arc<Gauge>, limits: Limits) {
        let endpoint = item.key.endpoint;
        let line = self.lines.entry(endpoint).or_default();
        line.gauge = Arc::clone(gauge);
        line.limits = limits;
        match item.held {
            Held::Fresh => line.fresh.push_back(item),
            Held::Claimed(_) => {
                self.claimed += 1;
                self.claimed_bytes += item.bytes();
                line.claimed_bytes += item.bytes();
                line.claimed.push_back(item);
            }
        }
        self.waiting += 1;
        self.enter_round(endpoint);
    }

    /// Notes that a delivery has left its line.
    fn left(&mut self, item: &Item) {
        self.waiting -= 1;
        if matches!(item.held, Held::Claimed(_)) {
            self.claimed -= 1;
            self.claimed_bytes -= item.bytes();
        }
    }

    /// When a line that waits for its rate is to be asked again.
    pub(crate) fn throttled_until(&self) -> Option<Timestamp> {
        self.throttles.next()
    }

    /// The next delivery to send, if one may be sent now.
    pub(crate) fn next(&mut self, now: Timestamp) -> Option<Turn> {
        self.wake(now);
        self.recall_scripts();
        // Each round has its turn; one whose share is spent, or that is empty, passes it on.
        let mut passed = 0;
        while passed < self.rounds.len() {
            self.turn = (self.turn + 1) % self.rounds.len();
            let endpoint = if self.has_share(self.turn) { self.rounds[self.turn].pop_front() } else { None };
            let Some(endpoint) = endpoint else {
                passed += 1;
                continue;
            };
            let Some(line) = self.lines.get_mut(&endpoint) else { continue };
            line.in_round = false;
            if !line.may_send(self.other_nodes + 1) {
                continue;
            }
            if line.limits.has_script && self.scripted >= SCRIPTED_MAX {
                line.in_round = true;
                self.scripts_wait.push_back(endpoint);
                continue;
            }
            let line = if line.limits.are_free() {
                line
            } else {
                if !self.may_go(endpoint, now) {
                    continue;
                }
                let Some(line) = self.lines.get_mut(&endpoint) else { continue };
                line
            };
            let Some(item) = line.pop() else { continue };
            let standing = line.standing;
            line.in_flight += 1;
            self.scripted += usize::from(line.limits.has_script);
            let has_script = line.limits.has_script;
            self.left(&item);
            self.in_flight[standing as usize] += 1;
            self.enter_round(endpoint);
            return Some(Turn { item, standing, has_script });
        }
        None
    }

    /// Whether one more request may go to an endpoint of this round.
    fn has_share(&self, round: usize) -> bool {
        let [proven, new, failing] = self.in_flight;
        let all = proven + new + failing < IN_FLIGHT_MAX;
        let unproven = new + failing < UNPROVEN_MAX;
        all && match round {
            0 => true,
            1 => unproven,
            _ => unproven && failing < FAILING_MAX,
        }
    }

    /// Notes how an attempt ended. Answers whether the breaker opened by it.
    pub(crate) fn ended(
        &mut self,
        endpoint: EndpointKey,
        (counted, has_script): (Standing, bool),
        ended: Ended,
        now: Timestamp,
    ) -> bool {
        self.in_flight[counted as usize] -= 1;
        self.scripted -= usize::from(has_script);
        let Some(line) = self.lines.get_mut(&endpoint) else { return false };
        line.in_flight -= 1;
        line.pace.ended(ended);
        line.used = now;
        match ended {
            Ended::Succeeded | Ended::Refused | Ended::Busy(_) => line.standing = Standing::Proven,
            Ended::Slow | Ended::TimedOut | Ended::Unreachable => line.standing = Standing::Failing,
            Ended::NotSent | Ended::Canceled | Ended::PutOff | Ended::Nothing => {}
        }
        let opened = line.breaker.ended(ended, now);
        line.gauge.set_closed(line.breaker.is_open() || line.set_aside(now).is_some());
        line.gauge.set_probe(line.breaker.probe_at());
        self.enter_round(endpoint);
        opened
    }

    /// Takes everything out of an endpoint's line, to be parked.
    pub(crate) fn drain(&mut self, endpoint: EndpointKey) -> Vec<Item> {
        let Some(line) = self.lines.get_mut(&endpoint) else { return Vec::new() };
        let mut items: Vec<_> = std::iter::from_fn(|| line.pop_fresh()).collect();
        items.extend(std::iter::from_fn(|| line.pop_claimed()));
        items.iter().for_each(|item| self.left(item));
        items
    }

    /// Takes out first attempts that have waited too long (PROTOCOL rule 15), to be parked.
    pub(crate) fn late(&mut self, now: Timestamp) -> Vec<Item> {
        let mut late = Vec::new();
        for line in self.lines.values_mut() {
            while line.fresh.front().is_some_and(|item| now.since(item.since) > QUEUED_MS_MAX) {
                late.extend(line.pop_fresh());
            }
        }
        late.iter().for_each(|item| self.left(item));
        late
    }

    /// Forgets endpoints that were not used for long: how an endpoint stands, and its pace, are worth keeping meanwhile.
    pub(crate) fn forget_idle(&mut self, now: Timestamp) {
        self.lines.retain(|_, line| {
            let rate = line.limits.rate.map(|rate| rate.shared_by(self.other_nodes + 1));
            let is_kept =
                line.in_round || line.throttled_until.is_some() || !line.throttle.is_over(rate, now);
            !line.is_idle() || is_kept || now.since(line.used) < FORGOTTEN_AFTER_MS
        });
        let applications = self.lines.values().filter_map(|line| line.limits.application);
        self.throttles.forget(&applications.map(|(application, _)| application).collect());
    }

    /// The endpoint's line, made when there is none.
    pub(crate) fn line(&mut self, endpoint: EndpointKey) -> &mut Line {
        self.lines.entry(endpoint).or_default()
    }

    /// Claimed deliveries that wait, and the bytes of their payloads.
    pub(crate) const fn claimed(&self) -> (usize, usize) {
        (self.claimed, self.claimed_bytes)
    }

    /// Deliveries in memory that wait for their turn.
    pub(crate) const fn waiting(&self) -> usize {
        self.waiting
    }

    /// Requests in flight.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.iter().sum()
    }

    /// Endpoints whose breaker is open.
    pub(crate) fn breakers_open(&self) -> usize {
        self.lines.values().filter(|line| line.breaker.is_open()).count()
    }

    fn enter_round(&mut self, endpoint: EndpointKey) {
        let Some(line) = self.lines.get_mut(&endpoint) else { return };
        if line.in_round || line.throttled_until.is_some() || !line.may_send(self.other_nodes + 1) {
            return;
        }
        line.in_round = true;
        self.rounds[line.standing as usize].push_back(endpoint);
    }
}

#[path = "queue_rates.rs"]
mod rates;

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
