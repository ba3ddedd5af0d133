//! Routes of background tasks: recover, replay what was missed, replay by a filter; enabling with recovery; their progress.

use crate::answer::Answer;
use crate::caller::Caller;
use crate::endpoint::EndpointOut;
use crate::error::{Errors, Outcome};
use crate::json::Field;
use crate::once::once;
use crate::page::{ListResponse, OrderQuery, PageQuery, id_of};
use crate::path::{At, EndpointPath, IdempotencyKey};
use crate::query::{Asked, FromQuery, Query};
use crate::received::Received;
use crate::{Api, wire};
use app::task::{Recovery, TaskFilter, Wanted};
use app::{App, AppError, Problems};
use axum::extract::State;
use domain::clock::Timestamp;
use domain::page::Order;
use domain::task::{Plan, ReplayState, Task, TaskKind, TaskStatus};
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

/// A window of messages.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RecoverIn {
    /// Accepted at this moment or later.
    #[serde(default)]
    #[schema(value_type = String, format = DateTime, required)]
    since: Field<Timestamp>,
    /// Accepted before this moment; by default now.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Field<Timestamp>,
}

/// A window of messages that the endpoint may have missed.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(crate) struct ReplayIn {
    #[serde(flatten)]
    window: RecoverIn,
}

/// A window of messages, and which of them.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BulkReplayIn {
    #[serde(flatten)]
    window: RecoverIn,
    /// Only these event types.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    event_types: Field<Vec<String>>,
    /// Only those posted to this channel.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    channel: Field<String>,
    /// Only those with this tag.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    tag: Field<String>,
    /// Only deliveries in this state: 0 delivered, 1 pending, 2 failed or canceled, 3 sending, 4 canceled.
    #[serde(default)]
    #[schema(value_type = Option<u16>)]
    status: Field<u16>,
    /// Only those whose last answer was of this class: 0 (no answer), 100, 200, 300, 400 or 500.
    #[serde(default)]
    #[schema(value_type = Option<u16>)]
    status_code_class: Field<u16>,
}

/// What becomes of what an endpoint missed while it was disabled.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EnableIn {
    /// `none` (unless told otherwise), `all`, or `since`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    recover: Field<String>,
    /// With `since`: messages accepted at this moment or later.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    since: Field<Timestamp>,
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

impl RecoverIn {
    fn read(self, problems: &mut Problems) -> (Plan, Option<Timestamp>) {
        let since = self.since.required("since", problems);
        (Plan::window(since, since), self.until.optional("until", problems))
    }
}

impl BulkReplayIn {
    fn read(self, problems: &mut Problems) -> (Plan, Option<Timestamp>) {
        let (mut plan, until) = self.window.read(problems);
        plan.event_types = self.event_types.optional("eventTypes", problems).unwrap_or_default();
        plan.channel = self.channel.optional("channel", problems);
        plan.tag = self.tag.optional("tag", problems);
        plan.state = self.status.optional("status", problems).and_then(|code| {
            let state = match code {
                0 => ReplayState::Succeeded,
                1 => ReplayState::Pending,
                2 => ReplayState::Failed,
                3 => ReplayState::Sending,
                4 => ReplayState::Canceled,
                _ => {
                    problems.add("status", format!("{code} is not known: 0, 1, 2, 3 and 4 are allowed"));
                    return None;
                }
            };
            Some(state)
        });
        plan.status_class = self.status_code_class.optional("statusCodeClass", problems);
        if let Some(class) =
            plan.status_class.filter(|class| !matches!(class, 0 | 100 | 200 | 300 | 400 | 500))
        {
            let allowed = "0, 100, 200, 300, 400 and 500 are allowed";
            problems.add("statusCodeClass", format!("{class} is not known: {allowed}"));
        }
        (plan, until)
    }
}

impl EnableIn {
    fn read(self) -> Outcome<Recovery> {
        let mut problems = Problems::default();
        let word = self.recover.optional("recover", &mut problems).unwrap_or_else(|| "none".to_owned());
        let since = self.since.optional("since", &mut problems);
        let recovery = match (&*word, since) {
            ("since", Some(since)) => Recovery::Since(since),
            ("since", None) => {
                problems.add("since", "is missing: give the moment from which on messages are sent");
                Recovery::None
            }
            ("all", None) => Recovery::All,
            ("none", None) => Recovery::None,
            ("all" | "none", Some(_)) => {
                problems.add("since", "goes with `recover` since: leave it out");
                Recovery::None
            }
            _ => {
                problems.add("recover", format!("`{word}` is not known: `none`, `all`, `since` are allowed"));
                Recovery::None
            }
        };
        problems.finish()?;
        Ok(recovery)
    }
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

impl RecoverOut {
    fn of(task: Task) -> Self {
        Self { status: task.status.word(), task: task.kind.word(), updated_at: task.updated_at, id: task.id }
    }
}

async fn begin(app: App, at: EndpointPath, received: &Received, wanted: Wanted) -> Outcome {
    let principal = Arc::clone(&received.principal);
    once(&app.clone(), received, async move {
        let task = app.task_begin(at.by(&principal), wanted).await?;
        Ok(Answer::json(StatusCode::ACCEPTED, &RecoverOut::of(task)))
    })
    .await
}

/// Sends what failed, or was canceled, to the endpoint again.
#[utoipa::path(post, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/recover",
    operation_id = "v1.endpoint.recover", tag = "Endpoint", params(EndpointPath, IdempotencyKey),
    request_body = RecoverIn, responses((status = 202, body = RecoverOut), Errors))]
async fn recover(State(app): State<App>, At(at): At<EndpointPath>, received: Received) -> Outcome {
    let mut problems = Problems::default();
    let (plan, until) = received.json::<RecoverIn>()?.read(&mut problems);
    problems.finish()?;
    begin(app, at, &received, Wanted { kind: TaskKind::Recover, plan, until }).await
}

/// Sends what the endpoint would have got and never did.
#[utoipa::path(post, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/replay-missing",
    operation_id = "v1.endpoint.replay-missing", tag = "Endpoint", params(EndpointPath, IdempotencyKey),
    request_body = ReplayIn, responses((status = 202, body = ReplayOut), Errors))]
async fn replay_missing(State(app): State<App>, At(at): At<EndpointPath>, received: Received) -> Outcome {
    let mut problems = Problems::default();
    let (plan, until) = received.json::<ReplayIn>()?.window.read(&mut problems);
    problems.finish()?;
    begin(app, at, &received, Wanted { kind: TaskKind::Replay, plan, until }).await
}

/// Sends what a filter finds to the endpoint again.
#[utoipa::path(post, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/bulk-replay",
    operation_id = "v1.endpoint.bulk-replay", tag = "Endpoint", params(EndpointPath, IdempotencyKey),
    request_body = BulkReplayIn, responses((status = 202, body = ReplayOut), Errors))]
async fn bulk_replay(State(app): State<App>, At(at): At<EndpointPath>, received: Received) -> Outcome {
    let mut problems = Problems::default();
    let (plan, until) = received.json::<BulkReplayIn>()?.read(&mut problems);
    problems.finish()?;
    begin(app, at, &received, Wanted { kind: TaskKind::BulkReplay, plan, until }).await
}

/// Enables an endpoint again, and says what becomes of what it missed.
#[utoipa::path(post, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/enable",
    operation_id = "v1.endpoint.enable", tag = "Endpoint", params(EndpointPath, IdempotencyKey),
    request_body = EnableIn, responses((status = 200, body = EnabledOut), Errors))]
async fn enable(State(app): State<App>, At(at): At<EndpointPath>, received: Received) -> Outcome {
    let recovery = received.json::<EnableIn>()?.read()?;
    let principal = Arc::clone(&received.principal);
    once(&app.clone(), &received, async move {
        let (endpoint, task) = app.endpoint_enable(at.by(&principal), recovery).await?;
        let endpoint = EndpointOut::of(&endpoint, app.now());
        Ok(Answer::ok(&EnabledOut { endpoint, task: task.map(RecoverOut::of) }))
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
