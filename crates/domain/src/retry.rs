//! When the next try comes: the schedule, its jitter, and what the receiver asked for with `Retry-After`.

use crate::clock::Timestamp;
use serde::{Deserialize, Serialize};

/// Jitter around a scheduled interval, in percent either way.
const JITTER_PERCENT: i64 = 20;
/// `Retry-After` moves a try at most this far, in milliseconds (24 h).
const RETRY_AFTER_MS_MAX: i64 = 24 * 3_600_000;
/// Intervals of one schedule at most.
pub const SCHEDULE_TRIES_MAX: usize = 25;
/// One interval of a schedule at most, in seconds (a week).
pub const SCHEDULE_SECONDS_MAX: u32 = 7 * 86_400;

/// The intervals between tries, in seconds; the first is from the first failure to the second try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule(Vec<u32>);

impl Default for Schedule {
    /// 5 s, 5 m, 30 m, 2 h, 5 h, 10 h, 10 h.
    fn default() -> Self {
        Self(vec![5, 300, 1_800, 7_200, 18_000, 36_000, 36_000])
    }
}

/// A schedule that cannot be.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSchedule {
    /// Too many tries.
    #[error("has {0} intervals: at most {SCHEDULE_TRIES_MAX}")]
    TooMany(usize),
    /// An interval out of range.
    #[error("an interval of {0} seconds: each must be at most {SCHEDULE_SECONDS_MAX} (7 days)")]
    TooLong(u32),
}

impl Schedule {
    /// A schedule of these intervals in seconds; an empty one means a single try.
    ///
    /// # Errors
    /// More than 25 intervals, or one over 7 days.
    pub fn new(seconds: Vec<u32>) -> Result<Self, BadSchedule> {
        if seconds.len() > SCHEDULE_TRIES_MAX {
            return Err(BadSchedule::TooMany(seconds.len()));
        }
        match seconds.iter().find(|s| **s > SCHEDULE_SECONDS_MAX) {
            Some(long) => Err(BadSchedule::TooLong(*long)),
            None => Ok(Self(seconds)),
        }
    }

    /// The intervals, in seconds.
    #[must_use]
    pub fn seconds(&self) -> &[u32] {
        &self.0
    }

    /// When the try after number `tried` is scheduled, or none when the budget is spent. `jitter` is uniform in 0..=1000.
    #[must_use]
    pub fn next(&self, tried: u32, now: Timestamp, jitter: u16) -> Option<Timestamp> {
        let seconds = *self.0.get(usize::try_from(tried).ok()?.checked_sub(1)?)?;
        let base = i64::from(seconds) * 1000;
        let spread = base * JITTER_PERCENT / 100;
        Some(now.plus_ms(base - spread + 2 * spread * i64::from(jitter.min(1000)) / 1000))
    }
}

/// What one level (an endpoint, an event type, an environment) says about retries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RetryPolicy {
    /// Tries after the first one; past the schedule's end its last interval repeats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u8>,
    /// Seconds between tries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_schedule: Option<Vec<u32>>,
}

impl RetryPolicy {
    /// Whether it says nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.max_attempts.is_none() && self.retry_schedule.is_none()
    }

    /// The schedule that holds: of `levels`, the first one that says anything decides how often, and the first one with
    /// intervals decides how far apart; what none says is as in `otherwise`.
    #[must_use]
    pub fn resolve<'a>(levels: impl IntoIterator<Item = &'a Self> + Clone, otherwise: &Schedule) -> Schedule {
        let own = levels.clone().into_iter().find_map(|level| level.retry_schedule.as_deref());
        let mut seconds = own.unwrap_or_else(|| otherwise.seconds()).to_vec();
        let first = levels.into_iter().find(|level| !level.is_empty());
        if let Some(most) = first.and_then(|level| level.max_attempts) {
            let last = seconds.last().copied().unwrap_or_else(|| Schedule::default().0[6]);
            seconds.resize(usize::from(most), last);
        }
        seconds.truncate(SCHEDULE_TRIES_MAX);
        Schedule(seconds)
    }
}

/// Puts a scheduled try off as `Retry-After` asked: within 24 h from now, and never forward.
#[must_use]
pub fn put_off(scheduled: Timestamp, asked: Option<Timestamp>, now: Timestamp) -> Timestamp {
    asked.map_or(scheduled, |time| time.min(now.plus_ms(RETRY_AFTER_MS_MAX)).max(scheduled))
}

/// Reads a `Retry-After` header (RFC 9110, section 10.2.3): seconds or an HTTP date.
#[must_use]
pub fn retry_after(value: &str, now: Timestamp) -> Option<Timestamp> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u32>() {
        return Some(now.plus_ms(i64::from(seconds) * 1000));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    let since = date.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(Timestamp(i64::try_from(since.as_millis()).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    #[test]
    fn the_default_schedule_is_the_documented_one_and_then_ends() {
        let schedule = Schedule::default();
        let waits: Vec<_> =
            (1..=8).map(|n| schedule.next(n, NOW, 500).map(|t| t.since(NOW) / 1000)).collect();
        assert_eq!(
            waits,
            [Some(5), Some(300), Some(1800), Some(7200), Some(18_000), Some(36_000), Some(36_000), None]
        );
    }

    #[test]
    fn the_nearest_level_that_says_anything_decides() {
        let level = |max_attempts, seconds: Option<&[u32]>| RetryPolicy {
            max_attempts,
            retry_schedule: seconds.map(<[u32]>::to_vec),
        };
        let resolved = |levels: &[RetryPolicy]| RetryPolicy::resolve(levels, &Schedule(vec![5, 10])).0;
        let nothing = RetryPolicy::default();
        assert_eq!(resolved(&[nothing.clone(), nothing.clone()]), [5, 10]);
        assert_eq!(resolved(&[level(Some(4), None), nothing.clone()]), [5, 10, 10, 10]);
        assert_eq!(resolved(&[level(Some(0), None), level(Some(9), None)]), [0_u32; 0]);
        assert_eq!(resolved(&[level(None, Some(&[1])), level(Some(9), None)]), [1]);
        assert_eq!(resolved(&[level(Some(3), None), level(Some(9), Some(&[7]))]), [7, 7, 7]);
        assert_eq!(resolved(&[nothing, level(Some(1), None)]), [5]);
    }

    #[test]
    fn jitter_stays_within_a_fifth() {
        let schedule = Schedule::default();
        assert_eq!(schedule.next(1, NOW, 0), Some(NOW.plus_ms(4_000)));
        assert_eq!(schedule.next(1, NOW, 1000), Some(NOW.plus_ms(6_000)));
    }

    #[test]
    fn retry_after_puts_off_within_a_day_and_never_brings_forward() {
        let ask = |ms| put_off(NOW.plus_ms(5_000), Some(NOW.plus_ms(ms)), NOW).since(NOW);
        assert_eq!([1_000, 60_000, 48 * 3_600_000].map(ask), [5_000, 60_000, 24 * 3_600_000]);
        assert_eq!(put_off(NOW.plus_ms(5_000), None, NOW), NOW.plus_ms(5_000));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(retry_after("120", NOW), Some(NOW.plus_ms(120_000)));
        assert_eq!(retry_after("Fri, 15 Jan 2027 08:00:10 GMT", NOW), Some(NOW.plus_ms(10_000)));
        assert_eq!([retry_after("soon", NOW), retry_after("-5", NOW), retry_after("", NOW)], [None; 3]);
    }
}
