//! Time windows of lists and statistics: how wide, and what is meant by one end alone.

use crate::error::{AppError, Result};
use domain::clock::Timestamp;

pub(crate) const DAY_MS: i64 = 86_400_000;
/// A client works out its window a little before it is looked at, in milliseconds.
pub(crate) const SLACK_MS: i64 = 60_000;
/// How wide a list's window is at most, in days.
pub(crate) const LIST_DAYS_MAX: i64 = 90;

/// What was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) after: Option<Timestamp>,
    pub(crate) before: Option<Timestamp>,
}

/// A window with the names that its ends have in the query.
pub(crate) struct Named {
    window: Window,
    after: &'static str,
    before: &'static str,
}

impl Window {
    pub(crate) const fn named(self, after: &'static str, before: &'static str) -> Named {
        Named { window: self, after, before }
    }

    /// A list's window: open when nothing was asked for; one end bounds the other at 90 days.
    pub(crate) fn of_list(self) -> Result<Self> {
        let ms = LIST_DAYS_MAX * DAY_MS;
        Ok(match (self.after, self.before) {
            (None, None) => self,
            (Some(after), None) => Self { after: Some(after), before: Some(after.plus_ms(ms)) },
            (None, Some(before)) => Self { after: Some(before.plus_ms(-ms)), before: Some(before) },
            (Some(after), Some(before)) => {
                self.named("after", "before").check(after, before, LIST_DAYS_MAX)?;
                self
            }
        })
    }
}

impl Named {
    /// A window with both ends, the later one exclusive: up to now, now included, and as wide as allowed, unless told
    /// otherwise.
    pub(crate) fn closed(&self, days_max: i64, now: Timestamp) -> Result<(Timestamp, Timestamp)> {
        let until = self.window.before.unwrap_or(now.plus_ms(1));
        let since = self.window.after.unwrap_or(until.plus_ms(-days_max * DAY_MS));
        self.check(since, until, days_max)?;
        Ok((since, until))
    }

    fn check(&self, after: Timestamp, before: Timestamp, days_max: i64) -> Result<()> {
        if before < after {
            let message = format!("{before} is earlier than `{}`, {after}", self.after);
            return Err(AppError::invalid_query(self.before, message));
        }
        if before.since(after) > days_max * DAY_MS + SLACK_MS {
            let message =
                format!("is more than {days_max} days before `{}`: ask for a narrower window", self.before);
            return Err(AppError::invalid_query(self.after, message));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    #[test]
    fn one_end_bounds_the_other_and_too_wide_is_refused() {
        let days = |n: i64| Some(NOW.plus_ms(n * DAY_MS));
        let of = |after, before| Window { after, before }.of_list();
        assert_eq!(of(None, None), Ok(Window::default()));
        assert_eq!(of(days(0), None), Ok(Window { after: days(0), before: days(90) }));
        assert_eq!(of(None, days(0)), Ok(Window { after: days(-90), before: days(0) }));
        assert!(of(days(0), days(90)).is_ok());
        assert!(of(days(0), days(91)).is_err());
        assert!(of(days(1), days(0)).is_err());
    }

    #[test]
    fn statistics_look_back_as_far_as_they_may() {
        let window = Window::default().named("since", "until");
        assert_eq!(window.closed(28, NOW), Ok((NOW.plus_ms(1 - 28 * DAY_MS), NOW.plus_ms(1))));
        let exact = Window { after: Some(NOW.plus_ms(-28 * DAY_MS)), before: None }.named("since", "until");
        assert!(exact.closed(28, NOW).is_ok());
        let early = Window { after: Some(NOW.plus_ms(-29 * DAY_MS)), before: None }.named("since", "until");
        assert!(early.closed(28, NOW).is_err());
    }
}
