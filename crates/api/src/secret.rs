//! Routes of an endpoint's signing secret.

use crate::Api;
use crate::answer::Answer;
use crate::caller::Caller;
use crate::error::{Errors, Outcome};
use crate::json::Field;
use crate::once::once;
use crate::path::{At, EndpointPath, IdempotencyKey};
use crate::received::Received;
use app::{App, Problems};
use axum::extract::State;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(get)).routes(routes!(rotate))
}

/// What a receiver needs to verify signatures.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EndpointSecretOut {
    /// `whsec_…`, or the public `whpk_…` of an ed25519 key.
    pub(crate) key: String,
}

/// A rotation.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EndpointSecretRotateIn {
    /// The new secret, `whsec_…` or `whsk_…`; generated if absent.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    key: Field<String>,
    /// How long the old one goes on signing: a day unless told otherwise.
    #[serde(default)]
    #[schema(value_type = Option<u32>, minimum = 0, maximum = 604_800)]
    grace_period_seconds: Field<u64>,
}

impl EndpointSecretRotateIn {
    /// The new key, and for how many seconds the old one goes on signing.
    pub(crate) fn read(self) -> Outcome<(Option<String>, Option<u64>)> {
        let mut problems = Problems::default();
        let key = self.key.optional("key", &mut problems);
        let grace = self.grace_period_seconds.optional("gracePeriodSeconds", &mut problems);
        problems.finish()?;
        Ok((key, grace))
    }
}

/// Reads an endpoint's secret.
#[utoipa::path(get, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/secret",
    operation_id = "v1.endpoint.get-secret", tag = "Endpoint", params(EndpointPath),
    responses((status = 200, body = EndpointSecretOut), Errors))]
async fn get(State(app): State<App>, caller: Caller, At(at): At<EndpointPath>) -> Outcome {
    Ok(Answer::ok(&EndpointSecretOut { key: app.secret_get(at.by(&caller)).await? }))
}

/// Rotates an endpoint's secret, and answers the new one.
#[utoipa::path(post, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/secret/rotate",
    operation_id = "v1.endpoint.rotate-secret", tag = "Endpoint", params(EndpointPath, IdempotencyKey),
    request_body = EndpointSecretRotateIn, responses((status = 200, body = EndpointSecretOut), Errors))]
async fn rotate(State(app): State<App>, At(at): At<EndpointPath>, received: Received) -> Outcome {
    let (key, grace) = received.json::<EndpointSecretRotateIn>()?.read()?;
    let at = Arc::new(at);
    let (rotating, path, principal) = (app.clone(), Arc::clone(&at), Arc::clone(&received.principal));
    let rotated = once(&app, &received, async move {
        rotating.secret_rotate(path.by(&principal), key.as_deref(), grace).await?;
        Ok(Answer::nothing())
    })
    .await?;
    if !rotated.status.is_success() {
        return Ok(rotated);
    }
    // Published SDKs read the new key from here. It is read afresh, so that the answer kept for replays holds none.
    Ok(Answer::ok(&EndpointSecretOut { key: app.secret_get(at.by(&received.principal)).await? }))
}
