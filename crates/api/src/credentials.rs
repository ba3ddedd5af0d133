//! Routes of an endpoint's credentials: shown with their secret parts to those who may, signing keys rotated.

use crate::Api;
use crate::answer::Answer;
use crate::caller::Caller;
use crate::endpoint_auth::{auth_out, signatures_out};
use crate::error::{Errors, Outcome};
use crate::json::Field;
use crate::once::once;
use crate::path::{At, EndpointPath, IdempotencyKey};
use crate::received::Received;
use app::{App, Problems};
use axum::extract::State;
use domain::credentials::Credentials;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(get)).routes(routes!(rotate))
}

/// An endpoint's credentials with their secret parts.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EndpointCredentialsOut {
    /// Authentication.
    #[schema(value_type = Object)]
    auth: Value,
    /// Signatures with their current keys; the standard's is the endpoint's secret.
    #[schema(value_type = Vec<Object>)]
    signatures: Vec<Value>,
}

/// A rotation of a signature's key.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SignatureRotateIn {
    /// The header of the signature, or `standard-ed25519`.
    #[serde(default)]
    #[schema(value_type = String, required)]
    header: Field<String>,
    /// The new key; generated if absent.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    key: Field<String>,
    /// How long the old one goes on signing: a day unless told otherwise.
    #[serde(default)]
    #[schema(value_type = Option<u32>, minimum = 0, maximum = 604_800)]
    grace_period_seconds: Field<u64>,
}

fn out(credentials: &Credentials) -> EndpointCredentialsOut {
    EndpointCredentialsOut {
        auth: auth_out(credentials, true),
        signatures: signatures_out(&credentials.signatures, true),
    }
}

/// Reads an endpoint's credentials.
#[utoipa::path(get, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/credentials",
    operation_id = "v1.endpoint.get-credentials", tag = "Endpoint", params(EndpointPath),
    responses((status = 200, body = EndpointCredentialsOut), Errors))]
async fn get(State(app): State<App>, caller: Caller, At(at): At<EndpointPath>) -> Outcome {
    Ok(Answer::ok(&out(&app.credentials_get(at.by(&caller)).await?)))
}

/// Rotates the key of one of an endpoint's signatures, and answers all credentials.
#[utoipa::path(post, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/signature/rotate",
    operation_id = "v1.endpoint.rotate-signature", tag = "Endpoint", params(EndpointPath, IdempotencyKey),
    request_body = SignatureRotateIn, responses((status = 200, body = EndpointCredentialsOut), Errors))]
async fn rotate(State(app): State<App>, At(at): At<EndpointPath>, received: Received) -> Outcome {
    let input: SignatureRotateIn = received.json()?;
    let mut problems = Problems::default();
    let header = input.header.required("header", &mut problems);
    let key = input.key.optional("key", &mut problems);
    let grace = input.grace_period_seconds.optional("gracePeriodSeconds", &mut problems);
    problems.finish()?;
    let at = Arc::new(at);
    let (rotating, path, principal) = (app.clone(), Arc::clone(&at), Arc::clone(&received.principal));
    let rotated = once(&app, &received, async move {
        rotating.signature_rotate(path.by(&principal), &header, (key, grace)).await?;
        Ok(Answer::nothing())
    })
    .await?;
    if !rotated.status.is_success() {
        return Ok(rotated);
    }
    // Read afresh, so that the answer kept for replays holds no key.
    Ok(Answer::ok(&out(&app.credentials_get(at.by(&received.principal)).await?)))
}
