//! What went wrong with an endpoint lately, by kind, the most frequent first. Pure.

use crate::diagnose::{Finding, Grade};
use crate::diagnose_steps::advice_on;
use domain::attempt::{Attempt, Outcome};
use domain::health::LastAnswer;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

/// Kinds of errors that are told.
const KINDS_MAX: usize = 5;
/// What is told of one kind, in bytes.
const TEXT_BYTES: usize = 200;

/// What went wrong among these attempts, newest first.
pub(crate) fn errors(attempts: &[Attempt]) -> Vec<Finding> {
    let mut kinds: HashMap<String, (u32, &Attempt)> = HashMap::new();
    for attempt in attempts.iter().filter(|attempt| attempt.record.outcome != Outcome::Succeeded) {
        kinds.entry(kind(&told(attempt))).or_insert((0, attempt)).0 += 1;
    }
    if kinds.is_empty() {
        let text = match attempts.len() {
            0 => "Nothing was sent yet.".to_owned(),
            1 => "The last attempt succeeded.".to_owned(),
            all => format!("All of the last {all} attempts succeeded."),
        };
        return vec![Finding::new("errors", Grade::Good, text, "")];
    }
    let mut kinds: Vec<_> = kinds.into_values().collect();
    kinds.sort_by(|(one, first), (other, second)| other.cmp(one).then(second.id.cmp(&first.id)));
    let succeeded_last = attempts.first().is_some_and(|attempt| attempt.record.outcome == Outcome::Succeeded);
    let grade = if succeeded_last { Grade::Warning } else { Grade::Problem };
    let all = attempts.len();
    let finding = |(count, newest): (u32, &Attempt)| {
        let (when, mut what) = (newest.id.timestamp(), told(newest));
        what.truncate(what.floor_char_boundary(TEXT_BYTES));
        let text = format!("{count} of the last {all} attempts ended with: {what}. The latest at {when}.");
        Finding::new("errors", grade, text, advice(newest))
    };
    kinds.into_iter().take(KINDS_MAX).map(finding).collect()
}

fn told(attempt: &Attempt) -> String {
    let record = &attempt.record;
    LastAnswer::new(record.started_at, record.status, &record.response).told()
}

/// What is the same of one kind's sentences: they differ in how long it took and by which address it went.
fn kind(told: &str) -> String {
    let differs = |word: &str| {
        let word = word.trim_matches(['(', ')', ',', '.', ';']).trim_end_matches(':');
        word.parse::<f64>().is_ok() || word.parse::<IpAddr>().is_ok() || word.parse::<SocketAddr>().is_ok()
    };
    // A status is the whole of what is told of an answer.
    if told.starts_with("HTTP ") {
        return told.to_owned();
    }
    let words = told.split_whitespace().map(|word| if differs(word) { "#" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

const fn advice(attempt: &Attempt) -> &'static str {
    match (attempt.record.outcome, attempt.record.status) {
        (Outcome::Succeeded, _) => "",
        (_, 1..) => advice_on(attempt.record.status),
        (Outcome::Blocked, _) => {
            "Nothing was sent: set a URL that requests may go to, or mend what shapes the request (…/simulate shows it)."
        }
        (Outcome::TimedOut, _) => {
            "Let it answer first and work afterwards, or give it longer (`timeoutSeconds`, 30 at most)."
        }
        (Outcome::Unreachable | Outcome::BadStatus, _) => {
            "Look whether the server runs, and whether its name, port, certificate and firewall let requests in from here."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use domain::attempt::{Disposition, NewAttempt, Trigger};
    use domain::clock::Timestamp;
    use domain::id::{AttemptId, EndpointKey, MessageId, floor_of};

    /// Attempts, newest first: outcome, status, and what was answered or why nothing was.
    fn attempts(ended: &[(Outcome, u16, &str)]) -> Vec<Attempt> {
        let one = |(index, (outcome, status, text)): (usize, &(Outcome, u16, &str))| Attempt {
            id: AttemptId(floor_of(Timestamp(1_800_000_000_000).plus_ms(-1_000 * index as i64))),
            record: NewAttempt {
                message: MessageId(1),
                endpoint: EndpointKey(1),
                run: 0,
                number: 1,
                trigger: Trigger::Message,
                outcome: *outcome,
                disposition: Disposition::Failed,
                started_at: Timestamp(0),
                duration_ms: 1,
                status: *status,
                url: String::new(),
                response: Bytes::copy_from_slice(text.as_bytes()),
            },
        };
        ended.iter().enumerate().map(one).collect()
    }

    fn told(ended: &[(Outcome, u16, &str)]) -> Vec<String> {
        errors(&attempts(ended)).into_iter().map(|finding| finding.text).collect()
    }

    #[test]
    fn failures_of_one_kind_are_told_together_the_most_frequent_first() {
        use Outcome::{BadStatus, Succeeded, TimedOut, Unreachable};
        let found = told(&[
            (BadStatus, 500, "one thing"),
            (Succeeded, 200, ""),
            (TimedOut, 0, "timed out after 15.0 s while waiting for the response"),
            (TimedOut, 0, "timed out after 15.1 s while waiting for the response"),
            (TimedOut, 0, "203.0.113.7:443 did not accept a connection within 5.0 s"),
            (TimedOut, 0, "[2001:db8::a]:443 did not accept a connection within 5.0 s"),
            (TimedOut, 0, "timed out after 3 s while waiting for the response"),
            (Unreachable, 0, "the connection was refused (203.0.113.7:443)"),
            (BadStatus, 500, "another"),
            (BadStatus, 502, ""),
            (BadStatus, 500, ""),
            (BadStatus, 500, ""),
        ]);
        assert_eq!(
            found,
            [
                "4 of the last 12 attempts ended with: HTTP 500. The latest at 2027-01-15T08:00:00Z.",
                "3 of the last 12 attempts ended with: timed out after 15.0 s while waiting for the response. The latest at 2027-01-15T07:59:58Z.",
                "2 of the last 12 attempts ended with: 203.0.113.7:443 did not accept a connection within 5.0 s. The latest at 2027-01-15T07:59:56Z.",
                "1 of the last 12 attempts ended with: the connection was refused (203.0.113.7:443). The latest at 2027-01-15T07:59:53Z.",
                "1 of the last 12 attempts ended with: HTTP 502. The latest at 2027-01-15T07:59:51Z.",
            ]
        );
    }

    #[test]
    fn each_kind_says_what_to_do_and_is_no_problem_any_more_after_a_success() {
        use Outcome::{BadStatus, Blocked, Succeeded, TimedOut, Unreachable};
        let all = [
            (BadStatus, 404, "", "path"),
            (TimedOut, 0, "late", "timeoutSeconds"),
            (Unreachable, 0, "gone", "firewall"),
            (Blocked, 0, "inside", "may go to"),
        ];
        for (outcome, status, text, advice) in all {
            for (last, grade) in [(Succeeded, Grade::Warning), (outcome, Grade::Problem)] {
                let found = errors(&attempts(&[(last, status, text), (outcome, status, text)])).remove(0);
                assert_eq!(found.grade, grade);
                assert!(found.advice.as_ref().unwrap().contains(advice), "{found:?}");
            }
        }
        assert_eq!(told(&[(Succeeded, 200, "")]), ["The last attempt succeeded."]);
        assert_eq!(told(&[]), ["Nothing was sent yet."]);
    }
}
