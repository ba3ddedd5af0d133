//! The log of an application: every message, and every attempt to a webhook as it is made.

use crate::Console;
use crate::page::Page;
use crate::refusal::Answer;
use crate::shell::{Section, Shell};
use crate::visitor::Signed;
use crate::when::{When, took};
use app::attempt::{AttemptFilter, AttemptQuery, AttemptState, ShownAttempt};
use app::list::Listing;
use app::message::MessageFilter;
use app::sign_in::Opened;
use app::{App, AppError, Place};
use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::routing::get;
use domain::attempt::{Disposition, Outcome, Trigger};
use domain::clock::Timestamp;
use domain::delivery::DeliveryState;
use domain::health::LastAnswer;
use domain::message::Message;
use domain::page::{From, Order, Page as Wanted};
use std::collections::HashMap;
use std::sync::Arc;
use url::form_urlencoded;

pub(crate) fn router() -> Router<Console> {
    Router::new().route("/log", get(list))
}

/// Messages of a page.
const SHOWN: u16 = 50;
/// A text is looked for in so many times fewer events than what is not in the payload: each may be large.
const TEXT_SHARE: u32 = 25;
/// Webhooks that are offered to choose from.
const OFFERED: u16 = 200;

/// An attempt as a row.
#[derive(Template)]
#[template(path = "log/row.html")]
pub(crate) struct Row {
    /// Its id in the page.
    pub(crate) id: String,
    pub(crate) result: String,
    pub(crate) class: &'static str,
    /// Which try it was, and why.
    pub(crate) again: String,
    pub(crate) event_type: String,
    /// The message's id.
    pub(crate) message: String,
    pub(crate) link: String,
    /// What went wrong.
    pub(crate) why: String,
    pub(crate) took: String,
    pub(crate) when: When,
}

impl Page for Row {}

/// A message as a row.
#[derive(Template)]
#[template(path = "log/message_row.html")]
pub(crate) struct MessageRow {
    id: String,
    link: String,
    event_type: String,
    event_id: String,
    tags: Vec<String>,
    webhooks: usize,
    when: When,
}

/// What the log is narrowed down to, as it stands in the form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Narrow {
    event_type: String,
    tag: String,
    channel: String,
    endpoint: String,
    /// Of a webhook: what became of the event there.
    state: String,
    /// Of a webhook: the class of its answer.
    code: String,
    /// In hours; empty is any time.
    hours: String,
    /// Of all webhooks: what stands in the payload, or an id.
    text: String,
}

#[derive(Template)]
#[template(path = "log/list.html")]
struct List {
    shell: Shell,
    base: String,
    rows: Vec<MessageRow>,
    narrow: Narrow,
    /// Id and name of webhooks to choose from.
    webhooks: Vec<(String, String)>,
    is_filtered: bool,
    live: Option<String>,
    /// The query of the next page, and of the first one.
    next: Option<String>,
    first: String,
    is_first: bool,
    /// How many were looked through, where there are more and the page is not full.
    looked: Option<u32>,
}

impl Page for List {}

/// Attempts as rows.
pub(crate) fn rows_of(console: &Console, opened: &Opened, attempts: Vec<ShownAttempt>) -> Vec<Row> {
    let now = console.app.now();
    attempts.into_iter().map(|attempt| row(&console.app, (&opened.application.id, now), attempt)).collect()
}

pub(crate) fn row(app: &App, (application, now): (&str, Timestamp), shown: ShownAttempt) -> Row {
    let record = &shown.attempt.record;
    let message = app.ids().message(record.message);
    let (result, class) = result(record.outcome, record.disposition, record.status);
    let why = match record.outcome {
        Outcome::Succeeded | Outcome::BadStatus => String::new(),
        _ => LastAnswer::new(record.started_at, record.status, &record.response).told(),
    };
    Row {
        id: app.ids().attempt(shown.attempt.id),
        result,
        class,
        again: again(record.number, record.trigger),
        event_type: shown.message.as_ref().map(|message| message.event_type.clone()).unwrap_or_default(),
        link: format!("/app/{application}/msg/{message}"),
        message,
        why,
        took: took(record.duration_ms),
        when: When::of(record.started_at, now),
    }
}

/// What came of an attempt, in a word or two and its colour.
pub(crate) fn result(outcome: Outcome, disposition: Disposition, status: u16) -> (String, &'static str) {
    let class = match disposition {
        Disposition::Succeeded => "good",
        Disposition::Retrying => "warn",
        Disposition::Failed => "bad",
    };
    let text = match outcome {
        Outcome::Succeeded => format!("{status} arrived"),
        Outcome::BadStatus => format!("{status} refused"),
        Outcome::TimedOut => "timed out".to_owned(),
        Outcome::Unreachable => "not reached".to_owned(),
        Outcome::Blocked => "not allowed".to_owned(),
    };
    (text, class)
}

fn again(number: u32, trigger: Trigger) -> String {
    let why = match trigger {
        Trigger::Message => "",
        Trigger::Resend => "sent again",
        Trigger::Recovery => "recovered",
        Trigger::Replay => "replayed",
        Trigger::Test => "test",
    };
    match (number, why) {
        (0 | 1, why) => why.to_owned(),
        (number, "") => format!("try {number}"),
        (number, why) => format!("{why}, try {number}"),
    }
}

pub(crate) fn message_row(app: &App, (application, now): (&str, Timestamp), message: &Message) -> MessageRow {
    let id = app.ids().message(message.id);
    MessageRow {
        link: format!("/app/{application}/msg/{id}"),
        id,
        event_type: message.event_type.clone(),
        event_id: message.event_id.clone().unwrap_or_default(),
        tags: message.tags.clone(),
        webhooks: message.endpoints.len(),
        when: When::of(message.id.timestamp(), now),
    }
}

impl Narrow {
    fn of(query: &HashMap<String, String>) -> Self {
        let text = |name: &str| query.get(name).map(|text| text.trim().to_owned()).unwrap_or_default();
        Self {
            event_type: text("event"),
            tag: text("tag"),
            channel: text("channel"),
            endpoint: text("webhook"),
            state: text("state"),
            code: text("code"),
            hours: text("hours"),
            text: text("text"),
        }
    }

    /// The same as a query.
    fn query(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in [
            ("event", &self.event_type),
            ("tag", &self.tag),
            ("channel", &self.channel),
            ("webhook", &self.endpoint),
            ("state", &self.state),
            ("code", &self.code),
            ("hours", &self.hours),
            ("text", &self.text),
        ] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        query.finish()
    }

    fn after(&self, now: Timestamp) -> Option<Timestamp> {
        let hours: i64 = self.hours.parse().ok()?;
        Some(now.plus_ms(-hours.clamp(1, 24 * 90) * 3_600_000))
    }

    fn messages(&self, now: Timestamp) -> MessageFilter {
        MessageFilter {
            event_types: given(&self.event_type).into_iter().collect(),
            channel: given(&self.channel),
            tag: given(&self.tag),
            after: self.after(now),
            text: given(&self.text),
            ..MessageFilter::default()
        }
    }

    fn attempts(&self, now: Timestamp) -> AttemptFilter {
        AttemptFilter {
            event_types: given(&self.event_type).into_iter().collect(),
            channel: given(&self.channel),
            tag: given(&self.tag),
            after: self.after(now),
            status_class: self.code.parse().ok(),
            ..AttemptFilter::default()
        }
    }

    fn delivery(&self) -> Option<DeliveryState> {
        match &*self.state {
            "delivered" => Some(DeliveryState::Succeeded),
            "waiting" => Some(DeliveryState::Pending),
            "failed" => Some(DeliveryState::Failed),
            "canceled" => Some(DeliveryState::Canceled),
            _ => None,
        }
    }
}

fn given(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

/// A page of the log, and where the next one begins.
struct Found {
    messages: Vec<Arc<Message>>,
    next: Option<String>,
    /// How many were looked through, where there are more and the page is not full.
    looked: Option<u32>,
}

/// A page of messages: all of the application, or those of one webhook by what became of them there.
async fn found(
    console: &Console,
    (opened, narrow): (&Opened, &Narrow),
    after: Option<&String>,
) -> Result<Found, AppError> {
    let (id, now, ids) = (&opened.application.id, console.app.now(), console.app.ids());
    let place = Place { principal: &opened.principal, application: id, id: &narrow.endpoint };
    if !narrow.endpoint.is_empty() && !narrow.code.is_empty() {
        return by_answer(console, (place, narrow), after).await;
    }
    let page = page(after.and_then(|after| ids.read_message(after)));
    if !narrow.endpoint.is_empty() {
        let listing = Listing { filter: narrow.attempts(now), page };
        let slice = console.app.messages_of_endpoint(place, (narrow.delivery(), true), listing).await?;
        let messages: Vec<_> = slice.items.into_iter().map(|one| Arc::new(one.message)).collect();
        let next = messages.last().filter(|_| !slice.done).map(|last| ids.message(last.id));
        return Ok(Found { messages, next, looked: None });
    }
    if let Some(message) = by_id(console, (opened, narrow), after).await? {
        return Ok(Found { messages: vec![Arc::new(message)], next: None, looked: None });
    }
    // Payloads are larger than what else is looked at.
    let many = console.settings.looked_max / if narrow.text.is_empty() { 1 } else { TEXT_SHARE };
    let listing = Listing { filter: narrow.messages(now), page };
    let (slice, looked_to) = console.app.message_look(&opened.principal, id, listing, many).await?;
    let last = slice.items.last().filter(|_| !slice.done).map(|last| last.id);
    Ok(Found {
        next: last.or(looked_to).map(|last| ids.message(last)),
        looked: looked_to.map(|_| many),
        messages: slice.items.into_iter().map(Arc::new).collect(),
    })
}

/// The one with this id, or this event id.
async fn by_id(
    console: &Console,
    (opened, narrow): (&Opened, &Narrow),
    after: Option<&String>,
) -> Result<Option<Message>, AppError> {
    if narrow.text.is_empty() || after.is_some() {
        return Ok(None);
    }
    let place = Place { principal: &opened.principal, application: &opened.application.id, id: &narrow.text };
    match console.app.message_get(place).await {
        Ok(message) => Ok(Some(message)),
        Err(AppError::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Those to which a webhook once answered so.
async fn by_answer(
    console: &Console,
    (place, narrow): (Place<'_>, &Narrow),
    after: Option<&String>,
) -> Result<Found, AppError> {
    let ids = console.app.ids();
    let query = AttemptQuery {
        state: match narrow.delivery() {
            None => None,
            Some(DeliveryState::Succeeded) => Some(AttemptState::Succeeded),
            Some(DeliveryState::Failed | DeliveryState::Pending) => Some(AttemptState::Failed),
            Some(_) => Some(AttemptState::None),
        },
        endpoint: None,
        with_messages: true,
        filter: narrow.attempts(console.app.now()),
        page: page(after.and_then(|after| ids.read_attempt(after))),
    };
    let slice = console.app.attempt_list_by_endpoint(place, query).await?;
    let last = slice.items.last().filter(|_| !slice.done);
    let next = last.map(|last| ids.attempt(last.attempt.id));
    let mut messages: Vec<Arc<Message>> = Vec::new();
    for message in slice.items.into_iter().filter_map(|shown| shown.message) {
        if !messages.iter().any(|known| known.id == message.id) {
            messages.push(message);
        }
    }
    Ok(Found { messages, next, looked: None })
}

fn page<K>(after: Option<K>) -> Wanted<K> {
    Wanted { items: SHOWN, order: Order::Descending, from: after.map_or(From::Start, From::After) }
}

async fn list(
    State(console): State<Console>,
    Signed(visitor): Signed,
    Path(id): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Answer {
    let opened = console.app.open(&visitor, &id)?;
    let narrow = Narrow::of(&query);
    let after = query.get("after");
    let found = found(&console, (&opened, &narrow), after).await?;
    let is_first = after.is_none();
    let offered = Wanted::first(OFFERED, Order::Ascending);
    let webhooks = console.app.endpoint_list(&opened.principal, &id, offered).await?.items;
    let now = console.app.now();
    let is_filtered = narrow != Narrow::default();
    let first = narrow.query();
    Ok(List {
        shell: Shell::of_application(&console.brand, (&visitor, &opened), Section::Logs, "Logs"),
        base: format!("/app/{id}/log"),
        rows: found.messages.iter().map(|message| message_row(&console.app, (&id, now), message)).collect(),
        webhooks: webhooks.iter().map(|endpoint| (endpoint.id.clone(), endpoint.name())).collect(),
        narrow,
        is_filtered,
        live: (is_first && !is_filtered).then(|| format!("/app/{id}/log/live")),
        next: found.next.map(|last| format!("{first}&after={last}")),
        first,
        is_first,
        looked: found.looked,
    }
    .ok())
}
