//! Routes of event types.

use crate::answer::Answer;
use crate::caller::Caller;
use crate::endpoint_options::{byte, seconds};
use crate::environment::RetriesIn;
use crate::error::{Errors, Outcome};
use crate::json::Field;
use crate::once::once;
use crate::page::{ListResponse, OrderQuery, PageQuery};
use crate::path::{At, EventTypePath, IdempotencyKey};
use crate::query::{Asked, FromQuery, Query};
use crate::received::Received;
use crate::{Api, wire};
use app::event_type::EventTypePatch as Patch;
use app::{App, Problems};
use axum::extract::State;
use domain::clock::Timestamp;
use domain::event_type::{EventType, EventTypeFields};
use domain::name::check_plain;
use domain::page::Order;
use domain::retry::RetryPolicy;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, upsert, patch, delete))
}

/// Stands in iterators before names that begin with a dash; no name has it.
const DASHED: char = '~';

type Schemas = Map<String, Value>;

/// An event type to be created; replaced ones take their name from the path.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EventTypeIn {
    /// Its name.
    #[serde(default)]
    #[schema(value_type = String, required)]
    name: Field<String>,
    #[serde(flatten)]
    rest: EventTypeUpsertIn,
}

/// An event type to be replaced.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EventTypeUpsertIn {
    /// What the event means.
    #[serde(default)]
    #[schema(value_type = String, required)]
    description: Field<String>,
    /// No longer offered.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    archived: Field<bool>,
    /// Still offered, better not used.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    deprecated: Field<bool>,
    /// Version to JSON Schema.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    schemas: Field<Schemas>,
    /// A group for the catalogue.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    group_name: Field<String>,
    /// Hidden from application tokens without one of these flags.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    feature_flags: Field<Vec<String>>,
    /// One flag, under the old name.
    #[serde(default)]
    #[schema(value_type = Option<String>, deprecated)]
    feature_flag: Field<String>,
    #[serde(flatten)]
    retries: RetriesIn,
}

/// What changes of an event type: absent keeps, null clears.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EventTypePatch {
    /// What the event means.
    #[serde(default)]
    #[schema(value_type = String)]
    description: Field<String>,
    /// No longer offered.
    #[serde(default)]
    #[schema(value_type = bool)]
    archived: Field<bool>,
    /// Better not used.
    #[serde(default)]
    #[schema(value_type = bool)]
    deprecated: Field<bool>,
    /// Version to JSON Schema.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    schemas: Field<Schemas>,
    /// A group for the catalogue.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    group_name: Field<String>,
    /// Hidden from application tokens without one of these flags.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    feature_flags: Field<Vec<String>>,
    #[serde(flatten)]
    retries: RetriesIn,
}

/// An event type.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EventTypeOut {
    /// Its name.
    name: String,
    /// What the event means.
    description: String,
    /// No longer offered.
    archived: bool,
    /// Still offered, better not used.
    deprecated: bool,
    /// Version to JSON Schema.
    #[schema(value_type = Option<Object>)]
    schemas: Option<Schemas>,
    /// A group for the catalogue.
    group_name: Option<String>,
    /// Hidden from application tokens without one of these flags.
    feature_flags: Option<Vec<String>>,
    /// The first flag, under the old name.
    #[schema(deprecated)]
    feature_flag: Option<String>,
    /// Tries after the first one; null is as the environment says.
    max_attempts: Option<u8>,
    /// Seconds between tries; null is as the environment says.
    retry_schedule: Option<Vec<u32>>,
    /// When it was created.
    #[serde(serialize_with = "wire::time")]
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was last changed.
    #[serde(serialize_with = "wire::time")]
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// Which event types a list shows.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Shows archived ones too.
    #[param(required = false)]
    include_archived: bool,
    /// Shows their schemas.
    #[param(required = false)]
    with_content: bool,
}

/// How an event type goes.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeleteQuery {
    /// Deletes it for good instead of archiving it.
    #[param(required = false)]
    expunge: bool,
}

impl FromQuery for ListQuery {
    fn read(query: &Query<'_>) -> Outcome<Self> {
        Ok(Self {
            include_archived: query.flag("include_archived", false)?,
            with_content: query.flag("with_content", false)?,
        })
    }
}

impl FromQuery for DeleteQuery {
    fn read(query: &Query<'_>) -> Outcome<Self> {
        Ok(Self { expunge: query.flag("expunge", false)? })
    }
}

impl EventTypeUpsertIn {
    fn read(self, problems: &mut Problems) -> EventTypeFields {
        let flag = self.feature_flag.optional("featureFlag", problems);
        let flags = self.feature_flags.optional("featureFlags", problems);
        let retries = RetryPolicy {
            max_attempts: self.retries.max_attempts.optional("maxAttempts", problems).map(byte),
            retry_schedule: self.retries.retry_schedule.optional("retrySchedule", problems).map(seconds),
        };
        EventTypeFields {
            description: self.description.required("description", problems),
            archived: self.archived.optional("archived", problems).unwrap_or_default(),
            deprecated: self.deprecated.optional("deprecated", problems).unwrap_or_default(),
            schemas: self.schemas.optional("schemas", problems),
            group_name: self.group_name.optional("groupName", problems),
            feature_flags: flags.or(flag.map(|flag| vec![flag])),
            retries,
        }
    }
}

impl EventTypePatch {
    fn read(self) -> Outcome<Patch> {
        let mut problems = Problems::default();
        let patch = Patch {
            description: self.description.present("description", &mut problems),
            archived: self.archived.present("archived", &mut problems),
            deprecated: self.deprecated.present("deprecated", &mut problems),
            schemas: self.schemas.change("schemas", &mut problems),
            group_name: self.group_name.change("groupName", &mut problems),
            feature_flags: self.feature_flags.change("featureFlags", &mut problems),
            max_attempts: self.retries.max_attempts.change("maxAttempts", &mut problems).map(byte),
            retry_schedule: self.retries.retry_schedule.change("retrySchedule", &mut problems).map(seconds),
        };
        problems.finish()?;
        Ok(patch)
    }
}

impl EventTypeOut {
    fn of(event_type: EventType, with_content: bool) -> Self {
        let EventTypeFields {
            description,
            archived,
            deprecated,
            schemas,
            group_name,
            feature_flags,
            retries,
        } = event_type.fields;
        Self {
            name: event_type.name,
            description,
            archived,
            deprecated,
            schemas: schemas.filter(|_| with_content),
            group_name,
            feature_flag: feature_flags.as_ref().and_then(|flags| flags.first().cloned()),
            feature_flags,
            max_attempts: retries.max_attempts,
            retry_schedule: retries.retry_schedule,
            created_at: event_type.created_at,
            updated_at: event_type.updated_at,
        }
    }
}

/// Lists the catalogue by name.
#[utoipa::path(get, path = "/api/v1/event-type", operation_id = "v1.event-type.list", tag = "Event Type",
    params(ListQuery, PageQuery, OrderQuery),
    responses((status = 200, body = ListResponse<EventTypeOut>), Errors))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Asked((asked, page, order)): Asked<(ListQuery, PageQuery, OrderQuery)>,
) -> Outcome {
    let name = |text: &str| {
        let name = text.strip_prefix(DASHED).unwrap_or(text);
        check_plain(name).is_ok().then(|| name.to_owned())
    };
    let page = page.page(order.order.unwrap_or(Order::Ascending), name)?;
    let slice = app.event_type_list(&caller, asked.include_archived, page).await?;
    let item = |found: EventType| (iterator(&found.name), EventTypeOut::of(found, asked.with_content));
    Ok(ListResponse::of(slice.map(item)).answer())
}

/// The place of a name in an iterator, which would page backwards if it began with a dash.
fn iterator(name: &str) -> String {
    if name.starts_with('-') { format!("{DASHED}{name}") } else { name.to_owned() }
}

/// Creates an event type, or brings an archived one back.
#[utoipa::path(post, path = "/api/v1/event-type", operation_id = "v1.event-type.create", tag = "Event Type",
    params(IdempotencyKey), request_body = EventTypeIn,
    responses((status = 201, body = EventTypeOut), Errors))]
async fn create(State(app): State<App>, received: Received) -> Outcome {
    let input: EventTypeIn = received.json()?;
    let mut problems = Problems::default();
    let name = input.name.required("name", &mut problems);
    let fields = input.rest.read(&mut problems);
    problems.finish()?;
    let principal = Arc::clone(&received.principal);
    once(&app.clone(), &received, async move {
        let created = app.event_type_create(&principal, &name, fields).await?;
        Ok(Answer::made(true, &EventTypeOut::of(created, true)))
    })
    .await
}

/// Reads an event type.
#[utoipa::path(get, path = "/api/v1/event-type/{event_type_name}", operation_id = "v1.event-type.get",
    tag = "Event Type", params(EventTypePath), responses((status = 200, body = EventTypeOut), Errors))]
async fn get(State(app): State<App>, caller: Caller, At(at): At<EventTypePath>) -> Outcome {
    let found = app.event_type_get(&caller, &at.event_type_name).await?;
    Ok(Answer::ok(&EventTypeOut::of(found, true)))
}

/// Creates or replaces an event type.
#[utoipa::path(put, path = "/api/v1/event-type/{event_type_name}", operation_id = "v1.event-type.upsert",
    tag = "Event Type", params(EventTypePath), request_body = EventTypeUpsertIn,
    responses((status = 200, body = EventTypeOut), (status = 201, body = EventTypeOut), Errors))]
async fn upsert(State(app): State<App>, At(at): At<EventTypePath>, received: Received) -> Outcome {
    let mut problems = Problems::default();
    let fields = received.json::<EventTypeUpsertIn>()?.read(&mut problems);
    problems.finish()?;
    let (put, created) = app.event_type_put(&received.principal, &at.event_type_name, fields).await?;
    Ok(Answer::made(created, &EventTypeOut::of(put, true)))
}

/// Changes some fields of an event type.
#[utoipa::path(patch, path = "/api/v1/event-type/{event_type_name}", operation_id = "v1.event-type.patch",
    tag = "Event Type", params(EventTypePath), request_body = EventTypePatch,
    responses((status = 200, body = EventTypeOut), Errors))]
async fn patch(State(app): State<App>, At(at): At<EventTypePath>, received: Received) -> Outcome {
    let patch = received.json::<EventTypePatch>()?.read()?;
    let changed = app.event_type_patch(&received.principal, &at.event_type_name, patch).await?;
    Ok(Answer::ok(&EventTypeOut::of(changed, true)))
}

/// Archives an event type, or deletes it for good.
#[utoipa::path(delete, path = "/api/v1/event-type/{event_type_name}", operation_id = "v1.event-type.delete",
    tag = "Event Type", params(EventTypePath, DeleteQuery), responses((status = 204), Errors))]
async fn delete(
    State(app): State<App>,
    caller: Caller,
    At(at): At<EventTypePath>,
    Asked(asked): Asked<DeleteQuery>,
) -> Outcome {
    app.event_type_delete(&caller, &at.event_type_name, asked.expunge).await?;
    Ok(Answer::nothing())
}
