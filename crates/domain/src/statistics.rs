//! What an hour brought: events, deliveries, failures, and how long receivers took to answer.
//!
//! Durations are kept as counts in classes whose bounds grow by a fifth, so that hours add up, and a quantile of any number of them is
//! right to within ten percent.

use crate::clock::Timestamp;
use crate::word::worded;
use std::fmt::Write;

/// An hour in milliseconds.
pub const HOUR_MS: i64 = 3_600_000;
/// How long hours are kept, in hours: 400 days.
pub const STATISTICS_KEPT_HOURS: i64 = 400 * 24;

/// Where classes of durations begin, in milliseconds: 1, 2, 3 and so on, then each a fifth above the one before.
pub const DURATION_BOUNDS: [u32; 64] = bounds();
const CLASSES: usize = DURATION_BOUNDS.len() + 1;

const fn bounds() -> [u32; 64] {
    let mut bounds = [1; 64];
    let mut index = 1;
    while index < bounds.len() {
        let before = bounds[index - 1];
        bounds[index] = if before < 10 { before + 1 } else { before + before / 5 };
        index += 1;
    }
    bounds
}

/// The class of a duration: 0 is below the first bound.
#[must_use]
pub fn class_of(duration_ms: u32) -> usize {
    DURATION_BOUNDS.partition_point(|bound| *bound <= duration_ms)
}

/// How many requests took how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Durations([u64; CLASSES]);

impl Default for Durations {
    fn default() -> Self {
        Self([0; CLASSES])
    }
}

impl Durations {
    /// Adds so many of a class that [`class_of`] gave.
    pub fn add(&mut self, class: usize, count: u64) {
        self.0[class.min(CLASSES - 1)] += count;
    }

    /// The duration in milliseconds that this share of the requests stayed within; none without requests.
    #[must_use]
    pub fn quantile_ms(&self, share: f64) -> Option<f64> {
        let all: u64 = self.0.iter().sum();
        if all == 0 {
            return None;
        }
        let rank = (share * all as f64).ceil().max(1.0);
        let mut below = 0.0;
        for (class, count) in self.0.iter().map(|count| *count as f64).enumerate() {
            if below + count >= rank {
                let (first, last) = range_of(class);
                let within = (rank - below - 0.5) / count;
                return Some(first + (last - first) * within);
            }
            below += count;
        }
        None
    }

    /// The counts above 0, as they are stored: `3:12,40:1`.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for (class, count) in self.0.iter().enumerate().filter(|(_, count)| **count > 0) {
            let comma = if text.is_empty() { "" } else { "," };
            let _ = write!(text, "{comma}{class}:{count}");
        }
        text
    }

    /// Reads what [`Durations::to_text`] wrote.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let mut read = Self::default();
        for pair in text.split(',').filter(|pair| !pair.is_empty()) {
            let (class, count) = pair.split_once(':')?;
            *read.0.get_mut(class.parse::<usize>().ok()?)? = count.parse().ok()?;
        }
        Some(read)
    }
}

/// The shortest and the longest duration of a class, in whole milliseconds.
fn range_of(class: usize) -> (f64, f64) {
    let first = if class == 0 { 0 } else { DURATION_BOUNDS[class - 1] };
    let last = DURATION_BOUNDS.get(class).map_or(first, |next| next - 1);
    (f64::from(first), f64::from(last))
}

/// What an hour, or several, brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Events that were accepted.
    pub accepted: u64,
    /// Attempts that delivered.
    pub delivered: u64,
    /// Attempts that did not.
    pub failed: u64,
    /// Those of them after which the delivery was given up.
    pub given_up: u64,
    /// How long those took that delivered.
    pub durations: Durations,
}

impl Tally {
    /// Adds another.
    pub fn join(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.delivered += other.delivered;
        self.failed += other.failed;
        self.given_up += other.given_up;
        self.durations.0.iter_mut().zip(other.durations.0).for_each(|(sum, count)| *sum += count);
    }

    /// Which share of the attempts failed; none without attempts.
    #[must_use]
    pub fn failed_share(&self) -> Option<f64> {
        let attempts = self.delivered + self.failed;
        (attempts > 0).then(|| self.failed as f64 / attempts as f64)
    }

    /// Whether nothing happened.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.accepted == 0 && self.delivered == 0 && self.failed == 0
    }
}

worded!(
    /// How far back statistics look, and in which steps.
    Period {
        /// 24 hours, by the hour.
        Day = "day",
        /// 7 days, by six hours.
        Week = "week",
        /// 28 days, by the day.
        Month = "month",
    }
);

impl Period {
    /// Points of a series.
    #[must_use]
    pub const fn points(self) -> i64 {
        match self {
            Self::Day => 24,
            Self::Week | Self::Month => 28,
        }
    }

    /// Hours of one point. It begins at a multiple of them, in UTC.
    #[must_use]
    pub const fn hours(self) -> i64 {
        match self {
            Self::Day => 1,
            Self::Week => 6,
            Self::Month => 24,
        }
    }

    /// The hours from the first to the last at this moment, the one that is not over included; in hours since 1970.
    #[must_use]
    pub const fn range(self, now: Timestamp) -> (i64, i64) {
        let end = (now.0.div_euclid(HOUR_MS).div_euclid(self.hours()) + 1) * self.hours();
        (end - self.points() * self.hours(), end - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_ends_with_the_stretch_that_is_not_over() {
        // 2027-01-15T08:00:00Z is the hour 500,000.
        let at = |ms: i64| Timestamp(1_800_000_000_000 + ms);
        assert_eq!(Period::Day.range(at(0)), (499_977, 500_000));
        assert_eq!(Period::Day.range(at(-1)), (499_976, 499_999));
        // From 06:00 to 12:00, and the whole of the 15th.
        assert_eq!(Period::Week.range(at(0)), (499_998 - 27 * 6, 500_003));
        assert_eq!(Period::Month.range(at(0)), (499_992 - 27 * 24, 500_015));
    }

    fn of(durations: impl IntoIterator<Item = u32>) -> Durations {
        let mut all = Durations::default();
        durations.into_iter().for_each(|one| all.add(class_of(one), 1));
        all
    }

    #[test]
    fn bounds_rise_and_reach_past_every_deadline() {
        assert!(DURATION_BOUNDS.windows(2).all(|two| two[0] < two[1]));
        assert_eq!(DURATION_BOUNDS[..12], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14]);
        assert!(DURATION_BOUNDS[63] > 60_000, "{}", DURATION_BOUNDS[63]);
        assert_eq!((class_of(0), class_of(1), class_of(11), class_of(u32::MAX)), (0, 1, 10, 64));
    }

    #[test]
    fn quantiles_are_right_to_within_ten_percent() {
        let mut seed = fastrand_like(7);
        for most in [20, 300, 4_000, 60_000] {
            let mut all: Vec<u32> = (0..999).map(|_| seed() % most).collect();
            let found = of(all.iter().copied());
            all.sort_unstable();
            for (share, index) in [(0.5, 499), (0.95, 949), (0.99, 989)] {
                let (exact, found) = (f64::from(all[index]), found.quantile_ms(share).unwrap());
                assert!((found - exact).abs() <= 0.1 * exact + 0.5, "{share} of {most}: {found}, {exact}");
            }
        }
        assert_eq!(of([]).quantile_ms(0.5), None);
        assert_eq!([of([7]).quantile_ms(0.5), of([7]).quantile_ms(0.95)], [Some(7.0), Some(7.0)]);
        assert_eq!(of([1, 1, 1, 9]).quantile_ms(0.75), Some(1.0));
    }

    /// Numbers without order.
    fn fastrand_like(mut state: u32) -> impl FnMut() -> u32 {
        move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 8
        }
    }

    #[test]
    fn what_is_stored_reads_back_and_nothing_else_does() {
        let all = of([0, 3, 3, 15_000, u32::MAX]);
        assert_eq!(all.to_text(), "0:1,3:2,51:1,64:1");
        assert_eq!(Durations::from_text(&all.to_text()), Some(all));
        assert_eq!(Durations::from_text(""), Some(Durations::default()));
        for wrong in ["65:1", "a:1", "1", "1:-1", "1:2:3"] {
            assert_eq!(Durations::from_text(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn hours_add_up() {
        let one = Tally { accepted: 3, delivered: 2, failed: 2, given_up: 1, durations: of([4, 5]) };
        let mut sum = one.clone();
        sum.join(&one);
        let twice = of([4, 5, 4, 5]);
        assert_eq!(sum, Tally { accepted: 6, delivered: 4, failed: 4, given_up: 2, durations: twice });
        assert_eq!((sum.failed_share(), Tally::default().failed_share()), (Some(0.5), None));
        assert!(Tally::default().is_empty() && !one.is_empty());
    }
}
