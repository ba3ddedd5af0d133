//! One endpoint's line of deliveries in memory, and how it stands.

use crate::breaker::Breaker;
use crate::pace::Pace;
use crate::throttle::Limits;
use domain::attempt::Trigger;
use domain::clock::Timestamp;
use domain::delivery::DeliveryKey;
use domain::message::Message;
use domain::throttle::Throttle;
use std::collections::VecDeque;
use std::sync::Arc;
use store::delivery::Held;
use store::handoff::{Gauge, Room};

/// Every so many turns of a line, a claimed delivery goes before the fresh ones.
const CLAIMED_FLOOR: u8 = 4;

/// A delivery in memory.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    /// Which delivery.
    pub(crate) key: DeliveryKey,
    /// By which door it came.
    pub(crate) held: Held,
    /// Its message.
    pub(crate) message: Arc<Message>,
    /// Tries recorded so far in its run.
    pub(crate) attempts: u32,
    /// Why it is sent.
    pub(crate) trigger: Trigger,
    /// When it came into memory; for a claimed one, when it was due.
    pub(crate) since: Timestamp,
    /// What a fresh one's large payload takes of the memory for all, held until the delivery has left it.
    #[expect(dead_code, reason = "held for what its drop gives back")]
    pub(crate) room: Option<Arc<Room>>,
}

impl Item {
    /// The bytes that it holds for its body.
    pub(crate) fn bytes(&self) -> usize {
        self.message.payload_bytes()
    }
}

/// How an attempt ended, as far as the line cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// A 2xx answer.
    Succeeded,
    /// A 2xx answer that held its place for long.
    Slow,
    /// Another answer.
    Refused,
    /// It answered that it has too much to do (429, 503 with `Retry-After`): nothing until then.
    Busy(Timestamp),
    /// No complete answer in time.
    TimedOut,
    /// No answer at all.
    Unreachable,
    /// There was nothing to send any more: it says nothing about the endpoint.
    NotSent,
    /// The customer's script wanted it not to be sent: it says nothing about the endpoint.
    Canceled,
    /// It could not be tried for reasons of our own: later.
    PutOff,
    /// No attempt was made: the lease is lost, or the task ended early.
    Nothing,
}

/// How an endpoint stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Its last attempt was answered.
    Proven,
    /// No attempt has ended yet.
    #[default]
    New,
    /// Its last attempt was slow, timed out, or found nobody.
    Failing,
}

/// One endpoint's line.
#[derive(Debug, Default)]
pub(crate) struct Line {
    pub(crate) fresh: VecDeque<Item>,
    pub(crate) claimed: VecDeque<Item>,
    pub(crate) claimed_bytes: usize,
    /// The most claimed deliveries that it was to have when it was asked last.
    pub(crate) filled_to: usize,
    pub(crate) in_flight: u32,
    pub(crate) pace: Pace,
    pub(crate) breaker: Breaker,
    pub(crate) standing: Standing,
    pub(crate) used: Timestamp,
    pub(crate) in_round: bool,
    pub(crate) turns: u8,
    pub(crate) gauge: Arc<Gauge>,
    pub(crate) limits: Limits,
    pub(crate) throttle: Throttle,
    /// Until about when it waits for its rate; it is not in the round meanwhile.
    pub(crate) throttled_until: Option<Timestamp>,
    /// It has waited for its application's rate, and its turn has come.
    pub(crate) is_called: bool,
}

impl Line {
    /// Claimed deliveries that wait, and the bytes that they hold.
    pub(crate) fn claimed(&self) -> (usize, usize) {
        (self.claimed.len(), self.claimed_bytes)
    }

    /// Requests in flight.
    pub(crate) const fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// The limit of requests in flight is shared with the other nodes: each takes its part, and at least one.
    pub(crate) fn may_send(&self, nodes: u32) -> bool {
        self.in_flight < self.share(nodes).min(self.breaker.limit())
            && !(self.fresh.is_empty() && self.claimed.is_empty())
    }

    /// Requests that this node may have in flight.
    pub(crate) fn share(&self, nodes: u32) -> u32 {
        let most = self.limits.in_flight.unwrap_or(u32::MAX).min(self.pace.limit());
        (most / nodes).max(1)
    }

    pub(crate) fn pop(&mut self) -> Option<Item> {
        self.turns = (self.turns + 1) % CLAIMED_FLOOR;
        let claimed_first = self.turns == 0 || self.fresh.is_empty();
        let item = if claimed_first { self.pop_claimed() } else { None };
        item.or_else(|| self.pop_fresh()).or_else(|| self.pop_claimed())
    }

    pub(crate) fn pop_claimed(&mut self) -> Option<Item> {
        let item = self.claimed.pop_front()?;
        self.claimed_bytes -= item.bytes();
        Some(item)
    }

    pub(crate) fn pop_fresh(&mut self) -> Option<Item> {
        let item = self.fresh.pop_front()?;
        self.gauge.leave(item.bytes());
        Some(item)
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.fresh.is_empty() && self.claimed.is_empty() && self.in_flight == 0 && !self.breaker.is_open()
    }
}
