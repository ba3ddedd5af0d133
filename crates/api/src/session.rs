//! Routes of sessions.

use crate::Api;
use crate::answer::Answer;
use crate::error::{Errors, Outcome};
use crate::path::IdempotencyKey;
use crate::received::Received;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(logout))
}

/// Ends a session. Tokens and API keys have none: there is nothing to do.
#[utoipa::path(post, path = "/api/v1/auth/logout", operation_id = "v1.authentication.logout",
    tag = "Authentication", params(IdempotencyKey), responses((status = 204), Errors))]
async fn logout(_: Received) -> Outcome {
    Ok(Answer::nothing())
}
