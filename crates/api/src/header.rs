//! Routes of an endpoint's headers.

use crate::Api;
use crate::answer::Answer;
use crate::caller::Caller;
use crate::error::{Errors, Outcome};
use crate::json::Field;
use crate::path::{At, EndpointPath};
use crate::received::Received;
use app::{App, Problems};
use axum::extract::State;
use domain::name::Metadata;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(get, put, patch))
}

/// All headers of an endpoint.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(crate) struct EndpointHeadersIn {
    /// Name to value.
    #[serde(default)]
    #[schema(value_type = Metadata, required)]
    headers: Field<Metadata>,
}

/// What changes of an endpoint's headers.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EndpointHeadersPatchIn {
    /// Name to value; null removes.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, Option<String>>, required)]
    headers: Field<BTreeMap<String, Option<String>>>,
    /// Names to remove.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    delete_headers: Field<Vec<String>>,
}

/// An endpoint's headers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EndpointHeadersOut {
    /// Those that may be shown.
    headers: Metadata,
    /// The names of those that hold credentials.
    sensitive: Vec<String>,
}

/// Reads an endpoint's headers; credentials by name only.
#[utoipa::path(get, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/headers",
    operation_id = "v1.endpoint.get-headers", tag = "Endpoint", params(EndpointPath),
    responses((status = 200, body = EndpointHeadersOut), Errors))]
async fn get(State(app): State<App>, caller: Caller, At(at): At<EndpointPath>) -> Outcome {
    let shown = app.headers_get(at.by(&caller)).await?;
    let headers = shown.headers.into_iter().collect();
    Ok(Answer::ok(&EndpointHeadersOut { headers, sensitive: shown.sensitive }))
}

/// Replaces an endpoint's headers.
#[utoipa::path(put, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/headers",
    operation_id = "v1.endpoint.set-headers", tag = "Endpoint", params(EndpointPath),
    request_body = EndpointHeadersIn, responses((status = 204), Errors))]
async fn put(State(app): State<App>, At(at): At<EndpointPath>, received: Received) -> Outcome {
    let mut problems = Problems::default();
    let headers = received.json::<EndpointHeadersIn>()?.headers.required("headers", &mut problems);
    problems.finish()?;
    app.headers_put(at.by(&received.principal), headers.into_iter().collect()).await?;
    Ok(Answer::nothing())
}

/// Sets and removes some of an endpoint's headers.
#[utoipa::path(patch, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/headers",
    operation_id = "v1.endpoint.patch-headers", tag = "Endpoint", params(EndpointPath),
    request_body = EndpointHeadersPatchIn, responses((status = 204), Errors))]
async fn patch(State(app): State<App>, At(at): At<EndpointPath>, received: Received) -> Outcome {
    let input: EndpointHeadersPatchIn = received.json()?;
    let mut problems = Problems::default();
    let changes = input.headers.required("headers", &mut problems);
    let deleted = input.delete_headers.optional("deleteHeaders", &mut problems).unwrap_or_default();
    problems.finish()?;
    app.headers_patch(at.by(&received.principal), changes.into_iter().collect(), deleted).await?;
    Ok(Answer::nothing())
}
