//! Routes of endpoints.

use crate::answer::Answer;
use crate::caller::Caller;
use crate::endpoint_options::{OptionsIn, OptionsOut};
use crate::error::{Errors, Outcome};
use crate::json::Field;
use crate::once::once;
use crate::page::{ListResponse, OrderQuery, PageQuery, id_of};
use crate::path::{AppPath, At, EndpointPath, IdempotencyKey};
use crate::query::Asked;
use crate::received::Received;
use crate::{Api, wire};
use app::endpoint::{EndpointInput, EndpointPatch as Patch};
use app::{App, Problems};
use axum::extract::State;
use domain::clock::Timestamp;
use domain::endpoint::{Endpoint, EndpointFields};
use domain::health::LastAnswer;
use domain::name::Metadata;
use domain::options::EndpointOptions;
use domain::page::Order;
use domain::wire_id::Kind;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, upsert, patch, delete))
}

/// An endpoint to be created or replaced. `secret` and `headers` count on creation.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EndpointIn {
    /// Where requests go; `https`, or `http` where that is allowed.
    #[serde(default)]
    #[schema(value_type = String, required)]
    url: Field<String>,
    /// The client's own id, unique in the application.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    uid: Field<String>,
    /// A text for people.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    description: Field<String>,
    /// Switched off.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    disabled: Field<bool>,
    /// Kept, not sent, until resumed. Absent keeps it as it is.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    paused: Field<bool>,
    /// The event types it wants; null is all.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    event_types: Field<Vec<String>>,
    /// The same under its old name.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>, deprecated)]
    filter_types: Field<Vec<String>>,
    /// The channels it wants; null is every message.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    channels: Field<Vec<String>>,
    /// Messages a second; null is no limit.
    #[serde(default)]
    #[schema(value_type = Option<u16>, minimum = 1)]
    throttle_rate: Field<u16>,
    /// The same under its old name.
    #[serde(default)]
    #[schema(value_type = Option<u16>, deprecated)]
    rate_limit: Field<u16>,
    /// The client's own notes.
    #[serde(default)]
    #[schema(value_type = Option<Metadata>)]
    metadata: Field<Metadata>,
    /// Its signing secret, `whsec_…` or `whsk_…`; generated if absent.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    secret: Field<String>,
    /// Headers added to each request.
    #[serde(default)]
    #[schema(value_type = Option<Metadata>)]
    headers: Field<Metadata>,
    /// What is beyond the wire's fields.
    #[serde(flatten)]
    own: OptionsIn,
}

/// What changes of an endpoint: absent keeps, null clears.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EndpointPatch {
    /// Where requests go.
    #[serde(default)]
    #[schema(value_type = String)]
    url: Field<String>,
    /// The client's own id.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    uid: Field<String>,
    /// A text for people.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    description: Field<String>,
    /// Switched off.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    disabled: Field<bool>,
    /// Kept, not sent, until resumed.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    paused: Field<bool>,
    /// The event types it wants.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    event_types: Field<Vec<String>>,
    /// The same under its old name.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>, deprecated)]
    filter_types: Field<Vec<String>>,
    /// The channels it wants.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    channels: Field<Vec<String>>,
    /// Messages a second.
    #[serde(default)]
    #[schema(value_type = Option<u16>)]
    throttle_rate: Field<u16>,
    /// The same under its old name.
    #[serde(default)]
    #[schema(value_type = Option<u16>, deprecated)]
    rate_limit: Field<u16>,
    /// The client's own notes.
    #[serde(default)]
    #[schema(value_type = Option<Metadata>)]
    metadata: Field<Metadata>,
    /// What is beyond the wire's fields.
    #[serde(flatten)]
    own: OptionsIn,
}

/// An endpoint.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EndpointOut {
    /// Its id.
    pub(crate) id: String,
    /// The client's own id.
    uid: Option<String>,
    /// Where requests go.
    url: String,
    /// A text for people.
    description: String,
    /// Switched off.
    disabled: bool,
    /// Kept, not sent, until resumed.
    paused: bool,
    /// The event types it wants; null is all.
    event_types: Option<Vec<String>>,
    /// The same under its old name.
    #[schema(deprecated)]
    filter_types: Option<Vec<String>>,
    /// The channels it wants; null is every message.
    channels: Option<Vec<String>>,
    /// Messages a second; null is no limit.
    throttle_rate: Option<u16>,
    /// The same under its old name.
    #[schema(deprecated)]
    rate_limit: Option<u16>,
    /// Always 1.
    #[schema(deprecated)]
    version: u16,
    /// The client's own notes.
    metadata: Metadata,
    /// Why the server itself switched it off.
    disabled_reason: Option<String>,
    /// When it did.
    #[schema(value_type = Option<String>, format = DateTime)]
    disabled_at: Option<String>,
    /// The last answer before.
    disabled_answer: Option<AnswerOut>,
    /// What is beyond the wire's fields.
    #[serde(flatten)]
    own: OptionsOut,
    /// When it was created.
    #[serde(serialize_with = "wire::time")]
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was last changed.
    #[serde(serialize_with = "wire::time")]
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// What a receiver answered last.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AnswerOut {
    /// When.
    #[schema(format = DateTime)]
    at: String,
    /// The HTTP status; 0 when there was no answer.
    status: u16,
    /// The beginning of its body, or why there was none.
    text: String,
}

impl AnswerOut {
    pub(crate) fn of(answer: &LastAnswer) -> Self {
        Self { at: Timestamp(answer.at).to_string(), status: answer.status, text: answer.text.clone() }
    }
}

impl EndpointIn {
    pub(crate) fn read(self, spare: &dyn Fn(bool) -> String) -> Outcome<EndpointInput> {
        let problems = &mut Problems::default();
        let fields = EndpointFields {
            url: self.url.required("url", problems),
            uid: self.uid.optional("uid", problems),
            description: self.description.optional("description", problems).unwrap_or_default(),
            metadata: self.metadata.optional("metadata", problems).unwrap_or_default(),
            disabled: self.disabled.optional("disabled", problems).unwrap_or_default(),
            paused: false,
            event_types: self.event_types.or(self.filter_types).optional("eventTypes", problems),
            channels: self.channels.optional("channels", problems),
            throttle_rate: self.throttle_rate.or(self.rate_limit).optional("throttleRate", problems),
            options: EndpointOptions::default(),
        };
        let paused = self.paused.optional("paused", problems);
        let secret = self.secret.optional("secret", problems);
        let headers = self.headers.optional("headers", problems).unwrap_or_default().into_iter().collect();
        let options = self.own.read(spare, problems);
        std::mem::take(problems).finish()?;
        Ok(EndpointInput { fields, paused, secret, headers, options })
    }
}

impl EndpointPatch {
    fn read(self, spare: &dyn Fn(bool) -> String) -> Outcome<Patch> {
        let problems = &mut Problems::default();
        let patch = Patch {
            url: self.url.present("url", problems),
            uid: self.uid.change("uid", problems),
            description: self.description.change("description", problems),
            metadata: self.metadata.change("metadata", problems),
            disabled: self.disabled.change("disabled", problems),
            paused: self.paused.change("paused", problems),
            event_types: self.event_types.or(self.filter_types).change("eventTypes", problems),
            channels: self.channels.change("channels", problems),
            throttle_rate: self.throttle_rate.or(self.rate_limit).change("throttleRate", problems),
            options: self.own.read(spare, problems),
        };
        std::mem::take(problems).finish()?;
        Ok(patch)
    }
}

impl EndpointOut {
    pub(crate) fn of(endpoint: &Endpoint, now: Timestamp) -> Self {
        let EndpointFields { uid, url, description, metadata, disabled, paused, .. } =
            endpoint.fields.clone();
        let EndpointFields { event_types, channels, throttle_rate, .. } = endpoint.fields.clone();
        Self {
            id: endpoint.id.clone(),
            uid,
            url,
            description,
            disabled,
            paused,
            filter_types: event_types.clone(),
            event_types,
            channels,
            throttle_rate,
            rate_limit: throttle_rate,
            version: 1,
            metadata,
            disabled_reason: endpoint.disabling.as_ref().map(|d| d.reason.clone()),
            disabled_at: endpoint.disabling.as_ref().map(|d| d.at.to_string()),
            disabled_answer: endpoint.disabling.as_ref().and_then(|d| d.answer.as_ref()).map(AnswerOut::of),
            own: OptionsOut::of(endpoint, now),
            created_at: endpoint.created_at,
            updated_at: endpoint.updated_at,
        }
    }
}

/// Lists an application's endpoints.
#[utoipa::path(get, path = "/api/v1/app/{app_id}/endpoint", operation_id = "v1.endpoint.list", tag = "Endpoint",
    params(AppPath, PageQuery, OrderQuery),
    responses((status = 200, body = ListResponse<EndpointOut>), Errors))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    At(at): At<AppPath>,
    Asked((page, order)): Asked<(PageQuery, OrderQuery)>,
) -> Outcome {
    let page = page.page(order.order.unwrap_or(Order::Descending), id_of(Kind::Endpoint))?;
    let slice = app.endpoint_list(&caller, &at.app_id, page).await?;
    let now = app.now();
    Ok(ListResponse::of(slice.map(|e| (e.id.clone(), EndpointOut::of(&e, now)))).answer())
}

/// Creates an endpoint.
#[utoipa::path(post, path = "/api/v1/app/{app_id}/endpoint", operation_id = "v1.endpoint.create",
    tag = "Endpoint", params(AppPath, IdempotencyKey), request_body = EndpointIn,
    responses((status = 201, body = EndpointOut), Errors))]
async fn create(State(app): State<App>, At(at): At<AppPath>, received: Received) -> Outcome {
    let input = received.json::<EndpointIn>()?.read(&|ed25519| app.spare_key(ed25519))?;
    let principal = Arc::clone(&received.principal);
    once(&app.clone(), &received, async move {
        let endpoint = app.endpoint_create(&principal, &at.app_id, input).await?;
        Ok(Answer::made(true, &EndpointOut::of(&endpoint, app.now())))
    })
    .await
}

/// Reads an endpoint.
#[utoipa::path(get, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}", operation_id = "v1.endpoint.get",
    tag = "Endpoint", params(EndpointPath), responses((status = 200, body = EndpointOut), Errors))]
async fn get(State(app): State<App>, caller: Caller, At(at): At<EndpointPath>) -> Outcome {
    Ok(Answer::ok(&EndpointOut::of(&app.endpoint_get(at.by(&caller)).await?, app.now())))
}

/// Replaces an endpoint, or creates it under this uid.
#[utoipa::path(put, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}", operation_id = "v1.endpoint.upsert",
    tag = "Endpoint", params(EndpointPath), request_body = EndpointIn,
    responses((status = 200, body = EndpointOut), (status = 201, body = EndpointOut), Errors))]
async fn upsert(State(app): State<App>, At(at): At<EndpointPath>, received: Received) -> Outcome {
    let input = received.json::<EndpointIn>()?.read(&|ed25519| app.spare_key(ed25519))?;
    let (endpoint, created) = app.endpoint_put(at.by(&received.principal), input).await?;
    Ok(Answer::made(created, &EndpointOut::of(&endpoint, app.now())))
}

/// Changes some fields of an endpoint.
#[utoipa::path(patch, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}", operation_id = "v1.endpoint.patch",
    tag = "Endpoint", params(EndpointPath), request_body = EndpointPatch,
    responses((status = 200, body = EndpointOut), Errors))]
async fn patch(State(app): State<App>, At(at): At<EndpointPath>, received: Received) -> Outcome {
    let patch = received.json::<EndpointPatch>()?.read(&|ed25519| app.spare_key(ed25519))?;
    let endpoint = app.endpoint_patch(at.by(&received.principal), patch).await?;
    Ok(Answer::ok(&EndpointOut::of(&endpoint, app.now())))
}

/// Deletes an endpoint; its pending deliveries are canceled.
#[utoipa::path(delete, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}", operation_id = "v1.endpoint.delete",
    tag = "Endpoint", params(EndpointPath), responses((status = 204), Errors))]
async fn delete(State(app): State<App>, caller: Caller, At(at): At<EndpointPath>) -> Outcome {
    app.endpoint_delete(at.by(&caller)).await?;
    Ok(Answer::nothing())
}
