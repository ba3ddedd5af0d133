//! What a customer's developers need to know, made of this instance's own catalogue and settings; public if the operator wants.

use crate::Console;
use crate::event_type::{Property, every, example, properties};
use crate::highlight::{Piece, json};
use crate::page::Page;
use crate::refusal::Answer;
use crate::shell::{Section, Shell};
use crate::snippet::{Snippet, snippets};
use crate::visitor::Signed;
use app::{AppError, Principal};
use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use domain::environment::SignatureHeaders;

pub(crate) fn of_application() -> Router<Console> {
    Router::new().route("/docs", get(show))
}

pub(crate) fn of_anybody() -> Router<Console> {
    Router::new().route("/docs/{env_id}", get(show_public))
}

/// Event types that are described one by one.
const SHOWN_MAX: usize = 200;

/// An event type as it is described.
struct Event {
    name: String,
    description: String,
    is_deprecated: bool,
    example: Option<Vec<Piece>>,
    fields: Vec<Property>,
}

/// What the pages have in common.
struct Text {
    /// What stands before `-id`, `-timestamp` and `-signature`.
    prefix: &'static str,
    /// The retries in words.
    retries: Vec<String>,
    addresses: Vec<String>,
    events: Vec<Event>,
    is_cut: bool,
    snippets: Vec<Snippet>,
}

#[derive(Template)]
#[template(path = "docs/show.html")]
struct Docs {
    shell: Shell,
    text: Text,
    /// Where anybody can read it.
    public_link: Option<String>,
}

#[derive(Template)]
#[template(path = "docs/public.html")]
struct PublicDocs {
    shell: Shell,
    text: Text,
}

impl Page for Docs {}
impl Page for PublicDocs {}

async fn text(console: &Console, principal: &Principal) -> Result<Text, AppError> {
    let (all, is_cut) = every(console, principal, SHOWN_MAX).await?;
    let events = all.into_iter().map(|one| Event {
        example: example(&one).map(|text| json(&text)),
        fields: properties(&one),
        name: one.name,
        description: one.fields.description,
        is_deprecated: one.fields.deprecated,
    });
    let own = principal.environment.settings.retries.retry_schedule.clone();
    let seconds = own.unwrap_or_else(|| console.settings.retry_schedule.clone());
    Ok(Text {
        prefix: match principal.environment.signature_headers {
            SignatureHeaders::Svix => "svix",
            SignatureHeaders::Webhook | SignatureHeaders::Both => "webhook",
        },
        retries: seconds.into_iter().map(in_words).collect(),
        addresses: console.settings.sender_addresses.clone(),
        events: events.collect(),
        is_cut,
        snippets: snippets().to_vec(),
    })
}

/// An interval as people say it.
fn in_words(seconds: u32) -> String {
    let (count, unit) = match seconds {
        0..60 => (seconds, "second"),
        60..3_600 => (seconds / 60, "minute"),
        3_600..86_400 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    if count == 1 { format!("1 {unit}") } else { format!("{count} {unit}s") }
}

async fn show(State(console): State<Console>, Signed(visitor): Signed, Path(id): Path<String>) -> Answer {
    let opened = console.app.open(&visitor, &id)?;
    let text = text(&console, &opened.principal).await?;
    let settings = &console.settings;
    let public_link = settings
        .has_public_docs
        .then(|| format!("{}/docs/{}", settings.public_url, opened.principal.environment.id));
    let shell = Shell::of_application(&console.brand, (&visitor, &opened), Section::Docs, "Docs");
    Ok(Docs { shell, text, public_link }.ok())
}

/// What anybody may see: event types that no flag hides.
async fn show_public(State(console): State<Console>, Path(id): Path<String>) -> Answer {
    if !console.settings.has_public_docs {
        return Err(AppError::NotFound.into());
    }
    let principal = console.app.anybody(&id)?;
    let text = text(&console, &principal).await?;
    Ok(PublicDocs { shell: Shell::bare(&console.brand, "Webhooks"), text }.ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_told_as_people_say_them() {
        assert_eq!(
            [5, 60, 300, 7_200, 86_400].map(in_words),
            ["5 seconds", "1 minute", "5 minutes", "2 hours", "1 day"]
        );
    }
}
