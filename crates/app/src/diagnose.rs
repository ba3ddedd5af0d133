//! What is wrong with an endpoint, from its switches to its last answers: each finding with what to do about it.

use crate::App;
use crate::check::{EXPIRES_SOON_DAYS, Looked, days_left};
use crate::error::Result;
use crate::principal::{Place, Right};
use domain::attempt::{Attempt, Outcome};
use domain::clock::Timestamp;
use domain::health::LastAnswer;
use domain::page::{Order, Page};
use std::collections::HashMap;
use store::attempt::AttemptFilter;

/// Attempts that are looked through for what went wrong lately.
const ATTEMPTS: u16 = 250;
/// Kinds of errors that are told, the most frequent first.
const KINDS_MAX: usize = 5;
/// What tells one kind of error from another where there was no answer, in bytes.
const KIND_BYTES: usize = 120;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// As it should be.
    Good,
    /// Worth knowing.
    Warning,
    /// Events do not arrive because of it.
    Problem,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What: `switch`, `request`, `certificate`, `breaker`, `backlog`, `errors`.
    pub about: &'static str,
    /// How bad it is.
    pub grade: Grade,
    /// What was found.
    pub text: String,
    /// What to do.
    pub advice: Option<String>,
}

impl Finding {
    fn new(about: &'static str, grade: Grade, text: impl Into<String>, advice: &str) -> Self {
        let advice = Some(advice).filter(|advice| !advice.is_empty()).map(str::to_owned);
        Self { about, grade, text: text.into(), advice }
    }
}

impl App {
    /// Looks an endpoint over: sends it `posthaste.ping`, and reads what happened lately.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`.
    pub async fn endpoint_diagnose(&self, at: Place<'_>) -> Result<Vec<Finding>> {
        let endpoint = self.endpoint_of(at, Right::Send).await?;
        let looked = self.endpoint_check(at, false).await?;
        let health = self.endpoint_health(at).await?;
        let lately = Page::first(ATTEMPTS, Order::Descending);
        let attempts =
            self.store().attempt_list_by_endpoint(endpoint.key, AttemptFilter::default(), lately).await?;
        let mut findings = Vec::new();
        if endpoint.fields.disabled {
            let by = endpoint
                .disabling
                .map_or_else(|| "by hand".to_owned(), |by| format!("because {}", by.reason));
            let advice = "Mend what is told below, then enable it: its canceled events can be recovered in the same call.";
            findings.push(Finding::new("switch", Grade::Problem, format!("It is disabled, {by}."), advice));
        } else if endpoint.fields.paused {
            let advice = "Resume it: what waits is sent in order.";
            findings.push(Finding::new("switch", Grade::Warning, "It is paused: events wait.", advice));
        }
        findings.extend(request(&looked, self.now()));
        if let Some(probe_at) = health.probe_at {
            let text =
                format!("Its breaker is open after failures in a row: the next request goes at {probe_at}.");
            let advice = "Nothing: one success closes it. To try at once, send a message again by hand.";
            findings.push(Finding::new("breaker", Grade::Warning, text, advice));
        }
        findings.push(backlog(health.waiting, endpoint.fields.throttle_rate.is_some()));
        findings.extend(errors(&attempts.items));
        Ok(findings)
    }
}

fn request(looked: &Looked, now: Timestamp) -> Vec<Finding> {
    let grade = if looked.ok { Grade::Good } else { Grade::Problem };
    let advice = match looked.status {
        Some(401 | 403) => {
            "Compare its authentication with what the receiver expects, and whether the receiver verifies with the current secret: read it at …/secret."
        }
        Some(404 | 410) => "Set the URL of a path that exists, then enable the endpoint if it was disabled.",
        Some(300..400) => "Set the URL that the redirect leads to.",
        Some(429) => "Set `throttleRate`, or raise the limit on the receiver's side.",
        Some(400..500) => {
            "Compare method, content type and body (…/simulate shows the very request) with what the receiver expects."
        }
        Some(500..) => "Look into the receiver's log at this moment; Posthaste goes on trying.",
        None => {
            "Look whether the server runs, and whether its name, port and firewall let requests in from here."
        }
        Some(_) => "",
    };
    let place = looked.address.as_ref().map_or(String::new(), |address| format!(" ({address})"));
    let text = format!("{} It took {} ms{place}.", looked.verdict, looked.latency_ms);
    let mut findings = vec![Finding::new("request", grade, text, if looked.ok { "" } else { advice })];
    if let Some(tls) = &looked.tls {
        let days = days_left(tls, now);
        let (grade, advice) = match days {
            ..0 => (Grade::Problem, "Renew the certificate."),
            0..EXPIRES_SOON_DAYS => (Grade::Warning, "Renew the certificate before then."),
            _ => (Grade::Good, ""),
        };
        let text = format!(
            "Its certificate is for {}, from {}, and expires in {days} days.",
            tls.subject, tls.issuer
        );
        findings.push(Finding::new("certificate", grade, text, advice));
    }
    findings
}

fn backlog(waiting: u64, has_rate: bool) -> Finding {
    let text = match waiting {
        0 => "Nothing waits.".to_owned(),
        1 => "One delivery waits.".to_owned(),
        _ => format!("{waiting} deliveries wait."),
    };
    let is_held = waiting > 0 && has_rate;
    Finding::new(
        "backlog",
        Grade::Good,
        text,
        if is_held { "Raise `throttleRate` if they wait for too long." } else { "" },
    )
}

/// What went wrong lately, by kind.
fn errors(attempts: &[Attempt]) -> Vec<Finding> {
    let mut kinds: HashMap<String, (u32, &Attempt)> = HashMap::new();
    for attempt in attempts.iter().filter(|attempt| attempt.record.outcome != Outcome::Succeeded) {
        let answer =
            LastAnswer::new(attempt.record.started_at, attempt.record.status, &attempt.record.response);
        let mut kind = answer.told();
        kind.truncate(kind.floor_char_boundary(KIND_BYTES));
        kinds.entry(kind).or_insert((0, attempt)).0 += 1;
    }
    if kinds.is_empty() {
        let text = if attempts.is_empty() {
            "Nothing was sent yet.".to_owned()
        } else {
            format!("All of the last {} attempts succeeded.", attempts.len())
        };
        return vec![Finding::new("errors", Grade::Good, text, "")];
    }
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_by(|(_, one), (_, other)| other.0.cmp(&one.0).then(other.1.id.cmp(&one.1.id)));
    let succeeded_last = attempts.first().is_some_and(|attempt| attempt.record.outcome == Outcome::Succeeded);
    let grade = if succeeded_last { Grade::Warning } else { Grade::Problem };
    let all = attempts.len();
    let told = |(kind, (count, newest)): (String, (u32, &Attempt))| {
        let when = newest.id.timestamp();
        Finding::new(
            "errors",
            grade,
            format!("{count} of the last {all} attempts ended with: {kind}. The latest at {when}."),
            "",
        )
    };
    kinds.into_iter().take(KINDS_MAX).map(told).collect()
}
