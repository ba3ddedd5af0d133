//! The route that looks an endpoint over.

use crate::Api;
use crate::answer::Answer;
use crate::caller::Caller;
use crate::error::{Errors, Outcome};
use crate::path::{At, EndpointPath};
use app::App;
use app::diagnose::{Finding, Grade};
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(diagnose))
}

/// One thing that was looked at.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FindingOut {
    /// `switch`; a step of a request, as far as it came: `dns`, `policy`, `tcp`, `tls`, `certificate`, `request`; `signature`,
    /// `breaker`, `backlog` or `errors`.
    about: &'static str,
    /// `good`, `warning` or `problem`.
    grade: &'static str,
    /// What was found.
    text: String,
    /// What to do about it.
    advice: Option<String>,
}

/// What was found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DiagnosisOut {
    /// Whether nothing keeps events from arriving.
    ok: bool,
    /// Everything that was looked at.
    findings: Vec<FindingOut>,
}

impl FindingOut {
    fn of(finding: Finding) -> Self {
        let grade = match finding.grade {
            Grade::Good => "good",
            Grade::Warning => "warning",
            Grade::Problem => "problem",
        };
        Self { about: finding.about, grade, text: finding.text, advice: finding.advice }
    }
}

/// Looks an endpoint over: sends it `posthaste.ping`, reads what happened lately, and says what to do.
#[utoipa::path(post, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/diagnose",
    operation_id = "v1.endpoint.diagnose", tag = "Endpoint", params(EndpointPath),
    responses((status = 200, body = DiagnosisOut), Errors))]
async fn diagnose(State(app): State<App>, caller: Caller, At(at): At<EndpointPath>) -> Outcome {
    let findings = app.endpoint_diagnose(at.by(&caller)).await?;
    let ok = findings.iter().all(|finding| finding.grade != Grade::Problem);
    Ok(Answer::ok(&DiagnosisOut { ok, findings: findings.into_iter().map(FindingOut::of).collect() }))
}
