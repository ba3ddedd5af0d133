//! Time as a value: milliseconds since 1970, and the clock that is handed to whoever needs one.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};

/// A moment in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The moment `seconds` after 1970.
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds * 1000)
    }

    /// Whole seconds since 1970, rounded down.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// This moment moved by so many milliseconds, saturating.
    #[must_use]
    pub const fn plus_ms(self, milliseconds: i64) -> Self {
        Self(self.0.saturating_add(milliseconds))
    }

    /// Milliseconds from `earlier` to this moment; negative when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Reads RFC 3339 (`2026-11-21T22:57:41Z`, any offset).
    ///
    /// # Errors
    /// A text that is not a date-time with an offset.
    pub fn parse(text: &str) -> Result<Self, NotATimestamp> {
        text.parse::<jiff::Timestamp>().map(|t| Self(t.as_millisecond())).map_err(|_| NotATimestamp)
    }
}

/// The text was not an RFC 3339 date-time.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a date-time: write it as RFC 3339 asks, for example 2026-11-21T22:57:41Z")]
pub struct NotATimestamp;

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC, milliseconds shown when there are any.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(time) => write!(f, "{time}"),
            Err(_) => write!(f, "{} ms after 1970", self.0),
        }
    }
}

/// Where the present comes from. The binary hands in the system's, tests hand in a [`ManualClock`].
pub trait Clock: Send + Sync + 'static {
    /// The present.
    fn now(&self) -> Timestamp;
}

/// A clock that only moves when told to.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that stands at `start`.
    #[must_use]
    pub const fn new(start: Timestamp) -> Self {
        Self(AtomicI64::new(start.0))
    }

    /// Moves the clock forward, or back when `milliseconds` is negative.
    pub fn advance_ms(&self, milliseconds: i64) {
        self.0.fetch_add(milliseconds, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_reads_back_what_it_shows() {
        let time = Timestamp(1_795_301_861_042);
        assert_eq!(Timestamp::parse(&time.to_string()), Ok(time));
        assert_eq!(Timestamp::parse("2026-11-21T23:57:41+01:00"), Timestamp::parse("2026-11-21T22:57:41Z"));
        assert_eq!(Timestamp::parse("tomorrow"), Err(NotATimestamp));
    }
}
