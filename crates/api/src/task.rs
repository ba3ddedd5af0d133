//! Routes of background tasks: recover, replay what was missed, replay by a filter; enabling with recovery; their progress.

use crate::answer::Answer;
use crate::caller::Caller;
use crate::endpoint::EndpointOut;
use crate::error::{Errors, Outcome};
use crate::once::once;
use crate::page::{ListResponse, OrderQuery, PageQuery, id_of};
use crate::path::{At, EndpointPath, IdempotencyKey};
use crate::query::{Asked, FromQuery, Query};
use crate::received::Received;
use crate::task_in::{BulkReplayIn, DryRunQuery, EnableIn, RecoverIn, ReplayIn};
use crate::{Api, wire};
use app::task::{TaskFilter, Wanted};
use app::task_count::Count;
use app::{App, AppError, Problems};
use axum::extract::State;
use domain::clock::Timestamp;
use domain::page::Order;
use domain::task::{Task, TaskKind, TaskStatus};
use domain::wire_id::Kind;
use domain::word::Worded;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(recover))
        .routes(routes!(replay_missing))
        .routes(routes!(bulk_replay))
        .routes(routes!(enable))
        .routes(routes!(list))
        .routes(routes!(get))
        .routes(routes!(cancel))
}

/// A background task.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BackgroundTaskOut {
    /// Its id.
    id: String,
    /// `running`, `finished` or `failed`.
    status: &'static str,
    /// What it does.
    task: &'static str,
    /// How far it is: `progress` (0 to 1), `looked`, `queued`, `error`, and what it was asked for.
    #[schema(value_type = Object)]
    data: Value,
    /// When its last step was made.
    #[serde(serialize_with = "wire::time")]
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// A task that was begun.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RecoverOut {
    /// Its id.
    id: String,
    /// `running`.
    status: &'static str,
    /// What it does.
    task: &'static str,
    /// When it was begun.
    #[serde(serialize_with = "wire::time")]
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// A replay that was begun.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReplayOut {
    #[serde(flatten)]
    task: RecoverOut,
}

/// An endpoint that is enabled again.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EnabledOut {
    /// The endpoint.
    endpoint: EndpointOut,
    /// The task that sends what it missed; null when nothing is sent.
    task: Option<RecoverOut>,
}

/// What a task would send.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CountOut {
    /// How many messages.
    messages: u64,
    /// Whether all was looked at: after 10,000 looks (`messages_counted_max`), or 5 seconds, a count ends, and there may be more.
    complete: bool,
}

/// The endpoint, or with `dry_run` the count alone.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum EnableOut {
    /// Enabled.
    Enabled(Box<EnabledOut>),
    /// Counted.
    Counted(CountOut),
}

/// A task.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct TaskPath {
    /// The task's id.
    task_id: String,
}

/// Which tasks a list shows.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct TaskQuery {
    /// `running`, `finished` or `failed`.
    #[param(value_type = Option<String>)]
    status: Option<TaskStatus>,
    /// `endpoint.recover`, `endpoint.replay` or `endpoint.bulk-replay`; others are known and never there.
    #[param(value_type = Option<String>)]
    task: Option<TaskKind>,
    /// A kind was asked for that there is none of here.
    #[param(ignore)]
    nothing: bool,
}

/// Kinds of the wire that are never there.
const OTHER_KINDS: [&str; 5] = [
    "application.stats",
    "message.broadcast",
    "sdk.generate",
    "event-type.aggregate",
    "application.purge_content",
];

impl FromQuery for TaskQuery {
    fn read(query: &Query<'_>) -> Outcome<Self> {
        let nothing = query.text("task").is_some_and(|text| OTHER_KINDS.contains(&text));
        let task = if nothing { None } else { word(query, "task")? };
        Ok(Self { status: word(query, "status")?, task, nothing })
    }
}

fn word<T: Worded>(query: &Query<'_>, name: &'static str) -> Outcome<Option<T>> {
    let Some(text) = query.text(name) else { return Ok(None) };
    let known = || T::ALL.iter().map(|value| format!("`{}`", value.word())).collect::<Vec<_>>().join(", ");
    let found = T::from_word(text);
    let wrong = || AppError::invalid_query(name, format!("`{text}` is not known: {} are allowed", known()));
    Ok(Some(found.ok_or_else(wrong)?))
}

impl BackgroundTaskOut {
    fn of(task: Task) -> Self {
        let data = json!({
            "progress": task.progress(),
            "looked": task.looked,
            "queued": task.queued,
            "error": task.error,
            "since": Timestamp(task.plan.since).to_string(),
            "until": Timestamp(task.plan.until).to_string(),
            "createdAt": task.created_at.to_string(),
        });
        let (status, kind) = (task.status.word(), task.kind.word());
        Self { id: task.id, status, task: kind, data, updated_at: task.updated_at }
    }
}

impl CountOut {
    const fn of(count: Count) -> Self {
        Self { messages: count.messages, complete: count.is_complete }
    }
}

impl RecoverOut {
    fn of(task: Task) -> Self {
        Self { status: task.status.word(), task: task.kind.word(), updated_at: task.updated_at, id: task.id }
    }
}

async fn begin(app: App, at: EndpointPath, received: &Received, wanted: Wanted) -> Outcome {
    let principal = Arc::clone(&received.principal);
    // An idempotency key is for what has an effect.
    if received.query::<DryRunQuery>()?.dry_run {
        return Ok(Answer::ok(&CountOut::of(app.task_count(at.by(&principal), wanted).await?)));
    }
    once(&app.clone(), received, async move {
        let task = app.task_begin(at.by(&principal), wanted).await?;
        Ok(Answer::json(StatusCode::ACCEPTED, &RecoverOut::of(task)))
    })
    .await
}

/// Sends what failed, or was canceled, to the endpoint again.
#[utoipa::path(post, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/recover",
    operation_id = "v1.endpoint.recover", tag = "Endpoint", params(EndpointPath, DryRunQuery, IdempotencyKey),
    request_body = RecoverIn, responses((status = 202, body = RecoverOut), (status = 200, body = CountOut), Errors))]
async fn recover(State(app): State<App>, At(at): At<EndpointPath>, received: Received) -> Outcome {
    let mut problems = Problems::default();
    let (plan, until) = received.json::<RecoverIn>()?.read(&mut problems);
    problems.finish()?;
    begin(app, at, &received, Wanted { kind: TaskKind::Recover, plan, until }).await
}

/// Sends what the endpoint would have got and never did.
#[utoipa::path(post, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/replay-missing",
    operation_id = "v1.endpoint.replay-missing", tag = "Endpoint", params(EndpointPath, DryRunQuery, IdempotencyKey),
    request_body = ReplayIn, responses((status = 202, body = ReplayOut), (status = 200, body = CountOut), Errors))]
async fn replay_missing(State(app): State<App>, At(at): At<EndpointPath>, received: Received) -> Outcome {
    let mut problems = Problems::default();
    let (plan, until) = received.json::<ReplayIn>()?.read(&mut problems);
    problems.finish()?;
    begin(app, at, &received, Wanted { kind: TaskKind::Replay, plan, until }).await
}

/// Sends what a filter finds to the endpoint again.
#[utoipa::path(post, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/bulk-replay",
    operation_id = "v1.endpoint.bulk-replay", tag = "Endpoint", params(EndpointPath, DryRunQuery, IdempotencyKey),
    request_body = BulkReplayIn, responses((status = 202, body = ReplayOut), (status = 200, body = CountOut), Errors))]
async fn bulk_replay(State(app): State<App>, At(at): At<EndpointPath>, received: Received) -> Outcome {
    let mut problems = Problems::default();
    let (plan, until) = received.json::<BulkReplayIn>()?.read(&mut problems);
    problems.finish()?;
    begin(app, at, &received, Wanted { kind: TaskKind::BulkReplay, plan, until }).await
}

/// Enables an endpoint again, and says what becomes of what it missed.
#[utoipa::path(post, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/enable",
    operation_id = "v1.endpoint.enable", tag = "Endpoint", params(EndpointPath, DryRunQuery, IdempotencyKey),
    request_body = EnableIn, responses((status = 200, body = EnableOut), Errors))]
async fn enable(State(app): State<App>, At(at): At<EndpointPath>, received: Received) -> Outcome {
    let recovery = received.json::<EnableIn>()?.read()?;
    let principal = Arc::clone(&received.principal);
    if received.query::<DryRunQuery>()?.dry_run {
        let count = app.endpoint_enable_count(at.by(&principal), recovery).await?;
        return Ok(Answer::ok(&EnableOut::Counted(CountOut::of(count))));
    }
    once(&app.clone(), &received, async move {
        let (endpoint, task) = app.endpoint_enable(at.by(&principal), recovery).await?;
        let endpoint = EndpointOut::of(&endpoint, app.now());
        let enabled = EnabledOut { endpoint, task: task.map(RecoverOut::of) };
        Ok(Answer::ok(&EnableOut::Enabled(Box::new(enabled))))
    })
    .await
}

/// Lists background tasks.
#[utoipa::path(get, path = "/api/v1/background-task", operation_id = "v1.background-task.list",
    tag = "Background Task", params(TaskQuery, PageQuery, OrderQuery),
    responses((status = 200, body = ListResponse<BackgroundTaskOut>), Errors))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Asked((query, page, order)): Asked<(TaskQuery, PageQuery, OrderQuery)>,
) -> Outcome {
    let page = page.page(order.order.unwrap_or(Order::Descending), id_of(Kind::BackgroundTask))?;
    let filter = TaskFilter { status: query.status, kind: query.task, application: None };
    let mut tasks = app.task_list(&caller, filter, page).await?;
    if query.nothing {
        (tasks.items, tasks.done) = (Vec::new(), true);
    }
    Ok(ListResponse::of(tasks.map(|task| (task.id.clone(), BackgroundTaskOut::of(task)))).answer())
}

/// Reads a background task.
#[utoipa::path(get, path = "/api/v1/background-task/{task_id}", operation_id = "v1.background-task.get",
    tag = "Background Task", params(TaskPath), responses((status = 200, body = BackgroundTaskOut), Errors))]
async fn get(State(app): State<App>, caller: Caller, At(at): At<TaskPath>) -> Outcome {
    Ok(Answer::ok(&BackgroundTaskOut::of(app.task_get(&caller, &at.task_id).await?)))
}

/// Ends a background task that runs; what it has queued is sent all the same.
#[utoipa::path(post, path = "/api/v1/background-task/{task_id}/cancel",
    operation_id = "v1.background-task.cancel", tag = "Background Task", params(TaskPath),
    responses((status = 200, body = BackgroundTaskOut), Errors))]
async fn cancel(State(app): State<App>, caller: Caller, At(at): At<TaskPath>) -> Outcome {
    Ok(Answer::ok(&BackgroundTaskOut::of(app.task_cancel(&caller, &at.task_id).await?)))
}
