//! A notice: something that people, or an operational webhook, are to be told of an endpoint.
//!
//! A notice is written once for each episode, in the very transaction that makes what it tells of. From it follow the *letters*:
//! one for each channel and recipient, sent in groups.

use crate::clock::Timestamp;
use crate::health::LastAnswer;
use crate::id::{ApplicationKey, EndpointKey};
use crate::operational;
use crate::word::worded;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How long before a secret stops signing people are told, in milliseconds (6 hours).
pub const SECRET_EXPIRES_MS: i64 = 6 * 3_600_000;
/// How long before a certificate expires people are told, in days.
pub const CERTIFICATE_EXPIRES_DAYS: i64 = 14;
/// Between two letters to the same recipient by the same channel, in milliseconds: what happens meanwhile goes into one.
pub const LETTER_EVERY_MS: i64 = 60_000;
/// How long the first notice waits for others that happen at the same time, in milliseconds.
pub const GATHER_MS: i64 = 5_000;
/// Notices that one letter tells one by one; of more it tells how many there are.
pub const TOLD_MAX: usize = 20;
/// How long a letter is tried, in milliseconds (a day and a half).
pub const LETTER_TRIED_MS: i64 = 36 * 3_600_000;
/// The longest time between two tries, in minutes.
const AGAIN_MINUTES_MAX: i64 = 120;
/// How far ahead a letter's time can be, in milliseconds: what is further was noted by a clock that has been set back since.
pub const AHEAD_MS_MAX: i64 = (AGAIN_MINUTES_MAX + 5) * 60_000;
/// How long notices are kept at least, in milliseconds (30 days): what was told is not told again.
pub const NOTICE_KEPT_MS: i64 = 30 * 86_400_000;

worded!(
    /// What is told.
    NoticeKind {
        /// No request succeeded for long, but it is not disabled yet.
        Failing = "failing",
        /// It is disabled.
        Disabled = "disabled",
        /// It is enabled again.
        Enabled = "enabled",
        /// It works again.
        Recovered = "recovered",
        /// Deliveries were given up.
        Exhausted = "exhausted",
        /// A secret that is being replaced is about to stop signing.
        SecretExpiring = "secretExpiring",
        /// A certificate is about to expire.
        CertificateExpiring = "certificateExpiring",
        /// It was created: operational webhooks alone are told.
        Created = "created",
        /// It was changed: operational webhooks alone are told.
        Updated = "updated",
        /// It was deleted: operational webhooks alone are told.
        Deleted = "deleted",
        /// A background task has ended: operational webhooks alone are told.
        TaskFinished = "taskFinished",
        /// A delivery failed for the fourth time: operational webhooks alone are told.
        AttemptFailing = "attemptFailing",
        /// A delivery was given up: operational webhooks alone are told.
        AttemptExhausted = "attemptExhausted",
        /// A delivery succeeded after all: operational webhooks alone are told.
        AttemptRecovered = "attemptRecovered",
    }
);

impl NoticeKind {
    /// What people can be told of.
    pub const FOR_PEOPLE: [Self; 7] = [
        Self::Failing,
        Self::Disabled,
        Self::Enabled,
        Self::Recovered,
        Self::Exhausted,
        Self::SecretExpiring,
        Self::CertificateExpiring,
    ];

    /// The event type under which operational webhooks hear of it.
    #[must_use]
    pub const fn event_type(self) -> Option<&'static str> {
        match self {
            Self::Created => Some("endpoint.created"),
            Self::Updated => Some("endpoint.updated"),
            Self::Deleted => Some("endpoint.deleted"),
            Self::Disabled => Some("endpoint.disabled"),
            Self::Enabled => Some("endpoint.enabled"),
            Self::TaskFinished => Some("background_task.finished"),
            Self::AttemptFailing => Some(operational::ATTEMPT_FAILING),
            Self::AttemptExhausted => Some(operational::ATTEMPT_EXHAUSTED),
            Self::AttemptRecovered => Some(operational::ATTEMPT_RECOVERED),
            Self::Failing
            | Self::Recovered
            | Self::Exhausted
            | Self::SecretExpiring
            | Self::CertificateExpiring => None,
        }
    }
}

worded!(
    /// By which way a letter goes.
    Channel {
        /// E-mail.
        Email = "email",
        /// A URL that takes what Slack takes.
        Slack = "slack",
        /// A browser's push service.
        Push = "push",
    }
);

/// What is known of what happened. What can be looked up when it is told (names, what waits) is not kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Facts {
    /// Since when it fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<i64>,
    /// How many requests failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failures: Option<u32>,
    /// Why it was disabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The last answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<LastAnswer>,
    /// When it will be: disabled, a secret or certificate at its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
    /// Which secret or certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// The data of the operational event, if anybody wants it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<Value>,
}

/// A notice before the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewNotice {
    /// The application.
    pub application: ApplicationKey,
    /// The endpoint.
    pub endpoint: EndpointKey,
    /// What happened.
    pub kind: NoticeKind,
    /// Which time: one notice of a kind is written for each episode and subject.
    pub episode: i64,
    /// What tells several of an episode apart.
    pub subject: String,
    /// When it happened.
    pub at: Timestamp,
    /// Whether people are told, beside operational webhooks.
    pub is_for_people: bool,
    /// What is known.
    pub facts: Facts,
}

impl NewNotice {
    /// A notice that operational webhooks alone are told. `subject` tells it apart from others of its kind.
    #[must_use]
    pub fn silent(
        (application, endpoint): (ApplicationKey, EndpointKey),
        kind: NoticeKind,
        (subject, at): (String, Timestamp),
        event: Option<Value>,
    ) -> Self {
        let facts = Facts { event, ..Facts::default() };
        Self { application, endpoint, kind, episode: 0, subject, at, is_for_people: false, facts }
    }

    /// A notice that people are told, one for each episode.
    #[must_use]
    pub fn new(
        (application, endpoint): (ApplicationKey, EndpointKey),
        kind: NoticeKind,
        (episode, at): (Timestamp, Timestamp),
        facts: Facts,
    ) -> Self {
        let (episode, subject) = (episode.0, String::new());
        Self { application, endpoint, kind, episode, subject, at, is_for_people: true, facts }
    }
}

/// A notice as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Its number, in the order in which they were written.
    pub key: i64,
    /// What was written.
    pub new: NewNotice,
}

/// Who and what a notice is about, in the words that people know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// The application's name.
    pub application: String,
    /// The endpoint's name.
    pub endpoint: String,
    /// Deliveries that wait or were canceled, if it matters.
    pub waiting: Option<u64>,
}

/// Where people see an endpoint and mend it: a page of the console.
#[must_use]
pub fn link(public_url: &str, application: &str, endpoint: &str) -> String {
    format!("{public_url}/app/{application}/endpoint/{endpoint}")
}

impl Notice {
    /// In a few words, as a headline.
    #[must_use]
    pub fn title(&self, of: &Subject) -> String {
        let name = &of.endpoint;
        match self.new.kind {
            NoticeKind::Failing => format!("Webhook {name} is failing"),
            NoticeKind::Disabled => format!("Webhook {name} is disabled"),
            NoticeKind::Enabled => format!("Webhook {name} is enabled again"),
            NoticeKind::Recovered => format!("Webhook {name} works again"),
            NoticeKind::Exhausted => format!("Events for webhook {name} were given up"),
            NoticeKind::SecretExpiring => format!("An old secret of webhook {name} is about to stop signing"),
            NoticeKind::CertificateExpiring => {
                format!("A certificate of webhook {name} is about to expire")
            }
            NoticeKind::Created => format!("Webhook {name} was created"),
            NoticeKind::Updated => format!("Webhook {name} was changed"),
            NoticeKind::Deleted => format!("Webhook {name} was deleted"),
            NoticeKind::TaskFinished => format!("A background task of webhook {name} has ended"),
            NoticeKind::AttemptFailing => format!("An event for webhook {name} keeps failing"),
            NoticeKind::AttemptExhausted => format!("An event for webhook {name} was given up"),
            NoticeKind::AttemptRecovered => format!("An event for webhook {name} arrived after all"),
        }
    }

    /// What happened, since when, what waits and what to do, in sentences.
    #[must_use]
    pub fn text(&self, of: &Subject) -> String {
        let facts = &self.new.facts;
        let mut told = Vec::new();
        // To the second: people read it.
        let moment = |ms: Option<i64>| Timestamp::from_seconds(Timestamp(ms.unwrap_or_default()).seconds());
        let at = moment(Some(self.new.at.0));
        match self.new.kind {
            NoticeKind::Failing => {
                told.push(format!("No request succeeded since {}.", moment(facts.since)));
                if facts.expires_at.is_some() {
                    let ends = moment(facts.expires_at);
                    told.push(format!("Without a success it will be disabled at {ends}."));
                }
            }
            NoticeKind::Disabled => {
                let reason = facts.reason.as_deref().unwrap_or("unknown");
                told.push(format!("It was disabled at {at}: {reason}."));
            }
            NoticeKind::Enabled => told.push(format!("It was enabled at {at}.")),
            NoticeKind::Recovered => {
                let since = moment(facts.since);
                let down = lasted(at.since(since));
                told.push(format!("It works again since {at}. It was down for {down}, since {since}."));
            }
            NoticeKind::Exhausted => told.push(format!(
                "It fails since {}, and the tries of the first events are used up. They are kept: once it works again, \
                 recover them.",
                moment(facts.since)
            )),
            NoticeKind::SecretExpiring => told.push(format!(
                "Requests are signed with {} until {}: by then the receiver must verify with the new one.",
                facts.about.as_deref().unwrap_or("the old secret"),
                moment(facts.expires_at)
            )),
            NoticeKind::CertificateExpiring => told.push(format!(
                "{} expires at {}: renew it before then.",
                facts.about.as_deref().unwrap_or("Its certificate"),
                moment(facts.expires_at)
            )),
            _ => {}
        }
        if let Some(answer) = &facts.answer
            && facts.reason.as_ref().is_none_or(|reason| !reason.contains(&answer.told()))
        {
            told.push(format!("The last request ended with: {}.", answer.told()));
        }
        match (of.waiting, self.new.kind) {
            (None | Some(0), _) => {}
            (Some(waiting), NoticeKind::Disabled) => told.push(format!(
                "{} for it: {} kept, and can be sent when it is enabled.",
                counted(waiting, "event waits", "events wait"),
                if waiting == 1 { "it is" } else { "they are" }
            )),
            (Some(waiting), _) => {
                told.push(format!("{}.", counted(waiting, "event waits", "events wait")));
            }
        }
        told.join(" ")
    }
}

fn counted(count: u64, one: &str, many: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {many}") }
}

/// How long something lasted, to two places: `5 d 2 h`, `3 min 20 s`.
#[must_use]
pub fn lasted(ms: i64) -> String {
    let seconds = ms.max(0) / 1000;
    let parts = [("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)];
    let first = parts.iter().position(|(_, unit)| seconds >= *unit).unwrap_or(3);
    let mut rest = seconds;
    let mut told = Vec::new();
    for (index, (name, unit)) in parts.iter().enumerate().skip(first).take(2) {
        let count = rest / unit;
        rest %= unit;
        if count > 0 || index == first {
            told.push(format!("{count} {name}"));
        }
    }
    told.join(" ")
}

/// When a letter that could not be sent is tried again: after 1, 2, 4, … up to 120 minutes.
#[must_use]
pub fn again_at(tries: u32, now: Timestamp) -> Timestamp {
    let minutes = (1_i64 << tries.saturating_sub(1).min(7)).min(AGAIN_MINUTES_MAX);
    now.plus_ms(minutes * 60_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    const START: Timestamp = Timestamp(1_800_000_000_000);

    fn notice(kind: NoticeKind, facts: Facts) -> Notice {
        let of = (ApplicationKey(1), EndpointKey(1));
        Notice { key: 1, new: NewNotice::new(of, kind, (START, START.plus_ms(7_500_000)), facts) }
    }

    #[test]
    fn texts_tell_what_happened_since_when_what_waits_and_the_last_answer() {
        let answer = LastAnswer::new(START, 503, b"later");
        let facts = Facts { since: Some(START.0), answer: Some(answer), ..Facts::default() };
        let of = |waiting| Subject { endpoint: "Orders".into(), waiting, ..Subject::default() };
        let failing =
            notice(NoticeKind::Failing, Facts { expires_at: Some(START.0 + 86_400_000), ..facts.clone() });
        assert_eq!(failing.title(&of(None)), "Webhook Orders is failing");
        assert_eq!(
            failing.text(&of(Some(41))),
            "No request succeeded since 2027-01-15T08:00:00Z. Without a success it will be disabled at \
             2027-01-16T08:00:00Z. The last request ended with: HTTP 503. 41 events wait."
        );
        let disabled = notice(
            NoticeKind::Disabled,
            Facts { reason: Some("three times HTTP 404".into()), ..facts.clone() },
        );
        assert_eq!(
            disabled.text(&of(Some(1))),
            "It was disabled at 2027-01-15T10:05:00Z: three times HTTP 404. The last request ended with: HTTP 503. \
             1 event waits for it: it is kept, and can be sent when it is enabled."
        );
        let recovered = notice(NoticeKind::Recovered, Facts { answer: None, ..facts });
        assert_eq!(
            recovered.text(&of(Some(0))),
            "It works again since 2027-01-15T10:05:00Z. It was down for 2 h 5 min, since 2027-01-15T08:00:00Z."
        );
    }

    #[test]
    fn times_are_told_to_two_places() {
        let table = [
            (0, "0 s"),
            (59_999, "59 s"),
            (60_000, "1 min"),
            (200_000, "3 min 20 s"),
            (446_400_000, "5 d 4 h"),
            (-5, "0 s"),
        ];
        for (ms, expected) in table {
            assert_eq!(lasted(ms), expected, "{ms}");
        }
    }

    #[test]
    fn tries_come_ever_later() {
        let minutes = |tries| again_at(tries, START).since(START) / 60_000;
        assert_eq!([1, 2, 3, 7, 8, 23, u32::MAX].map(minutes), [1, 2, 4, 64, 120, 120, 120]);
    }
}
