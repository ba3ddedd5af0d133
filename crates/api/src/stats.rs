//! Routes of statistics.

use crate::Api;
use crate::answer::Answer;
use crate::caller::Caller;
use crate::error::{Errors, Outcome};
use crate::path::{At, EndpointPath};
use crate::query::{Asked, FromQuery, Query};
use app::App;
use axum::extract::State;
use domain::clock::Timestamp;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(stats))
}

/// Deliveries of an endpoint by state.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EndpointStats {
    /// Delivered.
    success: u64,
    /// Waiting.
    pending: u64,
    /// On their way.
    sending: u64,
    /// Given up.
    fail: u64,
    /// Canceled.
    canceled: u64,
}

/// Which deliveries are counted.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct StatsQuery {
    /// From this moment; by default 28 days ago.
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// Up to this moment; by default now.
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
}

impl FromQuery for StatsQuery {
    fn read(query: &Query<'_>) -> Outcome<Self> {
        Ok(Self { since: query.time("since")?, until: query.time("until")? })
    }
}

/// Counts an endpoint's deliveries by state.
#[utoipa::path(get, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/stats",
    operation_id = "v1.endpoint.get-stats", tag = "Endpoint", params(EndpointPath, StatsQuery),
    responses((status = 200, body = EndpointStats), Errors))]
async fn stats(
    State(app): State<App>,
    caller: Caller,
    At(at): At<EndpointPath>,
    Asked(asked): Asked<StatsQuery>,
) -> Outcome {
    let counts = app.endpoint_stats(at.by(&caller), asked.since, asked.until).await?;
    Ok(Answer::ok(&EndpointStats {
        success: counts.succeeded,
        pending: counts.pending,
        sending: counts.sending,
        fail: counts.failed,
        canceled: counts.canceled,
    }))
}
