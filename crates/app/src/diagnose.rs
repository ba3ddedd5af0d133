//! What is wrong with an endpoint, from its switches to its last answers: each finding with what to do about it.

use crate::App;
use crate::diagnose_errors::errors;
use crate::diagnose_signature::signature;
use crate::diagnose_steps::{steps, unmade};
use crate::error::Result;
use crate::principal::{Place, Right};
use domain::clock::Timestamp;
use domain::endpoint::Endpoint;
use domain::page::{Order, Page};
use store::attempt::AttemptFilter;

/// Attempts that are looked through for what went wrong lately.
const ATTEMPTS: u16 = 250;

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
    /// What: `switch`; the steps of a request, `dns`, `policy`, `tcp`, `tls`, `certificate` and `request`; `signature`,
    /// `breaker`, `backlog`, `errors`.
    pub about: &'static str,
    /// How bad it is.
    pub grade: Grade,
    /// What was found.
    pub text: String,
    /// What to do.
    pub advice: Option<String>,
}

impl Finding {
    pub(crate) fn new(about: &'static str, grade: Grade, text: impl Into<String>, advice: &str) -> Self {
        let advice = Some(advice).filter(|advice| !advice.is_empty()).map(str::to_owned);
        Self { about, grade, text: text.into(), advice }
    }
}

impl App {
    /// Looks an endpoint over: sends it `posthaste.ping`, step by step, and reads what happened lately.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`.
    pub async fn endpoint_diagnose(&self, at: Place<'_>) -> Result<Vec<Finding>> {
        let endpoint = self.endpoint_of(at, Right::Send).await?;
        let look = self.look(at.principal, &endpoint, false).await;
        let health = self.endpoint_health(at).await?;
        let lately = Page::first(ATTEMPTS, Order::Descending);
        let attempts =
            self.store().attempt_list_by_endpoint(endpoint.key, AttemptFilter::default(), lately).await?;
        let mut findings = vec![switch(&endpoint)];
        match &look.probed {
            Err(why) => findings.push(unmade(why)),
            Ok(probed) => {
                findings.extend(steps(probed, self.now()));
                let answer = probed.outcome.as_ref().ok();
                findings.extend(answer.and_then(|answer| signature(answer, &endpoint, self.now())));
            }
        }
        findings.push(breaker(health.probe_at));
        findings.push(backlog(health.waiting, endpoint.fields.throttle_rate.is_some()));
        findings.extend(errors(&attempts.items));
        Ok(findings)
    }
}

fn switch(endpoint: &Endpoint) -> Finding {
    if endpoint.fields.disabled {
        let by = endpoint.disabling.as_ref();
        let by = by.map_or_else(|| "by hand".to_owned(), |by| format!("because {}", by.reason));
        let advice =
            "Mend what is told below, then enable it: its canceled events can be recovered in the same call.";
        return Finding::new("switch", Grade::Problem, format!("It is disabled, {by}."), advice);
    }
    if endpoint.fields.paused {
        let advice = "Resume it: what waits is sent in order.";
        return Finding::new("switch", Grade::Warning, "It is paused: events wait.", advice);
    }
    Finding::new("switch", Grade::Good, "It is enabled.", "")
}

fn breaker(probe_at: Option<Timestamp>) -> Finding {
    let Some(probe_at) = probe_at else {
        return Finding::new("breaker", Grade::Good, "Its breaker is closed.", "");
    };
    let text = format!("Its breaker is open after failures in a row: the next request goes at {probe_at}.");
    let advice = "Nothing: one success closes it. To try at once, send a message again by hand.";
    Finding::new("breaker", Grade::Warning, text, advice)
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
