//! Routes of the environment's settings.

use crate::Api;
use crate::answer::Answer;
use crate::caller::Caller;
use crate::endpoint_options::{byte, seconds, words};
use crate::error::{Errors, Outcome};
use crate::json::{At, Field, Wire};
use crate::received::Received;
use app::environment::EnvironmentPatch as Patch;
use app::{App, Problems};
use axum::extract::State;
use domain::environment::{Environment, SchemaValidation, SignatureHeaders};
use domain::word::Worded;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(get, patch))
}

words!(SchemaValidation);

impl Wire for SignatureHeaders {
    const NAME: &'static str = "a word";

    fn read(value: Value, at: &At, problems: &mut Problems) -> Option<Self> {
        let text = String::read(value, at, problems)?;
        let found = Self::from_word(&text);
        if found.is_none() {
            problems
                .add_at(at.clone(), format!("`{text}` is not known: `webhook`, `svix`, `both` are allowed"));
        }
        found
    }
}

/// What a level says about retries: absent keeps, null says nothing.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RetriesIn {
    /// Tries after the first one.
    #[serde(default)]
    #[schema(value_type = Option<u8>, maximum = 25)]
    pub(crate) max_attempts: Field<u16>,
    /// Seconds between tries.
    #[serde(default)]
    #[schema(value_type = Option<Vec<u32>>, max_items = 25)]
    pub(crate) retry_schedule: Field<Vec<u64>>,
}

/// What changes of an environment's settings: absent keeps, null is the default again.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EnvironmentPatch {
    /// `webhook`, `svix` or `both`: the names of the standard's headers.
    #[serde(default)]
    #[schema(value_type = String)]
    signature_headers: Field<SignatureHeaders>,
    /// `off`, `warn` or `enforce`: payloads against the schema of their event type.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    schema_validation: Field<SchemaValidation>,
    #[serde(flatten)]
    retries: RetriesIn,
}

/// An environment's settings.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EnvironmentOut {
    /// Its id.
    id: String,
    /// The names of the standard's headers.
    signature_headers: &'static str,
    /// What becomes of payloads that do not fit.
    schema_validation: &'static str,
    /// Tries after the first one; null is as the setting says.
    max_attempts: Option<u8>,
    /// Seconds between tries; null is as the setting says.
    retry_schedule: Option<Vec<u32>>,
}

impl EnvironmentOut {
    fn of(environment: Environment) -> Self {
        let settings = environment.settings;
        Self {
            id: environment.id,
            signature_headers: environment.signature_headers.word(),
            schema_validation: settings.schema_validation.word(),
            max_attempts: settings.retries.max_attempts,
            retry_schedule: settings.retries.retry_schedule,
        }
    }
}

/// Reads the environment's settings.
#[utoipa::path(get, path = "/api/v1/environment", operation_id = "v1.environment.get", tag = "Environment",
    responses((status = 200, body = EnvironmentOut), Errors))]
async fn get(State(app): State<App>, caller: Caller) -> Outcome {
    Ok(Answer::ok(&EnvironmentOut::of(app.environment_get(&caller).await?)))
}

/// Changes some of the environment's settings.
#[utoipa::path(patch, path = "/api/v1/environment", operation_id = "v1.environment.patch", tag = "Environment",
    request_body = EnvironmentPatch, responses((status = 200, body = EnvironmentOut), Errors))]
async fn patch(State(app): State<App>, received: Received) -> Outcome {
    let given: EnvironmentPatch = received.json()?;
    let mut problems = Problems::default();
    let patch = Patch {
        signature_headers: given.signature_headers.present("signatureHeaders", &mut problems),
        schema_validation: given.schema_validation.change("schemaValidation", &mut problems),
        max_attempts: given.retries.max_attempts.change("maxAttempts", &mut problems).map(byte),
        retry_schedule: given.retries.retry_schedule.change("retrySchedule", &mut problems).map(seconds),
    };
    problems.finish()?;
    Ok(Answer::ok(&EnvironmentOut::of(app.environment_patch(&received.principal, patch).await?)))
}
