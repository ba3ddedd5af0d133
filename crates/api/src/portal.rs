//! Routes of portal links: the console for one application, for whoever has the link.

use crate::Api;
use crate::answer::Answer;
use crate::application::ApplicationIn;
use crate::error::{Errors, Outcome};
use crate::json::Field;
use crate::path::{AppPath, At, IdempotencyKey};
use crate::received::Received;
use app::portal::NewPortal;
use app::{App, AppError, Problems};
use axum::extract::State;
use domain::portal::Capability;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(create)).routes(routes!(expire_all))
}

/// A link to be made.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AppPortalAccessIn {
    /// The application, to be created if it is not there.
    #[serde(default)]
    application: Option<ApplicationIn>,
    /// Whether nothing may be done but to look.
    #[serde(default)]
    #[schema(value_type = Option<bool>, deprecated)]
    read_only: Field<bool>,
    /// What may be done; absent is everything: `ViewBase`, `ViewEndpointSecret`, `ManageEndpointSecret`,
    /// `ManageTransformations`, `CreateAttempts`, `ManageEndpoint`.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    capabilities: Field<Vec<Capability>>,
    /// Which flagged event types are seen.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    feature_flags: Field<Vec<String>>,
    /// How long it holds, in seconds: 3,600 to 604,800, which is also the default.
    #[serde(default)]
    #[schema(value_type = Option<u64>, minimum = 3600, maximum = 604_800)]
    expiry: Field<u64>,
    /// What the back end calls the session, to end it by.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    session_id: Field<String>,
}

/// A link.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AppPortalAccessOut {
    /// Opens the console for the application.
    url: String,
    /// What the link holds: it opens the API too.
    token: String,
}

/// Which links are ended.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApplicationTokenExpireIn {
    /// How long they go on, in seconds; absent is not at all.
    #[serde(default)]
    #[schema(value_type = Option<i64>, minimum = 0, maximum = 259_200)]
    expiry: Field<i64>,
    /// Those of these sessions alone; absent is all.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    session_ids: Field<Vec<String>>,
}

/// Makes a link that opens the console for one application.
#[utoipa::path(post, path = "/api/v1/auth/app-portal-access/{app_id}",
    operation_id = "v1.authentication.app-portal-access", tag = "Authentication", params(AppPath, IdempotencyKey),
    request_body = AppPortalAccessIn, responses((status = 200, body = AppPortalAccessOut), Errors))]
async fn create(State(app): State<App>, At(at): At<AppPath>, received: Received) -> Outcome {
    let given = received.json::<AppPortalAccessIn>()?;
    let problems = &mut Problems::default();
    let new = NewPortal {
        capabilities: given.capabilities.optional("capabilities", problems),
        read_only: given.read_only.optional("readOnly", problems).unwrap_or_default(),
        feature_flags: given.feature_flags.optional("featureFlags", problems).unwrap_or_default(),
        expiry: given.expiry.optional("expiry", problems),
        session_id: given.session_id.optional("sessionId", problems),
    };
    let inner = &mut Problems::default();
    let application = given.application.map(|application| application.read(inner));
    problems.add_below("application", std::mem::take(inner));
    std::mem::take(problems).finish()?;
    let principal = &*received.principal;
    if let (Some(mut fields), Err(AppError::NotFound)) =
        (application, app.application_get(principal, &at.app_id))
    {
        fields.uid.get_or_insert_with(|| at.app_id.clone());
        app.application_create(principal, fields, true).await?;
    }
    let token = app.portal_create(principal, &at.app_id, new).await?;
    let url = format!("{}/portal/{token}", app.public_url());
    Ok(Answer::ok(&AppPortalAccessOut { url, token }))
}

/// Ends an application's links.
#[utoipa::path(post, path = "/api/v1/auth/app/{app_id}/expire-all", operation_id = "v1.authentication.expire-all",
    tag = "Authentication", params(AppPath, IdempotencyKey), request_body = ApplicationTokenExpireIn,
    responses((status = 204), Errors))]
async fn expire_all(State(app): State<App>, At(at): At<AppPath>, received: Received) -> Outcome {
    let given = received.json::<ApplicationTokenExpireIn>()?;
    let problems = &mut Problems::default();
    let grace = given.expiry.optional("expiry", problems).unwrap_or_default();
    let sessions = given.session_ids.optional("sessionIds", problems);
    std::mem::take(problems).finish()?;
    app.portals_end(&received.principal, &at.app_id, (grace, sessions)).await?;
    Ok(Answer::nothing())
}
