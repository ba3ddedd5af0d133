//! The log of an application: every message, and every attempt to a webhook as it is made.

use crate::Console;
use crate::page::Page;
use crate::refusal::Answer;
use crate::shell::{Section, Shell};
use crate::visitor::Signed;
use crate::when::{When, took};
use app::attempt::{AttemptFilter, AttemptQuery, ShownAttempt};
use app::list::Listing;
use app::message::MessageFilter;
use app::sign_in::Opened;
use app::{App, AppError, Place, Principal};
use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::get;
use domain::attempt::{Disposition, Outcome, Trigger};
use domain::clock::Timestamp;
use domain::health::LastAnswer;
use domain::id::{AttemptId, MessageId};
use domain::message::Message;
use domain::page::{From, Order, Page as Wanted};
use futures_util::stream;
use std::collections::HashMap;
use std::convert::Infallible;
use std::time::Duration;

pub(crate) fn router() -> Router<Console> {
    Router::new()
        .route("/log", get(list))
        .route("/log/live", get(live))
        .route("/endpoint/{endpoint_id}/live", get(live_of_endpoint))
}

/// Messages of a page.
const SHOWN: u16 = 50;
/// Between two looks for what is new.
const LOOK_EVERY: Duration = Duration::from_millis(700);
/// Rows that one look brings at most.
const NEW_MAX: u16 = 50;

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
struct MessageRow {
    id: String,
    link: String,
    event_type: String,
    event_id: String,
    tags: Vec<String>,
    webhooks: usize,
    when: When,
}

#[derive(Template)]
#[template(path = "log/list.html")]
struct List {
    shell: Shell,
    base: String,
    rows: Vec<MessageRow>,
    event_type: String,
    tag: String,
    channel: String,
    is_filtered: bool,
    live: Option<String>,
    next: Option<String>,
    is_first: bool,
}

impl Page for List {}

/// Attempts as rows.
pub(crate) fn rows_of(console: &Console, opened: &Opened, attempts: Vec<ShownAttempt>) -> Vec<Row> {
    let now = console.app.now();
    attempts.into_iter().map(|attempt| row(&console.app, (&opened.application.id, now), attempt)).collect()
}

fn row(app: &App, (application, now): (&str, Timestamp), shown: ShownAttempt) -> Row {
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

fn message_row(app: &App, (application, now): (&str, Timestamp), message: &Message) -> MessageRow {
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

async fn list(
    State(console): State<Console>,
    Signed(visitor): Signed,
    Path(id): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Answer {
    let opened = console.app.open(&visitor, &id)?;
    let text = |name: &str| query.get(name).map(|text| text.trim().to_owned()).unwrap_or_default();
    let (event_type, tag, channel) = (text("event"), text("tag"), text("channel"));
    let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let filter = MessageFilter {
        event_types: given(&event_type).into_iter().collect(),
        channel: given(&channel),
        tag: given(&tag),
        ..MessageFilter::default()
    };
    let after = query.get("after").and_then(|after| console.app.ids().read_message(after));
    let from = after.map_or(From::Start, From::After);
    let is_first = from == From::Start;
    let is_filtered = filter != MessageFilter::default();
    let page = Wanted { items: SHOWN, order: Order::Descending, from };
    let slice = console.app.message_list(&opened.principal, &id, Listing { filter, page }).await?;
    let now = console.app.now();
    let last = slice.items.last().filter(|_| !slice.done);
    let next = last.map(|last| console.app.ids().message(last.id));
    Ok(List {
        shell: Shell::of_application((&visitor, &opened), Section::Logs, "Logs"),
        base: format!("/app/{id}/log"),
        rows: slice.items.iter().map(|message| message_row(&console.app, (&id, now), message)).collect(),
        event_type,
        tag,
        channel,
        is_filtered,
        live: (is_first && !is_filtered).then(|| format!("/app/{id}/log/live")),
        next,
        is_first,
    }
    .ok())
}

/// Who looks on, at what, and how far they have seen.
struct Tail<K> {
    app: App,
    principal: Principal,
    application: String,
    endpoint: String,
    seen: K,
}

/// Rows as they come, until the server stops. A browser that was cut off comes back by itself (HTML, section 9.2).
fn tail<K: Send + 'static, F>(
    tail: Tail<K>,
    look: impl Fn(Tail<K>) -> F + Send + 'static,
) -> impl IntoResponse
where
    F: Future<Output = Result<(Vec<String>, Tail<K>), AppError>> + Send,
{
    let events = stream::unfold((Some(tail), look), |(tail, look)| async move {
        tokio::time::sleep(LOOK_EVERY).await;
        let tail = tail.filter(|tail| !tail.app.health().stopping)?;
        let (rows, tail) = look(tail).await.ok()?;
        let events = rows.into_iter().map(|row| Ok::<_, Infallible>(Event::default().event("row").data(row)));
        Some((stream::iter(events.collect::<Vec<_>>()), (Some(tail), look)))
    });
    Sse::new(futures_util::StreamExt::flatten(events)).keep_alive(KeepAlive::default())
}

async fn live(State(console): State<Console>, Signed(visitor): Signed, Path(id): Path<String>) -> Answer {
    let opened = console.app.open(&visitor, &id)?;
    let seen = MessageId(domain::id::floor_of(console.app.now()));
    let begun = Tail {
        app: console.app.clone(),
        principal: opened.principal,
        application: id,
        endpoint: String::new(),
        seen,
    };
    let look = |mut tail: Tail<MessageId>| async move {
        let page = Wanted { items: NEW_MAX, order: Order::Ascending, from: From::After(tail.seen) };
        let listing = Listing { filter: MessageFilter::default(), page };
        let found = tail.app.message_list(&tail.principal, &tail.application, listing).await?;
        let now = tail.app.now();
        let rows = found
            .items
            .iter()
            .filter_map(|message| message_row(&tail.app, (&tail.application, now), message).render().ok());
        let rows = rows.collect();
        tail.seen = found.items.last().map_or(tail.seen, |message| message.id);
        Ok((rows, tail))
    };
    Ok(self::tail(begun, look).into_response())
}

async fn live_of_endpoint(
    State(console): State<Console>,
    Signed(visitor): Signed,
    Path((id, endpoint)): Path<(String, String)>,
) -> Answer {
    let opened = console.app.open(&visitor, &id)?;
    let place = Place { principal: &opened.principal, application: &id, id: &endpoint };
    console.app.endpoint_get(place).await?;
    let seen = AttemptId(domain::id::floor_of(console.app.now()));
    let begun =
        Tail { app: console.app.clone(), principal: opened.principal, application: id, endpoint, seen };
    let look = |mut tail: Tail<AttemptId>| async move {
        let query = AttemptQuery {
            state: None,
            endpoint: None,
            with_messages: true,
            filter: AttemptFilter::default(),
            page: Wanted { items: NEW_MAX, order: Order::Ascending, from: From::After(tail.seen) },
        };
        let place = Place { principal: &tail.principal, application: &tail.application, id: &tail.endpoint };
        let found = tail.app.attempt_list_by_endpoint(place, query).await?;
        let now = tail.app.now();
        tail.seen = found.items.last().map_or(tail.seen, |shown| shown.attempt.id);
        let rows = found
            .items
            .into_iter()
            .filter_map(|shown| row(&tail.app, (&tail.application, now), shown).render().ok());
        let rows = rows.collect();
        Ok((rows, tail))
    };
    Ok(self::tail(begun, look).into_response())
}
