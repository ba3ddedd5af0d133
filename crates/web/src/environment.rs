//! The settings of an environment: what holds for all its applications.

use crate::Console;
use crate::form::Form;
use crate::mistakes::Mistakes;
use crate::page::{Page, answer, see};
use crate::refusal::Answer;
use crate::shell::{Section, Shell, Tab, tabs_of_environment};
use crate::submitted::Submitted;
use crate::visitor::Signed;
use app::change::Change;
use app::environment::EnvironmentPatch;
use app::sign_in::Visitor;
use app::{AppError, Principal};
use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::routing::get;
use domain::environment::{SchemaValidation, SignatureHeaders};
use domain::word::Worded;
use http::StatusCode;
use std::collections::HashMap;

pub(crate) fn router() -> Router<Console> {
    Router::new().route("/{env_id}/settings", get(show).post(save))
}

const HEADERS: &[(&str, &str)] = &[
    ("webhook", "webhook-id, webhook-timestamp, webhook-signature (the standard)"),
    ("svix", "svix-id, svix-timestamp, svix-signature"),
    ("both", "both: while receivers move from one to the other"),
];
const VALIDATION: &[(&str, &str)] = &[
    ("off", "Nobody looks"),
    ("warn", "They are accepted, and the answer and the log say so"),
    ("enforce", "They are refused"),
];

#[derive(Template)]
#[template(path = "setting/environment.html")]
struct Settings {
    shell: Shell,
    tabs: Vec<Tab>,
    action: String,
    id: String,
    may_change: bool,
    headers: String,
    validation: String,
    max_attempts: String,
    retry_schedule: String,
    retention_days: u32,
    mistakes: Mistakes,
}

impl Page for Settings {}

impl Settings {
    const fn all_headers(&self) -> &'static [(&'static str, &'static str)] {
        HEADERS
    }
    const fn all_validation(&self) -> &'static [(&'static str, &'static str)] {
        VALIDATION
    }
}

async fn page(console: &Console, (visitor, principal): (&Visitor, &Principal)) -> Result<Settings, AppError> {
    let environment = console.app.environment_get(principal).await?;
    let retries = &environment.settings.retries;
    let seconds: Vec<_> = retries.retry_schedule.iter().flatten().map(u32::to_string).collect();
    Ok(Settings {
        shell: Shell::of_environment(&console.brand, (visitor, principal), Section::Settings, "Environment"),
        tabs: tabs_of_environment(principal, "settings"),
        action: format!("/environment/{}/settings", environment.id),
        may_change: principal.role == domain::role::Role::Administrator,
        headers: environment.signature_headers.word().to_owned(),
        validation: environment.settings.schema_validation.word().to_owned(),
        max_attempts: retries.max_attempts.map(|most| most.to_string()).unwrap_or_default(),
        retry_schedule: seconds.join(", "),
        retention_days: console.app.retention_days(),
        id: environment.id,
        mistakes: Mistakes::default(),
    })
}

async fn show(
    State(console): State<Console>,
    Signed(visitor): Signed,
    Path(id): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Answer {
    let principal = console.app.open_environment(&visitor, Some(&id))?;
    let page = page(&console, (&visitor, &principal)).await?;
    let shell = page.shell.clone().telling(query.get("told").map(String::as_str));
    Ok(Settings { shell, ..page }.ok())
}

fn patch(form: &Form, mistakes: &mut Mistakes) -> EnvironmentPatch {
    let (most, schedule) = (form.trimmed("maxAttempts"), form.trimmed("retrySchedule"));
    let max_attempts = match most.parse() {
        _ if most.is_empty() => Change::Clear,
        Ok(number) => Change::Set(number),
        Err(_) => {
            mistakes.add("maxAttempts", format!("`{most}` is no whole number up to 25"));
            Change::Keep
        }
    };
    let seconds = schedule.split([',', ' ', '\n']).filter(|part| !part.is_empty()).map(str::parse);
    let retry_schedule = match seconds.collect::<Result<Vec<u32>, _>>() {
        Ok(seconds) if seconds.is_empty() => Change::Clear,
        Ok(seconds) => Change::Set(seconds),
        Err(_) => {
            mistakes.add("retrySchedule", format!("`{schedule}` is no list of seconds like `5, 60, 3600`"));
            Change::Keep
        }
    };
    EnvironmentPatch {
        signature_headers: SignatureHeaders::from_word(form.get("signatureHeaders")),
        schema_validation: SchemaValidation::from_word(form.get("schemaValidation"))
            .map_or(Change::Keep, Change::Set),
        max_attempts,
        retry_schedule,
    }
}

async fn save(
    State(console): State<Console>,
    Path(id): Path<String>,
    Submitted { visitor, form }: Submitted,
) -> Answer {
    let principal = console.app.open_environment(&visitor, Some(&id))?;
    let mut mistakes = Mistakes::default();
    let patch = patch(&form, &mut mistakes);
    if mistakes.is_empty() {
        match console.app.environment_patch(&principal, patch).await {
            Ok(_) => return Ok(see(&format!("/environment/{id}/settings?told=saved"))),
            Err(AppError::Invalid(problems)) => mistakes = Mistakes::of(problems),
            Err(error) => return Err(error.into()),
        }
    }
    let page = Settings {
        headers: form.get("signatureHeaders").to_owned(),
        validation: form.get("schemaValidation").to_owned(),
        max_attempts: form.get("maxAttempts").to_owned(),
        retry_schedule: form.get("retrySchedule").to_owned(),
        mistakes,
        ..page(&console, (&visitor, &principal)).await?
    };
    Ok(answer(StatusCode::UNPROCESSABLE_ENTITY, &page))
}
