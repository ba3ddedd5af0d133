//! The transformation of a webhook, tried out on an event that really came before it is saved.

use crate::Console;
use crate::endpoint::{Found, Head, Tab};
use crate::form::Form;
use crate::highlight::{Piece, json, pretty};
use crate::mistakes::Mistakes;
use crate::page::{Page, answer, see};
use crate::refusal::Answer;
use crate::shell::Shell;
use crate::submitted::Submitted;
use crate::visitor::Signed;
use crate::when::When;
use app::change::Change;
use app::dry_run::{Trial, Tried};
use app::endpoint::EndpointPatch;
use app::list::Listing;
use app::message::MessageFilter;
use app::options::OptionsPatch;
use app::{AppError, Place, Right};
use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::routing::get;
use domain::page::{Order, Page as Wanted};
use http::StatusCode;
use std::collections::HashMap;

pub(crate) fn router() -> Router<Console> {
    Router::new().route("/endpoint/{endpoint_id}/transformation", get(show).post(submit))
}

type At = Path<(String, String)>;

/// Past events that are offered.
const OFFERED: u16 = 20;
/// What stands there where there is no code yet.
const BEGINNING: &str = "function handler(webhook) {\n  // webhook.method, webhook.url, webhook.headers, webhook.payload;\n  // webhook.cancel = true keeps it from being sent.\n  return webhook;\n}\n";

/// What a trial shows.
struct Shown {
    /// What it means, in a sentence.
    verdict: String,
    is_good: bool,
    /// Method and URL.
    line: String,
    headers: Vec<(String, String)>,
    body: Vec<Piece>,
}

#[derive(Template)]
#[template(path = "endpoint/transformation.html")]
struct Shape {
    shell: Shell,
    head: Head,
    code: String,
    is_used: bool,
    /// Id, event type and time of past events.
    messages: Vec<(String, String, When)>,
    /// The one that it is tried on.
    chosen: String,
    /// The payload of that one.
    before: Option<Vec<Piece>>,
    shown: Option<Shown>,
    mistakes: Mistakes,
}

impl Page for Shape {}

async fn page(
    console: &Console,
    found: &Found,
    (code, is_used, chosen): (String, bool, String),
) -> Result<Shape, AppError> {
    let listing =
        Listing { filter: MessageFilter::default(), page: Wanted::first(OFFERED, Order::Descending) };
    let application = &found.opened.application.id;
    let messages = console.app.message_list(&found.opened.principal, application, listing).await?;
    let now = console.app.now();
    let offered = messages.items.iter().map(|message| {
        let when = When::of(message.id.timestamp(), now);
        (console.app.ids().message(message.id), message.event_type.clone(), when)
    });
    let (shell, head) = found.head(console, Tab::Transformation).await?;
    Ok(Shape {
        shell,
        head,
        code,
        is_used,
        messages: offered.collect(),
        chosen,
        before: None,
        shown: None,
        mistakes: Mistakes::default(),
    })
}

async fn show(
    State(console): State<Console>,
    Signed(visitor): Signed,
    Path(at): At,
    Query(query): Query<HashMap<String, String>>,
) -> Answer {
    let found = Found::of(&console, visitor, &at).await?;
    found.opened.principal.may(Right::Manage)?;
    let there = found.endpoint.fields.options.transformation.clone();
    let is_used = there.as_ref().is_none_or(|there| there.enabled);
    let code = there.map_or_else(|| BEGINNING.to_owned(), |there| there.code);
    let page = page(&console, &found, (code, is_used, String::new())).await?;
    let shell = page.shell.clone().telling(query.get("told").map(String::as_str));
    Ok(Shape { shell, ..page }.ok())
}

fn options(form: &Form) -> OptionsPatch {
    let code = form.get("transformation");
    OptionsPatch {
        transformation: match code.trim() {
            "" => Change::Clear,
            _ => Change::Set(code.to_owned()),
        },
        transformation_enabled: Change::Set(form.has("transformationEnabled")),
        ..OptionsPatch::default()
    }
}

async fn submit(
    State(console): State<Console>,
    Path(at): At,
    Submitted { visitor, form }: Submitted,
) -> Answer {
    let found = Found::of(&console, visitor, &at).await?;
    found.opened.principal.may(Right::Manage)?;
    if form.has("try") {
        attempt(&console, found, (&at, &form)).await
    } else {
        save(&console, found, (&at, &form)).await
    }
}

async fn save(console: &Console, found: Found, (at, form): (&(String, String), &Form)) -> Answer {
    let patch = EndpointPatch { options: options(form), ..EndpointPatch::default() };
    match console.app.endpoint_patch(found.place(at), patch).await {
        Ok(_) => Ok(see(&format!("{}/transformation?told=saved", found.base()))),
        Err(error) => wrong(console, &found, (form, error)).await,
    }
}

/// Tries what is typed on the chosen event. It is used in the trial also where it is switched off.
async fn attempt(console: &Console, found: Found, (at, form): (&(String, String), &Form)) -> Answer {
    let message = form.get("message");
    let place = Place { id: message, ..found.place(at) };
    let message = console.app.message_get(place).await?;
    let trial = Trial {
        event_type: message.event_type.clone(),
        payload: Some(message.payload.clone().unwrap_or_default()),
        context: message.overrides.context.clone(),
        channels: message.channels.clone(),
        headers: message.overrides.headers.clone(),
        options: OptionsPatch { transformation_enabled: Change::Set(true), ..options(form) },
        url: None,
    };
    match console.app.trial(found.place(at), trial).await {
        Ok(tried) => {
            let page = page(console, &found, typed(form)).await?;
            let before = message.payload.as_deref().map(|payload| json(&pretty(payload)));
            Ok(Shape { before, shown: Some(shown(tried)), ..page }.ok())
        }
        Err(error) => wrong(console, &found, (form, error)).await,
    }
}

fn typed(form: &Form) -> (String, bool, String) {
    let is_used = form.has("transformationEnabled");
    (form.get("transformation").to_owned(), is_used, form.get("message").to_owned())
}

async fn wrong(console: &Console, found: &Found, (form, error): (&Form, AppError)) -> Answer {
    let mistakes = match error {
        AppError::Invalid(problems) => Mistakes::of(problems),
        AppError::Refused { detail, .. } => Mistakes::general(detail),
        error => return Err(error.into()),
    };
    let page = page(console, found, typed(form)).await?;
    Ok(answer(StatusCode::UNPROCESSABLE_ENTITY, &Shape { mistakes, ..page }))
}

fn shown(tried: Tried) -> Shown {
    let nothing = |verdict: String, is_good| Shown {
        verdict,
        is_good,
        line: String::new(),
        headers: Vec::new(),
        body: Vec::new(),
    };
    if let Some(error) = tried.error {
        return nothing(error, false);
    }
    let Some(request) = tried.request else {
        return nothing("It cancels the event: nothing would be sent.".to_owned(), true);
    };
    let for_it = if tried.matches {
        ""
    } else {
        " (The webhook would not get this event, by its event types or its filter.)"
    };
    Shown {
        verdict: format!("This would be sent; nothing was.{for_it}"),
        is_good: true,
        line: format!("{} {}", request.method, request.url),
        headers: request.headers,
        body: json(&pretty(request.body.as_bytes())),
    }
}
