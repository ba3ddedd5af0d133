//! Routes of operational webhooks: endpoints that hear what happens to an environment's endpoints and messages.

use crate::Api;
use crate::answer::Answer;
use crate::caller::Caller;
use crate::endpoint::EndpointIn;
use crate::error::{Errors, Outcome};
use crate::header::{EndpointHeadersIn, EndpointHeadersOut};
use crate::once::once;
use crate::page::{ListResponse, OrderQuery, PageQuery, id_of};
use crate::path::{At, IdempotencyKey};
use crate::query::Asked;
use crate::received::Received;
use crate::secret::{EndpointSecretOut, EndpointSecretRotateIn};
use crate::wire;
use app::{App, Place, Principal};
use axum::extract::State;
use domain::clock::Timestamp;
use domain::endpoint::Endpoint;
use domain::name::Metadata;
use domain::page::Order;
use domain::wire_id::Kind;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, upsert, delete))
        .routes(routes!(get_secret))
        .routes(routes!(rotate_secret))
        .routes(routes!(get_headers, set_headers))
}

/// An operational webhook.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct OperationalPath {
    /// The webhook's id or uid.
    endpoint_id: String,
}

impl OperationalPath {
    fn by<'a>(&'a self, principal: &'a Principal) -> Place<'a> {
        // Its scope names the application.
        Place { principal, application: "", id: &self.endpoint_id }
    }
}

/// An operational webhook.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OperationalWebhookEndpointOut {
    /// Its id.
    id: String,
    /// Your own id.
    uid: Option<String>,
    /// Where requests go.
    url: String,
    /// A text for people.
    description: String,
    /// Switched off.
    disabled: bool,
    /// Why the server itself switched it off.
    disabled_reason: Option<String>,
    /// The operational events that it wants; null is all.
    event_types: Option<Vec<String>>,
    /// Messages a second; null is no limit.
    throttle_rate: Option<u16>,
    /// The same under its old name.
    #[schema(deprecated)]
    rate_limit: Option<u16>,
    /// Your own notes.
    metadata: Metadata,
    /// When it was created.
    #[serde(serialize_with = "wire::time")]
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was last changed.
    #[serde(serialize_with = "wire::time")]
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl OperationalWebhookEndpointOut {
    fn of(endpoint: Endpoint) -> Self {
        let fields = endpoint.fields;
        Self {
            id: endpoint.id,
            uid: fields.uid,
            url: fields.url,
            description: fields.description,
            disabled: fields.disabled,
            disabled_reason: endpoint.disabling.map(|by| by.reason),
            event_types: fields.event_types,
            throttle_rate: fields.throttle_rate,
            rate_limit: fields.throttle_rate,
            metadata: fields.metadata,
            created_at: endpoint.created_at,
            updated_at: endpoint.updated_at,
        }
    }
}

/// Lists the environment's operational webhooks.
#[utoipa::path(get, path = "/api/v1/operational-webhook/endpoint", operation_id = "v1.operational-webhook.endpoint.list",
    tag = "Operational webhook", params(PageQuery, OrderQuery),
    responses((status = 200, body = ListResponse<OperationalWebhookEndpointOut>), Errors))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Asked((page, order)): Asked<(PageQuery, OrderQuery)>,
) -> Outcome {
    let page = page.page(order.order.unwrap_or(Order::Descending), id_of(Kind::Endpoint))?;
    let slice = app.operational_list(&caller, page).await?;
    Ok(ListResponse::of(slice.map(|e| (e.id.clone(), OperationalWebhookEndpointOut::of(e)))).answer())
}

/// Creates an operational webhook.
#[utoipa::path(post, path = "/api/v1/operational-webhook/endpoint",
    operation_id = "v1.operational-webhook.endpoint.create", tag = "Operational webhook", params(IdempotencyKey),
    request_body = EndpointIn, responses((status = 201, body = OperationalWebhookEndpointOut), Errors))]
async fn create(State(app): State<App>, received: Received) -> Outcome {
    let input = received.json::<EndpointIn>()?.read(&|ed25519| app.spare_key(ed25519))?;
    let principal = app.operational_ensured(&received.principal).await?;
    once(&app.clone(), &received, async move {
        let endpoint = app.endpoint_create(&principal, "", input).await?;
        Ok(Answer::made(true, &OperationalWebhookEndpointOut::of(endpoint)))
    })
    .await
}

/// Reads an operational webhook.
#[utoipa::path(get, path = "/api/v1/operational-webhook/endpoint/{endpoint_id}",
    operation_id = "v1.operational-webhook.endpoint.get", tag = "Operational webhook", params(OperationalPath),
    responses((status = 200, body = OperationalWebhookEndpointOut), Errors))]
async fn get(State(app): State<App>, caller: Caller, At(at): At<OperationalPath>) -> Outcome {
    let principal = app.operational(&caller)?;
    Ok(Answer::ok(&OperationalWebhookEndpointOut::of(app.endpoint_get(at.by(&principal)).await?)))
}

/// Replaces an operational webhook, or creates it under this uid.
#[utoipa::path(put, path = "/api/v1/operational-webhook/endpoint/{endpoint_id}",
    operation_id = "v1.operational-webhook.endpoint.upsert", tag = "Operational webhook", params(OperationalPath),
    request_body = EndpointIn,
    responses((status = 200, body = OperationalWebhookEndpointOut), (status = 201, body = OperationalWebhookEndpointOut), Errors))]
async fn upsert(State(app): State<App>, At(at): At<OperationalPath>, received: Received) -> Outcome {
    let input = received.json::<EndpointIn>()?.read(&|ed25519| app.spare_key(ed25519))?;
    let principal = app.operational_ensured(&received.principal).await?;
    let (endpoint, created) = app.endpoint_put(at.by(&principal), input).await?;
    Ok(Answer::made(created, &OperationalWebhookEndpointOut::of(endpoint)))
}

/// Deletes an operational webhook.
#[utoipa::path(delete, path = "/api/v1/operational-webhook/endpoint/{endpoint_id}",
    operation_id = "v1.operational-webhook.endpoint.delete", tag = "Operational webhook", params(OperationalPath),
    responses((status = 204), Errors))]
async fn delete(State(app): State<App>, caller: Caller, At(at): At<OperationalPath>) -> Outcome {
    let principal = app.operational(&caller)?;
    app.endpoint_delete(at.by(&principal)).await?;
    Ok(Answer::nothing())
}

/// Reads an operational webhook's secret.
#[utoipa::path(get, path = "/api/v1/operational-webhook/endpoint/{endpoint_id}/secret",
    operation_id = "v1.operational-webhook.endpoint.get-secret", tag = "Operational webhook", params(OperationalPath),
    responses((status = 200, body = EndpointSecretOut), Errors))]
async fn get_secret(State(app): State<App>, caller: Caller, At(at): At<OperationalPath>) -> Outcome {
    let principal = app.operational(&caller)?;
    Ok(Answer::ok(&EndpointSecretOut { key: app.secret_get(at.by(&principal)).await? }))
}

/// Rotates an operational webhook's secret.
#[utoipa::path(post, path = "/api/v1/operational-webhook/endpoint/{endpoint_id}/secret/rotate",
    operation_id = "v1.operational-webhook.endpoint.rotate-secret", tag = "Operational webhook",
    params(OperationalPath, IdempotencyKey), request_body = EndpointSecretRotateIn, responses((status = 204), Errors))]
async fn rotate_secret(State(app): State<App>, At(at): At<OperationalPath>, received: Received) -> Outcome {
    let (key, grace) = received.json::<EndpointSecretRotateIn>()?.read()?;
    let principal = app.operational(&received.principal)?;
    once(&app.clone(), &received, async move {
        app.secret_rotate(at.by(&principal), key.as_deref(), grace).await?;
        Ok(Answer::nothing())
    })
    .await
}

/// Reads an operational webhook's headers; credentials by name only.
#[utoipa::path(get, path = "/api/v1/operational-webhook/endpoint/{endpoint_id}/headers",
    operation_id = "v1.operational-webhook.endpoint.get-headers", tag = "Operational webhook", params(OperationalPath),
    responses((status = 200, body = EndpointHeadersOut), Errors))]
async fn get_headers(State(app): State<App>, caller: Caller, At(at): At<OperationalPath>) -> Outcome {
    let principal = app.operational(&caller)?;
    Ok(Answer::ok(&EndpointHeadersOut::of(app.headers_get(at.by(&principal)).await?)))
}

/// Replaces an operational webhook's headers.
#[utoipa::path(put, path = "/api/v1/operational-webhook/endpoint/{endpoint_id}/headers",
    operation_id = "v1.operational-webhook.endpoint.set-headers", tag = "Operational webhook", params(OperationalPath),
    request_body = EndpointHeadersIn, responses((status = 204), Errors))]
async fn set_headers(State(app): State<App>, At(at): At<OperationalPath>, received: Received) -> Outcome {
    let headers = received.json::<EndpointHeadersIn>()?.read()?;
    let principal = app.operational(&received.principal)?;
    app.headers_put(at.by(&principal), headers).await?;
    Ok(Answer::nothing())
}
