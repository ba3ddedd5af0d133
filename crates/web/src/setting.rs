//! The settings of an application: what it is called, and what is kept of it. Its other settings have files of their own.

use crate::Console;
use crate::mistakes::Mistakes;
use crate::page::{Page, answer, see};
use crate::refusal::Answer;
use crate::shell::{Section, Shell, Tab, tabs_of_application};
use crate::submitted::Submitted;
use crate::visitor::Signed;
use app::application::ApplicationPatch;
use app::change::Change;
use app::sign_in::{Opened, Visitor};
use app::{AppError, Right};
use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::routing::get;
use domain::name::Metadata;
use http::StatusCode;
use std::collections::HashMap;

pub(crate) fn router() -> Router<Console> {
    Router::new().route("/settings", get(show).post(save)).route("/delete", get(ask_delete).post(delete))
}

#[derive(Template)]
#[template(path = "setting/application.html")]
struct Settings {
    shell: Shell,
    tabs: Vec<Tab>,
    base: String,
    id: String,
    name: String,
    uid: String,
    throttle_rate: String,
    metadata: String,
    /// Whether they are the visitor's to change: the operator's people, not the customer's.
    may_change: bool,
    retention_days: u32,
    mistakes: Mistakes,
}

#[derive(Template)]
#[template(path = "setting/delete.html")]
struct Delete {
    shell: Shell,
    base: String,
    webhooks: usize,
    /// What has to be typed, so that it is not done by mistake.
    name: String,
    mistakes: Mistakes,
}

impl Page for Settings {}
impl Page for Delete {}

fn page(console: &Console, visitor: &Visitor, opened: &Opened) -> Settings {
    let application = &opened.application;
    let fields = &application.fields;
    let metadata: Vec<_> = fields.metadata.iter().map(|(name, value)| format!("{name}={value}")).collect();
    Settings {
        shell: Shell::of_application(&console.brand, (visitor, opened), Section::Settings, "Settings"),
        tabs: tabs_of_application(opened, "settings"),
        base: format!("/app/{}", application.id),
        id: application.id.clone(),
        name: fields.name.clone(),
        uid: fields.uid.clone().unwrap_or_default(),
        throttle_rate: fields.throttle_rate.map(|rate| rate.to_string()).unwrap_or_default(),
        metadata: metadata.join("\n"),
        may_change: opened.principal.may_in_environment(Right::Administer).is_ok(),
        retention_days: console.app.retention_days(),
        mistakes: Mistakes::default(),
    }
}

async fn show(
    State(console): State<Console>,
    Signed(visitor): Signed,
    Path(id): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Answer {
    let opened = console.app.open(&visitor, &id)?;
    let page = page(&console, &visitor, &opened);
    let shell = page.shell.clone().telling(query.get("told").map(String::as_str));
    Ok(Settings { shell, ..page }.ok())
}

async fn save(
    State(console): State<Console>,
    Path(id): Path<String>,
    Submitted { visitor, form }: Submitted,
) -> Answer {
    let opened = console.app.open(&visitor, &id)?;
    let mut mistakes = Mistakes::default();
    let (name, uid, rate) = (form.trimmed("name"), form.trimmed("uid"), form.trimmed("throttleRate"));
    if name.is_empty() {
        mistakes.add("name", "is needed: what is this customer called?");
    }
    let throttle_rate = match rate.parse() {
        _ if rate.is_empty() => Change::Clear,
        Ok(number) => Change::Set(number),
        Err(_) => {
            mistakes.add("throttleRate", format!("`{rate}` is no whole number up to 65535"));
            Change::Keep
        }
    };
    let metadata = pairs(form.get("metadata"), &mut mistakes);
    if mistakes.is_empty() {
        let patch = ApplicationPatch {
            uid: if uid.is_empty() { Change::Clear } else { Change::Set(uid.clone()) },
            name: Some(name.clone()),
            throttle_rate,
            metadata: Change::Set(metadata),
        };
        match console.app.application_patch(&opened.principal, &id, patch).await {
            Ok(_) => return Ok(see(&format!("/app/{id}/settings?told=saved"))),
            Err(AppError::Invalid(problems)) => mistakes = Mistakes::of(problems),
            Err(AppError::Conflict { detail, .. }) => mistakes.add("uid", detail),
            Err(error) => return Err(error.into()),
        }
    }
    let page = page(&console, &visitor, &opened);
    let metadata = form.get("metadata").to_owned();
    let page = Settings { name, uid, throttle_rate: rate, metadata, mistakes, ..page };
    Ok(answer(StatusCode::UNPROCESSABLE_ENTITY, &page))
}

/// `name=value`, one on each line.
fn pairs(text: &str, mistakes: &mut Mistakes) -> Metadata {
    let mut pairs = Metadata::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match line.split_once('=') {
            Some((name, value)) => _ = pairs.insert(name.trim().to_owned(), value.trim().to_owned()),
            None => mistakes.add("metadata", format!("`{line}` has no `=`: write a name, `=`, and a value")),
        }
    }
    pairs
}

fn question(console: &Console, (visitor, opened): (&Visitor, &Opened), mistakes: Mistakes) -> Delete {
    Delete {
        shell: Shell::of_application(
            &console.brand,
            (visitor, opened),
            Section::Settings,
            "Delete this application?",
        ),
        base: format!("/app/{}", opened.application.id),
        webhooks: console.app.endpoint_numbers(opened.application.key).0,
        name: opened.application.called().to_owned(),
        mistakes,
    }
}

async fn ask_delete(
    State(console): State<Console>,
    Signed(visitor): Signed,
    Path(id): Path<String>,
) -> Answer {
    let opened = console.app.open(&visitor, &id)?;
    opened.principal.may_in_environment(Right::Administer)?;
    Ok(question(&console, (&visitor, &opened), Mistakes::default()).ok())
}

async fn delete(
    State(console): State<Console>,
    Path(id): Path<String>,
    Submitted { visitor, form }: Submitted,
) -> Answer {
    let opened = console.app.open(&visitor, &id)?;
    opened.principal.may_in_environment(Right::Administer)?;
    let mut asked = question(&console, (&visitor, &opened), Mistakes::default());
    if form.trimmed("confirm") != asked.name.trim() {
        asked.mistakes.add("confirm", "is not its name");
        return Ok(answer(StatusCode::UNPROCESSABLE_ENTITY, &asked));
    }
    console.app.application_delete(&opened.principal, &id).await?;
    Ok(see(&format!("/environment/{}/application?told=application-deleted", opened.principal.environment.id)))
}
