//! An attempt: one HTTP request for a delivery, and what came of it (wire id `atmpt_…`).

use crate::clock::Timestamp;
use crate::id::{AttemptId, EndpointKey, MessageId};
use bytes::Bytes;

/// Why an attempt was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// The message itself, its retries included.
    Message,
    /// A person asked for this one delivery again.
    Resend,
    /// What failed in a window was asked for again.
    Recovery,
    /// A replay by filter.
    Replay,
    /// A test request.
    Test,
}

/// What came of an attempt. What they did wrong is an outcome; what we did wrong is an `Err` and leaves no attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// A 2xx answer.
    Succeeded,
    /// An answer with another status.
    BadStatus,
    /// No complete answer before the deadline.
    TimedOut,
    /// No HTTP answer: DNS, connection, TLS, or junk.
    Unreachable,
    /// The address is not one that requests may go to.
    Blocked,
}

/// What the delivery became by an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Delivered.
    Succeeded,
    /// Will be tried again.
    Retrying,
    /// Given up.
    Failed,
}

macro_rules! coded {
    ($type:ident { $($variant:ident = $code:literal $word:literal),+ $(,)? }) => {
        impl $type {
            /// Every value.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The integer that the store keeps.
            #[must_use]
            pub const fn code(self) -> i64 {
                match self { $(Self::$variant => $code),+ }
            }

            /// The value that a stored integer means.
            #[must_use]
            pub const fn from_code(code: i64) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)+ _ => None }
            }

            /// The word for it in logs, metrics and the console.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }
    };
}

coded!(Trigger { Message = 0 "message", Resend = 1 "resend", Recovery = 2 "recovery", Replay = 3 "replay", Test = 4 "test" });
coded!(Outcome {
    Succeeded = 0 "succeeded",
    BadStatus = 1 "bad_status",
    TimedOut = 2 "timed_out",
    Unreachable = 3 "unreachable",
    Blocked = 4 "blocked",
});
coded!(Disposition { Succeeded = 0 "succeeded", Retrying = 1 "retrying", Failed = 2 "failed" });

/// An attempt before the store gave it an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAttempt {
    /// The message.
    pub message: MessageId,
    /// The endpoint.
    pub endpoint: EndpointKey,
    /// The run: 0 is the main one; a resend, replay or recovery is a run of its own (PROTOCOL rule 13).
    pub run: i64,
    /// 1 for the first of its run.
    pub number: u32,
    /// Why it was made.
    pub trigger: Trigger,
    /// What came of it.
    pub outcome: Outcome,
    /// What the delivery became.
    pub disposition: Disposition,
    /// When the request was sent.
    pub started_at: Timestamp,
    /// From there to the last byte of the answer, in milliseconds.
    pub duration_ms: u32,
    /// The answer's status; 0 when there was none.
    pub status: u16,
    /// Where it went.
    pub url: String,
    /// The answer's body, at most 16 KiB; or a sentence on why there was none.
    pub response: Bytes,
}

/// A recorded attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Its id.
    pub id: AttemptId,
    /// What was recorded.
    pub record: NewAttempt,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_codes_read_back_and_no_other_does() {
        assert!(Trigger::ALL.iter().all(|t| Trigger::from_code(t.code()) == Some(*t)));
        assert!(Outcome::ALL.iter().all(|o| Outcome::from_code(o.code()) == Some(*o)));
        assert!(Disposition::ALL.iter().all(|d| Disposition::from_code(d.code()) == Some(*d)));
        assert_eq!(
            (Trigger::from_code(5), Outcome::from_code(5), Disposition::from_code(3)),
            (None, None, None)
        );
    }
}
