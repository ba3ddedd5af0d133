//! A delivery: one message on its way to one endpoint, and what an attempt makes of it.

use crate::attempt::{Disposition, Outcome, Trigger};
use crate::clock::Timestamp;
use crate::id::{EndpointKey, MessageId};
use crate::retry::{Schedule, put_off};

/// The main run; a resend, replay or recovery is a run of its own with its own numbering and budget.
pub const MAIN_RUN: i64 = 0;

/// A delivery's key (PROTOCOL rule 13).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeliveryKey {
    /// The message.
    pub message: MessageId,
    /// The endpoint.
    pub endpoint: EndpointKey,
    /// 0 for the main run.
    pub run: i64,
}

/// The state of a stored `delivery` row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowState {
    /// Due at its time.
    Pending,
    /// Never to be sent; kept as a trace until prune (PROTOCOL rule 11).
    Canceled,
}

impl RowState {
    /// The integer that the store keeps.
    #[must_use]
    pub const fn code(self) -> i64 {
        match self {
            Self::Pending => 0,
            Self::Canceled => 1,
        }
    }
}

/// A delivery as lists show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeliveryState {
    /// Delivered.
    Succeeded,
    /// Waits for its first or next try.
    Pending,
    /// Given up.
    Failed,
    /// On its way right now, first try.
    Sending,
    /// Canceled, or its endpoint was disabled or deleted.
    Canceled,
}

/// What the receiver's answer asked for with `webhook-delivery`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// `abort-message`: this delivery ends.
    AbortMessage,
    /// `disable`: the endpoint is switched off.
    Disable,
}

impl Wish {
    /// Reads the `webhook-delivery` header.
    #[must_use]
    pub fn from_header(value: &str) -> Option<Self> {
        match value.trim() {
            "abort-message" => Some(Self::AbortMessage),
            "disable" => Some(Self::Disable),
            _ => None,
        }
    }
}

/// What an attempt saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What came of it.
    pub outcome: Outcome,
    /// What `Retry-After` asked for.
    pub retry_after: Option<Timestamp>,
    /// What `webhook-delivery` asked for.
    pub wish: Option<Wish>,
}

/// What becomes of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Settled: delivered.
    Succeeded,
    /// Tried again at this time.
    Retry(Timestamp),
    /// Settled: given up.
    Failed,
}

impl Next {
    /// What the attempt's row says.
    #[must_use]
    pub const fn disposition(self) -> Disposition {
        match self {
            Self::Succeeded => Disposition::Succeeded,
            Self::Retry(_) => Disposition::Retrying,
            Self::Failed => Disposition::Failed,
        }
    }
}

/// Which try it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Try {
    /// 1 for the first of its run.
    pub number: u32,
    /// Why the run exists.
    pub trigger: Trigger,
    /// When it ended.
    pub ended_at: Timestamp,
    /// Uniform in 0..=1000.
    pub jitter: u16,
}

/// Decides what becomes of a delivery after a try (PROTOCOL rules 11 and 14). A test request is tried once.
#[must_use]
pub fn decide(seen: Seen, this: Try, schedule: &Schedule) -> Next {
    if seen.outcome == Outcome::Succeeded {
        return Next::Succeeded;
    }
    if seen.wish.is_some() || this.trigger == Trigger::Test {
        return Next::Failed;
    }
    let scheduled = schedule.next(this.number, this.ended_at, this.jitter);
    scheduled.map_or(Next::Failed, |time| Next::Retry(put_off(time, seen.retry_after, this.ended_at)))
}

#[cfg(test)]
mod tests {
    use super::*;
    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn after(outcome: Outcome, number: u32, wish: Option<Wish>, trigger: Trigger) -> Next {
        let this = Try { number, trigger, ended_at: NOW, jitter: 500 };
        decide(Seen { outcome, retry_after: None, wish }, this, &Schedule::default())
    }

    #[test]
    fn what_an_attempt_makes_of_a_delivery() {
        use Outcome::{BadStatus, Blocked, Succeeded, TimedOut, Unreachable};
        let table = [
            (Succeeded, 1, None, Trigger::Message, Next::Succeeded),
            (Succeeded, 8, Some(Wish::AbortMessage), Trigger::Message, Next::Succeeded),
            (BadStatus, 1, None, Trigger::Message, Next::Retry(NOW.plus_ms(5_000))),
            (TimedOut, 2, None, Trigger::Resend, Next::Retry(NOW.plus_ms(300_000))),
            (Unreachable, 7, None, Trigger::Message, Next::Retry(NOW.plus_ms(36_000_000))),
            (Blocked, 1, None, Trigger::Message, Next::Retry(NOW.plus_ms(5_000))),
            (BadStatus, 8, None, Trigger::Message, Next::Failed),
            (BadStatus, 1, Some(Wish::AbortMessage), Trigger::Message, Next::Failed),
            (BadStatus, 1, Some(Wish::Disable), Trigger::Message, Next::Failed),
            (BadStatus, 1, None, Trigger::Test, Next::Failed),
        ];
        for (outcome, number, wish, trigger, expected) in table {
            assert_eq!(
                after(outcome, number, wish, trigger),
                expected,
                "{outcome:?} {number} {wish:?} {trigger:?}"
            );
        }
    }
}
