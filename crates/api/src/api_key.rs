//! Routes of API keys: our own, for the command line and the console.

use crate::answer::Answer;
use crate::caller::Caller;
use crate::error::{Errors, Outcome};
use crate::json::Field;
use crate::path::At;
use crate::received::Received;
use crate::{Api, wire};
use app::api_key::NewApiKey;
use app::{App, Problems};
use axum::extract::State;
use domain::api_key::ApiKey;
use domain::clock::Timestamp;
use domain::role::Role;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(revoke))
}

/// A key to be made.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApiKeyIn {
    /// A name for people.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    name: Field<String>,
    /// `administrator` (unless told otherwise), `manager`, `member` or `viewer`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    role: Field<String>,
    /// The one application that it opens (id or uid); null is the whole environment.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    application: Field<String>,
}

/// A key.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApiKeyOut {
    /// Its id.
    id: String,
    /// A name for people.
    name: String,
    /// What it may do.
    #[schema(value_type = String)]
    role: Role,
    /// Whether it opens one application only.
    for_one_application: bool,
    /// The first characters of its text.
    prefix: String,
    /// When it was made.
    #[serde(serialize_with = "wire::time")]
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was last used, to the minute.
    #[serde(serialize_with = "wire::optional_time")]
    #[schema(value_type = Option<String>, format = DateTime)]
    used_at: Option<Timestamp>,
    /// When it was revoked.
    #[serde(serialize_with = "wire::optional_time")]
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked_at: Option<Timestamp>,
}

/// A key that was just made.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApiKeyMadeOut {
    /// The text, shown this once.
    token: String,
    /// The key.
    key: ApiKeyOut,
}

/// All keys of the environment.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ApiKeysOut {
    /// Newest first, revoked ones included.
    data: Vec<ApiKeyOut>,
}

/// A key.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct ApiKeyPath {
    /// The key's id.
    key_id: String,
}

impl ApiKeyOut {
    fn of(key: ApiKey) -> Self {
        let ApiKey { id, name, role, application, prefix, created_at, used_at, revoked_at, .. } = key;
        Self {
            id,
            name,
            role,
            for_one_application: application.is_some(),
            prefix,
            created_at,
            used_at,
            revoked_at,
        }
    }
}

impl ApiKeyIn {
    fn read(self) -> Outcome<NewApiKey> {
        let mut problems = Problems::default();
        let word = self.role.optional("role", &mut problems);
        let role = word.as_deref().map_or(Some(Role::Administrator), Role::from_word);
        if role.is_none() {
            let word = word.unwrap_or_default();
            problems.add("role", format!("`{word}` is no role: viewer, member, manager or administrator"));
        }
        let new = NewApiKey {
            application: self.application.optional("application", &mut problems),
            role: role.unwrap_or(Role::Viewer),
            name: self.name.optional("name", &mut problems).unwrap_or_default(),
        };
        problems.finish()?;
        Ok(new)
    }
}

/// Lists the environment's API keys.
#[utoipa::path(get, path = "/api/v1/api-key", operation_id = "v1.api-key.list", tag = "API Key",
    responses((status = 200, body = ApiKeysOut), Errors))]
async fn list(State(app): State<App>, caller: Caller) -> Outcome {
    let data = app.api_key_list(&caller).await?.into_iter().map(ApiKeyOut::of).collect();
    Ok(Answer::ok(&ApiKeysOut { data }))
}

/// Makes an API key. Its text is not kept, not even for an idempotency key: the same POST again makes another key.
#[utoipa::path(post, path = "/api/v1/api-key", operation_id = "v1.api-key.create", tag = "API Key",
    request_body = ApiKeyIn, responses((status = 201, body = ApiKeyMadeOut), Errors))]
async fn create(State(app): State<App>, received: Received) -> Outcome {
    let new = received.json::<ApiKeyIn>()?.read()?;
    let (key, token) = app.api_key_create(&received.principal, new).await?;
    Ok(Answer::json(StatusCode::CREATED, &ApiKeyMadeOut { token, key: ApiKeyOut::of(key) }))
}

/// Revokes an API key.
#[utoipa::path(delete, path = "/api/v1/api-key/{key_id}", operation_id = "v1.api-key.revoke", tag = "API Key",
    params(ApiKeyPath), responses((status = 204), Errors))]
async fn revoke(State(app): State<App>, caller: Caller, At(at): At<ApiKeyPath>) -> Outcome {
    app.api_key_revoke(&caller, &at.key_id).await?;
    Ok(Answer::nothing())
}
