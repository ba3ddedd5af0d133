//! Routes of health: no token needed.

use crate::Api;
use crate::answer::Answer;
use crate::error::Outcome;
use app::App;
use axum::extract::State;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(get)).routes(routes!(ping))
}

/// How this process is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HealthOut {
    /// `ok`, or `unavailable` when requests should go elsewhere.
    status: &'static str,
    /// `ok`, or `failing` when the store cannot write.
    store: &'static str,
    /// `ok`, or `lost` when this process may not send right now.
    lease: &'static str,
    /// Whether it is on its way down.
    stopping: bool,
}

/// Tells whether this process takes and sends messages.
#[utoipa::path(get, path = "/api/v1/health", operation_id = "v1.health.get", tag = "Health", security(()),
    responses((status = 200, body = HealthOut), (status = 503, body = HealthOut)))]
async fn get(State(app): State<App>) -> Outcome {
    let health = app.health();
    let word = |good: bool, bad: &'static str| if good { "ok" } else { bad };
    let ready = health.is_ready();
    let out = HealthOut {
        status: word(ready, "unavailable"),
        store: word(health.store.is_ok(), "failing"),
        lease: word(health.lease, "lost"),
        stopping: health.stopping,
    };
    Ok(Answer::json(if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, &out))
}

/// Tells that this process answers.
#[utoipa::path(get, path = "/api/v1/health/ping", operation_id = "v1.health.ping", tag = "Health", security(()),
    responses((status = 204)))]
async fn ping() -> Outcome {
    Ok(Answer::nothing())
}
