//! Routes of an endpoint's headers.

use crate::Api;
use crate::answer::Answer;
use crate::caller::Caller;
use crate::error::{Errors, Outcome};
use crate::json::Field;
use crate::path::{At, EndpointPath};
use crate::received::Received;
use app::header::ShownHeaders;
use app::{App, Problems};
use axum::extract::State;
use domain::header::Header;
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

impl EndpointHeadersIn {
    pub(crate) fn read(self) -> Outcome<Vec<Header>> {
        let mut problems = Problems::default();
        let headers = self.headers.required("headers", &mut problems);
        problems.finish()?;
        Ok(headers.into_iter().collect())
    }
}

impl EndpointHeadersOut {
    pub(crate) fn of(shown: ShownHeaders) -> Self {
        Self { headers: shown.headers.into_iter().collect(), sensitive: shown.sensitive }
    }
}

/// Reads an endpoint's headers; credentials by name only.
#[utoipa::path(get, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/headers",
    operation_id = "v1.endpoint.get-headers", tag = "Endpoint", params(EndpointPath),
    responses((status = 200, body = EndpointHeadersOut), Errors))]
async fn get(State(app): State<App>, caller: Caller, At(at): At<EndpointPath>) -> Outcome {
    Ok(Answer::ok(&EndpointHeadersOut::of(app.headers_get(at.by(&caller)).await?)))
}

/// Replaces an endpoint's headers.
#[utoipa::path(put, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/headers",
    operation_id = "v1.endpoint.set-headers", tag = "Endpoint", params(EndpointPath),
    request_body = EndpointHeadersIn, responses((status = 204), Errors))]
async fn put(State(app): State<App>, At(at): At<EndpointPath>, received: Received) -> Outcome {
    let headers = received.json::<EndpointHeadersIn>()?.read()?;
    app.headers_put(at.by(&received.principal), headers).await?;
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
