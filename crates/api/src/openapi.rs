//! All routes, and the document that describes them.

use crate::answer::Answer;
use crate::guard::guard;
use crate::{
    Api, api_key, application, attempt, credentials, destination, diagnose, endpoint, endpoint_health,
    environment, event_type, header, health, message, notice, notify, operational, portal, resend, secret,
    session, stats, task, trial,
};
use axum::Router;
use axum::middleware::from_fn;
use axum::routing::get;
use bytes::Bytes;
use http::StatusCode;
use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;

/// What the document says beside the routes.
#[derive(OpenApi)]
#[openapi(
    info(title = "Posthaste", description = "Sends webhooks: signed, retried, recorded, replayable."),
    security(("bearer" = [])),
    modifiers(&Bearer)
)]
struct Frame;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut Document) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        document.components.get_or_insert_default().add_security_scheme("bearer", scheme);
    }
}

/// All routes with their descriptions.
pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(Frame::openapi())
        .merge(application::router())
        .merge(endpoint::router())
        .merge(secret::router())
        .merge(credentials::router())
        .merge(environment::router())
        .merge(trial::router())
        .merge(diagnose::router())
        .merge(header::router())
        .merge(event_type::router())
        .merge(message::router())
        .merge(attempt::router())
        .merge(destination::router())
        .merge(resend::router())
        .merge(api_key::router())
        .merge(session::router())
        .merge(portal::router())
        .merge(stats::router())
        .merge(health::router())
        .merge(task::router())
        .merge(endpoint_health::router())
        .merge(notify::router())
        .merge(notice::router())
        .merge(operational::router())
        .layer(from_fn(guard))
        .merge(message::hot_router())
}

/// The route of the document itself, written once.
pub(crate) fn route(document: &Document) -> Router<Api> {
    let json: Bytes = Answer::json(StatusCode::OK, document).body;
    Router::new().route(
        "/api/v1/openapi.json",
        get(async move || Answer { status: StatusCode::OK, body: json.clone() }),
    )
}
