//! Small wire types that several nouns share.

use domain::clock::Timestamp;
use domain::delivery::DeliveryState;
use serde::{Serialize, Serializer};
use std::fmt::Display;

/// Writes a moment as RFC 3339.
pub(crate) fn time<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

/// Writes a moment as RFC 3339, or null.
pub(crate) fn optional_time<S: Serializer>(
    time: &Option<Timestamp>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    time.as_ref().map(Shown).serialize(serializer)
}

struct Shown<T>(T);

impl<T: Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A state as number and word. Canceled is shown as failed unless the client knows the word.
pub(crate) const fn status(state: DeliveryState, expanded: bool) -> (u8, &'static str) {
    match state {
        DeliveryState::Succeeded => (0, "success"),
        DeliveryState::Pending => (1, "pending"),
        DeliveryState::Failed => (2, "fail"),
        DeliveryState::Sending => (3, "sending"),
        DeliveryState::Canceled if expanded => (4, "canceled"),
        DeliveryState::Canceled => (2, "fail"),
    }
}

/// The state that a `status` parameter means.
pub(crate) const fn state(status: u64) -> Option<DeliveryState> {
    Some(match status {
        0 => DeliveryState::Succeeded,
        1 => DeliveryState::Pending,
        2 => DeliveryState::Failed,
        3 => DeliveryState::Sending,
        4 => DeliveryState::Canceled,
        _ => return None,
    })
}
