//! What is wrong with a webhook: looked at step by step, when somebody asks.

use crate::Console;
use crate::endpoint::{Found, Head, Tab};
use crate::page::Page;
use crate::refusal::Answer;
use crate::shell::Shell;
use crate::submitted::Submitted;
use crate::visitor::Signed;
use app::Right;
use app::diagnose::{Finding, Grade};
use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;

pub(crate) fn router() -> Router<Console> {
    Router::new().route("/endpoint/{endpoint_id}/check", get(check_page).post(check))
}

type At = Path<(String, String)>;

#[derive(Template)]
#[template(path = "endpoint/check.html")]
struct Check {
    shell: Shell,
    head: Head,
    findings: Vec<Finding>,
}

impl Page for Check {}

impl Check {
    /// What was looked at, for people.
    fn title(&self, about: &str) -> String {
        let title = match about {
            "switch" => "On or off",
            "dns" => "Name",
            "policy" => "Address",
            "tcp" => "Connection",
            "tls" => "TLS",
            "certificate" => "Certificate",
            "request" => "Answer",
            "signature" => "Signature",
            "breaker" => "Breaker",
            "backlog" => "Waiting events",
            "errors" => "Latest attempts",
            other => other,
        };
        title.to_owned()
    }

    const fn class(&self, grade: &Grade) -> &'static str {
        match grade {
            Grade::Good => "good",
            Grade::Warning => "warn",
            Grade::Problem => "bad",
        }
    }
}

async fn check_page(State(console): State<Console>, Signed(visitor): Signed, Path(at): At) -> Answer {
    let found = Found::of(&console, visitor, &at).await?;
    found.opened.principal.may(Right::Send)?;
    let (shell, head) = found.head(&console, Tab::Check).await?;
    Ok(Check { shell, head, findings: Vec::new() }.ok())
}

async fn check(State(console): State<Console>, Path(at): At, Submitted { visitor, .. }: Submitted) -> Answer {
    let found = Found::of(&console, visitor, &at).await?;
    let findings = console.app.endpoint_diagnose(found.place(&at)).await?;
    let (shell, head) = found.head(&console, Tab::Check).await?;
    Ok(Check { shell, head, findings }.ok())
}
