//! A message: what was posted, and what became of it at each webhook.

use crate::Console;
use crate::highlight::{Piece, json, pretty};
use crate::log::result;
use crate::page::{Page, see};
use crate::refusal::Answer;
use crate::shell::{Section, Shell};
use crate::submitted::Submitted;
use crate::visitor::Signed;
use crate::when::{When, took};
use app::attempt::{AttemptFilter, AttemptQuery, ShownAttempt, ShownDestination};
use app::dry_run::TrialRequest;
use app::sign_in::Opened;
use app::{App, AppError, Place};
use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::routing::{get, post};
use domain::clock::Timestamp;
use domain::delivery::DeliveryState;
use domain::health::LastAnswer;
use domain::message::Message;
use domain::page::{Order, Page as Wanted};
use domain::word::Worded;
use std::collections::HashMap;

pub(crate) fn router() -> Router<Console> {
    Router::new()
        .route("/msg/{message_id}", get(show))
        .route("/msg/{message_id}/attempt/{attempt_id}", get(show_attempt))
        .route("/msg/{message_id}/resend/{endpoint_id}", post(resend))
}

/// Webhooks and attempts that the page shows.
const WEBHOOKS: u16 = 50;
const ATTEMPTS: u16 = 250;
/// Bytes of a payload, or of an answer, that the page shows.
const SHOWN_BYTES: usize = 64 * 1024;

/// One request and what came of it.
struct Attempt {
    id: String,
    result: String,
    class: &'static str,
    number: u32,
    when: When,
    took: String,
    url: String,
    /// The answer, or why there was none.
    answer: String,
}

/// What became of the message at one webhook.
struct Destination {
    id: String,
    name: String,
    url: String,
    method: &'static str,
    state: &'static str,
    class: &'static str,
    next: Option<When>,
    /// It goes as soon as it can.
    is_due: bool,
    attempts: Vec<Attempt>,
    may_resend: bool,
}

#[derive(Template)]
#[template(path = "message/show.html")]
struct Show {
    shell: Shell,
    base: String,
    id: String,
    event_type: String,
    event_id: String,
    tags: Vec<String>,
    channels: Vec<String>,
    when: When,
    payload: Option<Vec<Piece>>,
    /// The payload's own bytes, to copy.
    raw: String,
    bytes: usize,
    is_cut: bool,
    curl: String,
    destinations: Vec<Destination>,
    matched: usize,
}

impl Page for Show {}

async fn show(
    State(console): State<Console>,
    Signed(visitor): Signed,
    Path((id, message_id)): Path<(String, String)>,
    Query(query): Query<HashMap<String, String>>,
) -> Answer {
    let opened = console.app.open(&visitor, &id)?;
    let place = Place { principal: &opened.principal, application: &id, id: &message_id };
    let message = console.app.message_get(place).await?;
    let destinations = destinations(&console, &opened, place).await?;
    let payload = message.payload.as_deref().unwrap_or_default();
    let is_cut = payload.len() > SHOWN_BYTES;
    let raw = String::from_utf8_lossy(&payload[..payload.len().min(SHOWN_BYTES)]).into_owned();
    let text = if is_cut { raw.clone() } else { pretty(payload) };
    let told = query.get("told").map(String::as_str);
    Ok(Show {
        shell: Shell::of_application(
            &console.brand,
            (&visitor, &opened),
            Section::Logs,
            message.event_type.clone(),
        )
        .telling(told),
        base: format!("/app/{id}"),
        id: console.app.ids().message(message.id),
        event_id: message.event_id.clone().unwrap_or_default(),
        tags: message.tags.clone(),
        channels: message.channels.clone(),
        when: When::of(message.id.timestamp(), console.app.now()),
        payload: message.payload.is_some().then(|| json(&text)),
        bytes: payload.len(),
        is_cut,
        curl: curl(&console, &opened, &message),
        raw,
        destinations,
        matched: message.endpoints.len(),
        event_type: message.event_type,
    }
    .ok())
}

/// The event as somebody posts it again by hand. The token is theirs to put in.
fn curl(console: &Console, opened: &Opened, message: &Message) -> String {
    let payload = String::from_utf8_lossy(message.payload.as_deref().unwrap_or(b"{}")).replace('\'', "'\\''");
    format!(
        "curl {}/api/v1/app/{}/msg \\\n  -H \"Authorization: Bearer $TOKEN\" \\\n  -d '{{\"eventType\": \"{}\", \"payload\": {payload}}}'",
        console.settings.public_url, opened.application.id, message.event_type
    )
}

async fn destinations(
    console: &Console,
    opened: &Opened,
    place: Place<'_>,
) -> Result<Vec<Destination>, AppError> {
    let page = Wanted::first(WEBHOOKS, Order::Ascending);
    let found = console.app.endpoints_of_message(place, page).await?.items;
    let query = AttemptQuery {
        state: None,
        endpoint: None,
        with_messages: false,
        filter: AttemptFilter::default(),
        page: Wanted::first(ATTEMPTS, Order::Descending),
    };
    let mut attempts: HashMap<String, Vec<Attempt>> = HashMap::new();
    let now = console.app.now();
    for shown in console.app.attempt_list_by_message(place, query).await?.items.into_iter().rev() {
        attempts.entry(shown.endpoint.clone()).or_default().push(attempt(&console.app, &shown, now));
    }
    let may_send = opened.principal.role.sends();
    let made = found.into_iter().map(|one| {
        let theirs = attempts.remove(&one.endpoint.id).unwrap_or_default();
        destination(&one, theirs, (may_send, now))
    });
    Ok(made.collect())
}

fn destination(
    shown: &ShownDestination,
    attempts: Vec<Attempt>,
    (may_send, now): (bool, Timestamp),
) -> Destination {
    let (state, class) = match shown.delivery.state {
        DeliveryState::Succeeded => ("Delivered", "good"),
        DeliveryState::Pending => ("Waiting", "warn"),
        DeliveryState::Sending => ("Sending", "warn"),
        DeliveryState::Failed => ("Given up", "bad"),
        DeliveryState::Canceled => ("Canceled", ""),
    };
    let endpoint = &shown.endpoint;
    Destination {
        id: endpoint.id.clone(),
        name: endpoint.name(),
        url: endpoint.fields.url.clone(),
        method: endpoint.fields.options.method.word(),
        state,
        class,
        next: shown.delivery.next_attempt.filter(|at| *at > now).map(|at| When::of(at, now)),
        is_due: shown.delivery.next_attempt.is_some_and(|at| at <= now),
        may_resend: may_send && !endpoint.fields.disabled,
        attempts,
    }
}

fn attempt(app: &App, shown: &ShownAttempt, now: Timestamp) -> Attempt {
    let record = &shown.attempt.record;
    let (result, class) = result(record.outcome, record.disposition, record.status);
    let answer = if record.status == 0 {
        LastAnswer::new(record.started_at, 0, &record.response).told()
    } else {
        String::from_utf8_lossy(&record.response).into_owned()
    };
    Attempt {
        id: app.ids().attempt(shown.attempt.id),
        result,
        class,
        number: record.number,
        when: When::of(record.started_at, now),
        took: took(record.duration_ms),
        url: record.url.clone(),
        answer,
    }
}

/// One attempt: what was sent, and what came back.
#[derive(Template)]
#[template(path = "message/attempt.html")]
struct ShowAttempt {
    shell: Shell,
    base: String,
    message: String,
    result: String,
    class: &'static str,
    number: u32,
    when: When,
    took: String,
    endpoint: String,
    request: Result<TrialRequest, String>,
    body: Vec<Piece>,
    is_as_it_was: bool,
    /// 0 when there was no answer.
    status: u16,
    answer: Vec<Piece>,
    has_answer: bool,
}

impl Page for ShowAttempt {}

async fn show_attempt(
    State(console): State<Console>,
    Signed(visitor): Signed,
    Path((id, message_id, attempt_id)): Path<(String, String, String)>,
) -> Answer {
    let opened = console.app.open(&visitor, &id)?;
    let place = Place { principal: &opened.principal, application: &id, id: &message_id };
    let shown = console.app.attempt_request(place, &attempt_id).await?;
    let record = &shown.attempt.record;
    let (result, class) = result(record.outcome, record.disposition, record.status);
    let answer = if record.status == 0 {
        LastAnswer::new(record.started_at, 0, &record.response).told()
    } else {
        pretty(&record.response)
    };
    let body = shown.request.as_ref().map(|request| json(&pretty(request.body.as_bytes())));
    Ok(ShowAttempt {
        shell: Shell::of_application(
            &console.brand,
            (&visitor, &opened),
            Section::Logs,
            format!("Try {}", record.number),
        ),
        base: format!("/app/{id}"),
        message: console.app.ids().message(record.message),
        result,
        class,
        number: record.number,
        when: When::of(record.started_at, console.app.now()),
        took: took(record.duration_ms),
        endpoint: shown.endpoint,
        body: body.unwrap_or_default(),
        request: shown.request,
        is_as_it_was: shown.is_as_it_was,
        status: record.status,
        has_answer: !answer.is_empty(),
        answer: json(&answer),
    }
    .ok())
}

async fn resend(
    State(console): State<Console>,
    Path((id, message_id, endpoint)): Path<(String, String, String)>,
    Submitted { visitor, .. }: Submitted,
) -> Answer {
    let opened = console.app.open(&visitor, &id)?;
    let place = Place { principal: &opened.principal, application: &id, id: &message_id };
    console.app.resend(place, &endpoint).await?;
    Ok(see(&format!("/app/{id}/msg/{message_id}?told=resent")))
}
