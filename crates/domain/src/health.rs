//! How an endpoint fares: since when it fails, and when that is enough to disable it (`disablePolicy`).
//!
//! An *episode* lasts from the first failure until the next success. Only requests of real deliveries count, the breaker's
//! probes included; tests do not.

use crate::attempt::Outcome;
use crate::clock::Timestamp;
use crate::word::worded;
use serde::{Deserialize, Serialize};

/// Unrecoverable answers in a row that are enough…
pub const UNRECOVERABLE_IN_A_ROW: u32 = 3;
/// …when they are spread over so long, in milliseconds: a receiver that is being deployed is not a broken one.
pub const UNRECOVERABLE_MS: i64 = 60_000;
/// How long without a success is enough, in milliseconds (5 days)…
pub const FAILING_MS: i64 = 5 * 86_400_000;
/// …when there were so many failures.
pub const FAILURES_MIN: u32 = 20;
/// An answer that took longer is slow: many such endpoints must not take the quick ones' turn, in milliseconds.
pub const SLOW_MS: u32 = 2_000;
/// What is kept of an answer's text, in bytes.
pub const ANSWER_BYTES_MAX: usize = 500;
/// Answers that no later try will change by itself: unauthorized, forbidden, not found, gone.
const UNRECOVERABLE: [u16; 4] = [401, 403, 404, 410];

worded!(
    /// What disables an endpoint by itself.
    DisablePolicy {
        /// Either of the two.
        Both = "both",
        /// Unrecoverable answers in a row.
        Unrecoverable = "unrecoverable",
        /// No success for long.
        FailingFor = "failingFor",
        /// Nothing.
        Never = "never",
    }
);

/// The last answer of an endpoint that fails.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastAnswer {
    /// When it came.
    pub at: i64,
    /// The HTTP status; 0 when there was none.
    pub status: u16,
    /// The beginning of its body, or why there was no answer.
    pub text: String,
}

impl LastAnswer {
    /// An answer of which the beginning is kept.
    #[must_use]
    pub fn new(at: Timestamp, status: u16, response: &[u8]) -> Self {
        // A little more than is kept, so that no character is cut that is.
        let text = String::from_utf8_lossy(&response[..response.len().min(ANSWER_BYTES_MAX + 4)]);
        let end = text.floor_char_boundary(ANSWER_BYTES_MAX);
        // PostgreSQL's texts cannot hold it.
        Self { at: at.0, status, text: text[..end].replace('\0', "\u{fffd}") }
    }

    /// In words: `404` or the reason why there was none.
    #[must_use]
    pub fn told(&self) -> String {
        if self.status == 0 { self.text.clone() } else { format!("HTTP {}", self.status) }
    }
}

/// Whether no later try will change this by itself. `is_certificate`: the server's certificate was not believed.
#[must_use]
pub fn is_unrecoverable(outcome: Outcome, status: u16, is_certificate: bool) -> bool {
    is_certificate || (outcome == Outcome::BadStatus && UNRECOVERABLE.contains(&status))
}

/// Unrecoverable answers in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The first of them.
    pub since: Timestamp,
    /// How many.
    pub count: u32,
}

/// Failures of one endpoint in a row: what one process saw since it last told the store, or an endpoint's whole episode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failures {
    /// The first one.
    pub since: Timestamp,
    /// How many.
    pub count: u32,
    /// Unrecoverable ones in a row at the end.
    pub row: Option<Row>,
    /// The last answer.
    pub last: LastAnswer,
}

impl Failures {
    /// The first failure.
    #[must_use]
    pub fn first(last: LastAnswer, is_unrecoverable: bool) -> Self {
        let since = Timestamp(last.at);
        Self { since, count: 1, row: is_unrecoverable.then_some(Row { since, count: 1 }), last }
    }

    /// Adds another.
    pub fn add(&mut self, last: LastAnswer, is_unrecoverable: bool) {
        self.append(Self::first(last, is_unrecoverable));
    }

    /// Adds those that came after.
    pub fn append(&mut self, later: Self) {
        self.row = match (self.row, later.row) {
            (Some(before), Some(row)) if row.count == later.count => {
                Some(Row { since: before.since, count: before.count.saturating_add(row.count) })
            }
            (_, row) => row,
        };
        self.count = self.count.saturating_add(later.count);
        self.last = later.last;
    }
}

/// Why an endpoint is disabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enough {
    /// Unrecoverable answers in a row.
    Unrecoverable,
    /// No success for long.
    FailingFor,
}

/// Whether these failures are enough by this policy.
#[must_use]
pub fn enough(failures: &Failures, policy: DisablePolicy) -> Option<Enough> {
    let now = Timestamp(failures.last.at);
    let (rows, long) = match policy {
        DisablePolicy::Both => (true, true),
        DisablePolicy::Unrecoverable => (true, false),
        DisablePolicy::FailingFor => (false, true),
        DisablePolicy::Never => (false, false),
    };
    let is_row = |row: Row| row.count >= UNRECOVERABLE_IN_A_ROW && now.since(row.since) >= UNRECOVERABLE_MS;
    if rows && failures.row.is_some_and(is_row) {
        return Some(Enough::Unrecoverable);
    }
    let is_long = failures.count >= FAILURES_MIN && now.since(failures.since) >= FAILING_MS;
    (long && is_long).then_some(Enough::FailingFor)
}

/// Whether half of the time has passed after which an endpoint is disabled, with half of the failures.
#[must_use]
pub fn is_worth_a_warning(failures: &Failures) -> bool {
    let lasts = Timestamp(failures.last.at).since(failures.since);
    lasts >= FAILING_MS / 2 && failures.count >= FAILURES_MIN / 2
}

/// The reason in a sentence, as the endpoint's owner reads it.
#[must_use]
pub fn reason(failures: &Failures, enough: Enough) -> String {
    let last = failures.last.told();
    match enough {
        Enough::Unrecoverable => {
            let row = failures.row.unwrap_or(Row { since: failures.since, count: failures.count });
            format!("the last {} requests in a row, since {}, ended with: {last}", row.count, row.since)
        }
        Enough::FailingFor => format!(
            "no request succeeded since {}, {} failed; the last one with: {last}",
            failures.since, failures.count
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    const START: Timestamp = Timestamp(1_800_000_000_000);

    fn failures(answers: &[(i64, u16)]) -> Failures {
        let answer = |(ms, status): (i64, u16)| LastAnswer::new(START.plus_ms(ms), status, b"no");
        let bad = |status| is_unrecoverable(Outcome::BadStatus, status, false);
        let mut all = Failures::first(answer(answers[0]), bad(answers[0].1));
        for one in &answers[1..] {
            all.add(answer(*one), bad(one.1));
        }
        all
    }

    #[test]
    fn three_unrecoverable_answers_in_a_row_are_enough_when_they_are_spread_over_a_minute() {
        let table: [(&[(i64, u16)], bool); 6] = [
            (&[(0, 404), (1, 404), (60_000, 404)], true),
            (&[(0, 401), (1, 403), (60_000, 410)], true),
            (&[(0, 404), (1, 404), (59_999, 404)], false),
            (&[(0, 404), (60_000, 404)], false),
            (&[(0, 404), (1, 500), (2, 404), (60_001, 404)], false),
            (&[(0, 500), (1, 500), (60_000, 500)], false),
        ];
        for (answers, expected) in table {
            let found = enough(&failures(answers), DisablePolicy::Both);
            assert_eq!(found, expected.then_some(Enough::Unrecoverable), "{answers:?}");
        }
    }

    #[test]
    fn five_days_without_a_success_are_enough_when_there_were_twenty_failures() {
        let spread = |count: i64, ms: i64| {
            let all: Vec<_> = (0..count).map(|n| (n * ms / (count - 1), 500)).collect();
            enough(&failures(&all), DisablePolicy::Both)
        };
        assert_eq!(spread(20, FAILING_MS), Some(Enough::FailingFor));
        assert_eq!(spread(19, FAILING_MS), None);
        assert_eq!(spread(20, FAILING_MS - 1), None);
    }

    #[test]
    fn a_policy_looks_at_its_own_alone() {
        let both = failures(&[(0, 404), (1, 404), (60_000, 404)]);
        let long: Vec<_> = (0..20).map(|n| (n * FAILING_MS / 19, 500)).collect();
        let long = failures(&long);
        let table = [
            (DisablePolicy::Unrecoverable, Some(Enough::Unrecoverable), None),
            (DisablePolicy::FailingFor, None, Some(Enough::FailingFor)),
            (DisablePolicy::Never, None, None),
        ];
        for (policy, by_row, by_time) in table {
            assert_eq!((enough(&both, policy), enough(&long, policy)), (by_row, by_time), "{policy:?}");
        }
    }

    #[test]
    fn parts_add_up_to_the_whole() {
        let answers = [(0, 404), (1, 500), (2, 404), (3, 404), (4, 410)];
        for cut in 1..answers.len() {
            let mut whole = failures(&answers[..cut]);
            whole.append(failures(&answers[cut..]));
            assert_eq!(whole, failures(&answers), "cut at {cut}");
        }
    }

    #[test]
    fn the_reason_names_what_happened_and_since_when() {
        let all = failures(&[(0, 404), (1, 404), (60_000, 404)]);
        assert_eq!(
            reason(&all, Enough::Unrecoverable),
            "the last 3 requests in a row, since 2027-01-15T08:00:00Z, ended with: HTTP 404"
        );
    }
}
