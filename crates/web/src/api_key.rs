//! API keys: of an environment, or of one application. The text of a key is shown once.

use crate::Console;
use crate::form::Form;
use crate::member::ROLES;
use crate::mistakes::Mistakes;
use crate::page::{Page, answer, see};
use crate::refusal::Answer;
use crate::shell::{Section, Shell, Tab, tabs_of_application, tabs_of_environment};
use crate::submitted::Submitted;
use crate::visitor::Signed;
use crate::when::When;
use app::api_key::NewApiKey;
use app::sign_in::Visitor;
use app::{AppError, Principal, Right};
use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::routing::{get, post};
use domain::id::ApplicationKey;
use domain::role::Role;
use http::StatusCode;
use std::collections::HashMap;

pub(crate) fn of_application() -> Router<Console> {
    Router::new()
        .route("/settings/keys", get(list_app).post(add_app))
        .route("/settings/keys/{key_id}/revoke", post(revoke_app))
}

pub(crate) fn of_environment() -> Router<Console> {
    Router::new()
        .route("/{env_id}/keys", get(list_env).post(add_env))
        .route("/{env_id}/keys/{key_id}/revoke", post(revoke_env))
}

struct Row {
    id: String,
    name: String,
    prefix: String,
    role: &'static str,
    opens: String,
    made: When,
    used: Option<When>,
    revoked: Option<When>,
}

#[derive(Template)]
#[template(path = "setting/keys.html")]
struct Keys {
    shell: Shell,
    tabs: Vec<Tab>,
    base: String,
    rows: Vec<Row>,
    roles: [(&'static str, &'static str); 4],
    /// A key that was just made.
    made: Option<String>,
    name: String,
    role: String,
    is_environment: bool,
    mistakes: Mistakes,
}

impl Page for Keys {}

/// Where keys are looked at.
struct Place {
    principal: Principal,
    shell: Shell,
    tabs: Vec<Tab>,
    base: String,
    of: Option<(ApplicationKey, String)>,
}

fn in_application(console: &Console, visitor: &Visitor, id: &str) -> Result<Place, AppError> {
    let opened = console.app.open(visitor, id)?;
    opened.principal.may_in_environment(Right::Administer)?;
    Ok(Place {
        shell: Shell::of_application(&console.brand, (visitor, &opened), Section::Settings, "API keys"),
        tabs: tabs_of_application(&opened, "settings/keys"),
        base: format!("/app/{id}/settings/keys"),
        of: Some((opened.application.key, id.to_owned())),
        principal: opened.principal,
    })
}

fn in_environment(console: &Console, visitor: &Visitor, id: &str) -> Result<Place, AppError> {
    let principal = console.app.open_environment(visitor, Some(id))?;
    principal.may_in_environment(Right::Administer)?;
    Ok(Place {
        shell: Shell::of_environment(&console.brand, (visitor, &principal), Section::Settings, "API keys"),
        tabs: tabs_of_environment(&principal, "keys"),
        base: format!("/environment/{id}/keys"),
        of: None,
        principal,
    })
}

async fn page(console: &Console, place: Place, told: Option<&str>) -> Result<Keys, AppError> {
    let now = console.app.now();
    let keys = console.app.api_key_list(&place.principal).await?;
    let of = place.of.as_ref().map(|(key, _)| *key);
    let shown = keys.into_iter().filter(|key| of.is_none() || key.application == of);
    let rows = shown.map(|key| Row {
        opens: match key.application {
            None => "the environment".to_owned(),
            Some(application) => console.app.application_name(application),
        },
        role: key.role.word(),
        made: When::of(key.created_at, now),
        used: key.used_at.map(|at| When::of(at, now)),
        revoked: key.revoked_at.map(|at| When::of(at, now)),
        id: key.id,
        name: key.name,
        prefix: key.prefix,
    });
    Ok(Keys {
        rows: rows.collect(),
        shell: place.shell.telling(told),
        tabs: place.tabs,
        base: place.base,
        roles: ROLES,
        made: None,
        name: String::new(),
        role: Role::Administrator.word().to_owned(),
        is_environment: place.of.is_none(),
        mistakes: Mistakes::default(),
    })
}

async fn add(console: &Console, place: Place, form: &Form) -> Answer {
    let (name, role) = (form.trimmed("name"), form.get("role").to_owned());
    let mut mistakes = Mistakes::default();
    if name.is_empty() {
        mistakes.add("name", "is needed, so that you know later what the key is for");
    }
    let mut made = None;
    if mistakes.is_empty() {
        let new = NewApiKey {
            application: place.of.as_ref().map(|(_, id)| id.clone()),
            role: Role::from_word(&role).unwrap_or(Role::Viewer),
            name: name.clone(),
        };
        match console.app.api_key_create(&place.principal, new).await {
            Ok((_, text)) => made = Some(text),
            Err(AppError::Invalid(problems)) => mistakes = Mistakes::of(problems),
            Err(error) => return Err(error.into()),
        }
    }
    let page = page(console, place, None).await?;
    if made.is_some() {
        return Ok(Keys { made, ..page }.ok());
    }
    Ok(answer(StatusCode::UNPROCESSABLE_ENTITY, &Keys { name, role, mistakes, ..page }))
}

async fn revoke(console: &Console, place: Place, key: &str) -> Answer {
    console.app.api_key_revoke(&place.principal, key).await?;
    Ok(see(&format!("{}?told=revoked", place.base)))
}

type Words = Query<HashMap<String, String>>;

async fn list_app(
    State(console): State<Console>,
    Signed(visitor): Signed,
    Path(id): Path<String>,
    Query(query): Words,
) -> Answer {
    let place = in_application(&console, &visitor, &id)?;
    Ok(page(&console, place, query.get("told").map(String::as_str)).await?.ok())
}

async fn add_app(
    State(console): State<Console>,
    Path(id): Path<String>,
    Submitted { visitor, form }: Submitted,
) -> Answer {
    add(&console, in_application(&console, &visitor, &id)?, &form).await
}

async fn revoke_app(
    State(console): State<Console>,
    Path((id, key)): Path<(String, String)>,
    Submitted { visitor, .. }: Submitted,
) -> Answer {
    revoke(&console, in_application(&console, &visitor, &id)?, &key).await
}

async fn list_env(
    State(console): State<Console>,
    Signed(visitor): Signed,
    Path(id): Path<String>,
    Query(query): Words,
) -> Answer {
    let place = in_environment(&console, &visitor, &id)?;
    Ok(page(&console, place, query.get("told").map(String::as_str)).await?.ok())
}

async fn add_env(
    State(console): State<Console>,
    Path(id): Path<String>,
    Submitted { visitor, form }: Submitted,
) -> Answer {
    add(&console, in_environment(&console, &visitor, &id)?, &form).await
}

async fn revoke_env(
    State(console): State<Console>,
    Path((id, key)): Path<(String, String)>,
    Submitted { visitor, .. }: Submitted,
) -> Answer {
    revoke(&console, in_environment(&console, &visitor, &id)?, &key).await
}
