//! How an endpoint fares: healthy, failing, disabled or paused, its breaker, and what waits.

use crate::Api;
use crate::answer::Answer;
use crate::caller::Caller;
use crate::endpoint::AnswerOut;
use crate::error::{Errors, Outcome};
use crate::path::{At, EndpointPath};
use crate::wire;
use app::App;
use app::endpoint::EndpointHealth;
use axum::extract::State;
use domain::clock::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(health))
}

/// How an endpoint fares.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EndpointHealthOut {
    /// `healthy`, `failing` (nothing succeeded since a failure), `disabled` or `paused`.
    status: &'static str,
    /// Since when nothing succeeded.
    #[serde(serialize_with = "wire::optional_time")]
    #[schema(value_type = Option<String>, format = DateTime)]
    failing_since: Option<Timestamp>,
    /// Failures since then, or since it was enabled again.
    failures: u32,
    /// The last answer, while it fails; of a disabled one the last before.
    last_answer: Option<AnswerOut>,
    /// `closed`, or `open`: then nothing is sent but one request at a time, from `nextProbeAt` on.
    breaker: &'static str,
    /// When the next request goes while the breaker is open.
    #[serde(serialize_with = "wire::optional_time")]
    #[schema(value_type = Option<String>, format = DateTime)]
    next_probe_at: Option<Timestamp>,
    /// Why the server itself disabled it.
    disabled_reason: Option<String>,
    /// Deliveries that wait, of the last 28 days.
    waiting: u64,
}

impl EndpointHealthOut {
    fn of(health: EndpointHealth) -> Self {
        let EndpointHealth { endpoint, episode, probe_at, waiting } = health;
        let fields = &endpoint.fields;
        let status = match (fields.disabled, fields.paused, &episode) {
            (true, _, _) => "disabled",
            (false, true, _) => "paused",
            (false, false, Some(_)) => "failing",
            (false, false, None) => "healthy",
        };
        let before = endpoint.disabling.as_ref().and_then(|disabling| disabling.answer.as_ref());
        let last = episode.as_ref().map(|episode| &episode.failures.last).or(before);
        Self {
            status,
            failing_since: episode.as_ref().map(|episode| episode.since),
            failures: episode.as_ref().map_or(0, |episode| episode.failures.count),
            last_answer: last.map(AnswerOut::of),
            breaker: if probe_at.is_some() { "open" } else { "closed" },
            next_probe_at: probe_at,
            disabled_reason: endpoint.disabling.map(|disabling| disabling.reason),
            waiting,
        }
    }
}

/// Tells how an endpoint fares. With several servers the breaker is that of the one that answers.
#[utoipa::path(get, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/health",
    operation_id = "v1.endpoint.get-health", tag = "Endpoint", params(EndpointPath),
    responses((status = 200, body = EndpointHealthOut), Errors))]
async fn health(State(app): State<App>, caller: Caller, At(at): At<EndpointPath>) -> Outcome {
    Ok(Answer::ok(&EndpointHealthOut::of(app.endpoint_health(at.by(&caller)).await?)))
}
