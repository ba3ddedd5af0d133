//! Rows that come by themselves, while a page is open (server-sent events): looked for in the store, so that it does not matter
//! which node an event came to.

use crate::Console;
use crate::log::{message_row, row};
use crate::refusal::Answer;
use crate::visitor::Signed;
use app::attempt::{AttemptFilter, AttemptQuery};
use app::list::Listing;
use app::message::MessageFilter;
use app::{App, AppError, Place, Principal};
use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::get;
use domain::id::{AttemptId, MessageId};
use domain::page::{From, Order, Page as Wanted};
use futures_util::stream;
use std::convert::Infallible;
use std::time::Duration;

pub(crate) fn router() -> Router<Console> {
    Router::new().route("/log/live", get(live)).route("/endpoint/{endpoint_id}/live", get(live_of_endpoint))
}

/// Between two looks for what is new.
const LOOK_EVERY: Duration = Duration::from_millis(700);
/// Rows that one look brings at most.
const NEW_MAX: u16 = 50;

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
