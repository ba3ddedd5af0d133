//! What a webhook has missed, sent again: first what and since when, then how much that is, then it begins.

use crate::Console;
use crate::endpoint::Found;
use crate::endpoint_ask::{Ask, asked_again, choice};
use crate::page::Page;
use crate::refusal::Answer;
use crate::submitted::Submitted;
use crate::visitor::Signed;
use app::task::Wanted;
use app::{AppError, Right};
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::routing::{get, post};
use domain::clock::Timestamp;
use domain::task::{Plan, ReplayState, TaskKind};
use std::collections::HashMap;

pub(crate) fn router() -> Router<Console> {
    Router::new()
        .route("/endpoint/{endpoint_id}/recover", get(ask_recover).post(recover))
        .route("/endpoint/{endpoint_id}/task/{task_id}/cancel", post(cancel_task))
}

type At = Path<(String, String)>;
type Words = Query<HashMap<String, String>>;

const HOUR_MS: i64 = 3_600_000;
/// What is sent again: since when, in hours.
const SINCE: [(&str, &str); 5] = [
    ("1", "the last hour"),
    ("6", "the last 6 hours"),
    ("24", "the last day"),
    ("168", "the last 7 days"),
    ("336", "the last 14 days"),
];
/// What is to be sent again, as the form says it.
fn wanted(console: &Console, kind: &str, hours: &str) -> Wanted {
    let hours: i64 = hours.parse().unwrap_or(24);
    let now = console.app.now();
    let since = now.plus_ms(-hours.clamp(1, 336) * HOUR_MS);
    let (kind, state) = match kind {
        "missed" => (TaskKind::Replay, None),
        "delivered" => (TaskKind::BulkReplay, Some(ReplayState::Succeeded)),
        "all" => (TaskKind::BulkReplay, None),
        _ => (TaskKind::Recover, None),
    };
    Wanted { kind, plan: Plan { state, ..Plan::window(since, Timestamp(0)) }, until: None }
}

const KINDS: [(&str, &str); 4] = [
    ("failed", "what failed or was canceled"),
    ("missed", "what it would have got and never did: from before it was there, or chose these events"),
    ("delivered", "what it has got: for a receiver that lost it"),
    ("all", "everything that was sent to it, whatever became of it"),
];

/// First what and since when; then how much that is, before it begins.
async fn ask_recover(
    State(console): State<Console>,
    Signed(visitor): Signed,
    Path(at): At,
    Query(query): Words,
) -> Answer {
    let found = Found::of(&console, visitor, &at).await?;
    found.opened.principal.may(Right::Send)?;
    let ask = found.ask(&console, ("Send again", "recover", "Count them")).await?;
    let (Some(kind), Some(hours)) = (query.get("kind"), query.get("hours")) else {
        let choices = vec![choice("kind", "What", &KINDS), choice("hours", "Of", &SINCE)];
        return Ok(Ask { choices, is_question: true, ..ask }.ok());
    };
    match console.app.task_count(found.place(&at), wanted(&console, kind, hours)).await {
        Ok(count) if count.messages == 0 && count.is_complete => {
            let choices = vec![choice("kind", "What", &KINDS), choice("hours", "Of", &SINCE)];
            let text = vec!["There is nothing of that kind.".to_owned()];
            Ok(Ask { text, choices, is_question: true, ..ask }.ok())
        }
        Ok(count) => {
            let many = if count.is_complete {
                count.messages.to_string()
            } else {
                format!("{} or more", count.messages)
            };
            let unit = if count.messages == 1 { "event is" } else { "events are" };
            let text = vec![
                format!("{many} {unit} sent to this webhook again."),
                "Each carries the same webhook-id as before, so a receiver that looks at it does nothing twice.".to_owned(),
            ];
            let kept = vec![("kind", kind.clone()), ("hours", hours.clone())];
            Ok(Ask { text, kept, button: "Send them", ..ask }.ok())
        }
        Err(error) => asked_again(ask, error),
    }
}

async fn recover(
    State(console): State<Console>,
    Path(at): At,
    Submitted { visitor, form }: Submitted,
) -> Answer {
    let found = Found::of(&console, visitor, &at).await?;
    let wanted = wanted(&console, form.get("kind"), form.get("hours"));
    match console.app.task_begin(found.place(&at), wanted).await {
        Ok(_) => Ok(found.done("replaying")),
        Err(error) => {
            let ask = found.ask(&console, ("Send again", "recover", "Send them")).await?;
            asked_again(ask, error)
        }
    }
}

async fn cancel_task(
    State(console): State<Console>,
    Path((id, endpoint, task)): Path<(String, String, String)>,
    Submitted { visitor, .. }: Submitted,
) -> Answer {
    let found = Found::of(&console, visitor, &(id, endpoint)).await?;
    match console.app.task_cancel(&found.opened.principal, &task).await {
        // It has ended by itself: that is what was wanted.
        Ok(_) | Err(AppError::Refused { .. }) => Ok(found.done("canceled")),
        Err(error) => Err(error.into()),
    }
}
