//! A background task: many messages sent to one endpoint again, in small steps that survive a restart (wire id `qtask_…`).

use crate::clock::Timestamp;
use crate::id::{ApplicationKey, EndpointKey, EnvironmentKey, MessageId};
use crate::word::worded;
use serde::{Deserialize, Serialize};

worded!(
    /// What a task does, by its word on the wire.
    TaskKind {
        /// Sends what failed, or was canceled.
        Recover = "endpoint.recover",
        /// Sends what the endpoint would have got and never did.
        Replay = "endpoint.replay",
        /// Sends what a filter finds.
        BulkReplay = "endpoint.bulk-replay",
    }
);

worded!(
    /// How far a task is.
    TaskStatus {
        /// Not at its end yet.
        Running = "running",
        /// At its end.
        Finished = "finished",
        /// Ended before: it was canceled, or its endpoint was disabled or deleted.
        Failed = "failed",
    }
);

worded!(
    /// A state of deliveries, as bulk replays choose them.
    ReplayState {
        /// Delivered.
        Succeeded = "succeeded",
        /// Waiting.
        Pending = "pending",
        /// Given up, or canceled.
        Failed = "failed",
        /// On the wire.
        Sending = "sending",
        /// Canceled.
        Canceled = "canceled",
    }
);

/// Which messages a task sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Accepted at this moment or later, in milliseconds since 1970.
    pub since: i64,
    /// Accepted before this moment.
    pub until: i64,
    /// Only these event types; empty is all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub event_types: Vec<String>,
    /// Only those posted to this channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Only those with this tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Only deliveries in this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<ReplayState>,
    /// Only those whose last answer was of this class: 0 (none), 100, 200, … 500.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_class: Option<u16>,
}

impl Plan {
    /// All messages of a window.
    #[must_use]
    pub const fn window(since: Timestamp, until: Timestamp) -> Self {
        Self {
            since: since.0,
            until: until.0,
            event_types: Vec::new(),
            channel: None,
            tag: None,
            state: None,
            status_class: None,
        }
    }

    /// Whether a message was accepted within the window.
    #[must_use]
    pub const fn covers(&self, message: MessageId) -> bool {
        let at = message.timestamp().0;
        self.since <= at && at < self.until
    }
}

/// A task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// The wire id, `qtask_…`.
    pub id: String,
    /// The environment that it belongs to.
    pub environment: EnvironmentKey,
    /// The application whose messages it sends.
    pub application: ApplicationKey,
    /// Where it sends them.
    pub endpoint: EndpointKey,
    /// What it does.
    pub kind: TaskKind,
    /// Which messages.
    pub plan: Plan,
    /// How far it is.
    pub status: TaskStatus,
    /// The last id that was looked at, of a message or an attempt (one generator makes both); 0 before the first step.
    pub position: i64,
    /// Deliveries, or messages, that were looked at.
    pub looked: u64,
    /// Of these, those that are sent again.
    pub queued: u64,
    /// Why it failed.
    pub error: Option<String>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When its last step was made.
    pub updated_at: Timestamp,
}

impl Task {
    /// How much of its window is behind it, from 0 to 1.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share, for people")]
    pub fn progress(&self) -> f64 {
        let length = self.plan.until.saturating_sub(self.plan.since).max(1);
        match self.status {
            TaskStatus::Finished => 1.0,
            _ if self.position == 0 => 0.0,
            _ => {
                let behind = MessageId(self.position).timestamp().0.saturating_sub(self.plan.since);
                (behind as f64 / length as f64).clamp(0.0, 1.0)
            }
        }
    }
}

/// What one step of a task makes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The position that the step began at: another process may have been faster.
    pub from: i64,
    /// The position after it.
    pub position: i64,
    /// Deliveries, or messages, that it looked at.
    pub looked: u64,
    /// Those that are sent again.
    pub send: Vec<MessageId>,
    /// How far the task is now, and why it failed.
    pub status: (TaskStatus, Option<String>),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::floor_of;

    #[test]
    fn progress_goes_through_the_window() {
        let start = Timestamp(1_800_000_000_000);
        let mut task = Task {
            id: String::new(),
            environment: EnvironmentKey(1),
            application: ApplicationKey(1),
            endpoint: EndpointKey(1),
            kind: TaskKind::Recover,
            plan: Plan::window(start, start.plus_ms(1_000)),
            status: TaskStatus::Running,
            position: 0,
            looked: 0,
            queued: 0,
            error: None,
            created_at: start,
            updated_at: start,
        };
        assert_eq!(task.progress(), 0.0);
        task.position = floor_of(start.plus_ms(250));
        assert_eq!(task.progress(), 0.25);
        task.status = TaskStatus::Finished;
        assert_eq!(task.progress(), 1.0);
        assert!(task.plan.covers(MessageId(floor_of(start))));
        assert!(!task.plan.covers(MessageId(floor_of(start.plus_ms(1_000)))));
    }
}
