//! An event type made, changed or archived, by those who manage the catalogue.

use crate::Console;
use crate::form::Form;
use crate::mistakes::Mistakes;
use crate::page::{Page, answer, see};
use crate::refusal::Answer;
use crate::shell::{Section, Shell};
use crate::submitted::Submitted;
use crate::visitor::Signed;
use app::change::Change;
use app::event_type::EventTypePatch;
use app::schema::newest;
use app::sign_in::Visitor;
use app::{AppError, Principal, Right};
use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use domain::event_type::{EventType, EventTypeFields};
use http::StatusCode;
use serde_json::{Map, Value};

pub(crate) fn router() -> Router<Console> {
    Router::new()
        .route("/{env_id}/event-type/new", get(new).post(create))
        .route("/{env_id}/event-type/{name}/edit", get(edit).post(save))
        .route("/{env_id}/event-type/{name}/archive", post(archive))
}

#[derive(Template)]
#[template(path = "event_type/form.html")]
struct FormPage {
    shell: Shell,
    back: String,
    action: String,
    is_new: bool,
    fields: Fields,
    mistakes: Mistakes,
}

impl Page for FormPage {}

/// What stands in the form.
#[derive(Clone, Debug, Default)]
struct Fields {
    name: String,
    description: String,
    group: String,
    is_deprecated: bool,
    schema: String,
}

impl Fields {
    fn of_form(form: &Form) -> Self {
        Self {
            name: form.trimmed("name"),
            description: form.trimmed("description"),
            group: form.trimmed("groupName"),
            is_deprecated: form.has("deprecated"),
            schema: form.get("schemas").to_owned(),
        }
    }

    fn of(event_type: &EventType) -> Self {
        let schema =
            newest(event_type).map(|schema| serde_json::to_string_pretty(schema).unwrap_or_default());
        Self {
            name: event_type.name.clone(),
            description: event_type.fields.description.clone(),
            group: event_type.fields.group_name.clone().unwrap_or_default(),
            is_deprecated: event_type.fields.deprecated,
            schema: schema.unwrap_or_default(),
        }
    }

    /// The schema as JSON, if there is one.
    fn schema(&self, mistakes: &mut Mistakes) -> Option<Value> {
        if self.schema.trim().is_empty() {
            return None;
        }
        match serde_json::from_str(&self.schema) {
            Ok(schema) => Some(schema),
            Err(error) => {
                mistakes.add("schemas", format!("is no JSON: {error}"));
                None
            }
        }
    }
}

fn page(
    console: &Console,
    (visitor, principal): (&Visitor, &Principal),
    name: Option<&str>,
    (fields, mut mistakes): (Fields, Mistakes),
) -> FormPage {
    let base = format!("/environment/{}/event-type", principal.environment.id);
    let action = name.map_or_else(|| format!("{base}/new"), |name| format!("{base}/{name}/edit"));
    // The schema is one field of the form, whatever its version.
    for mistake in mistakes.all.iter_mut().filter(|mistake| mistake.field.starts_with("schemas.")) {
        mistake.field = "schemas".to_owned();
    }
    let title = if name.is_some() { "Edit the event type" } else { "New event type" };
    FormPage {
        shell: Shell::of_environment(&console.brand, (visitor, principal), Section::Events, title),
        back: name.map_or_else(|| base.clone(), |name| format!("{base}/{name}")),
        action,
        is_new: name.is_none(),
        fields,
        mistakes,
    }
}

async fn new(State(console): State<Console>, Signed(visitor): Signed, Path(id): Path<String>) -> Answer {
    let principal = console.app.open_environment(&visitor, Some(&id))?;
    principal.may_in_environment(Right::Manage)?;
    Ok(page(&console, (&visitor, &principal), None, (Fields::default(), Mistakes::default())).ok())
}

async fn create(
    State(console): State<Console>,
    Path(id): Path<String>,
    Submitted { visitor, form }: Submitted,
) -> Answer {
    let principal = console.app.open_environment(&visitor, Some(&id))?;
    principal.may_in_environment(Right::Manage)?;
    let (fields, mut mistakes) = (Fields::of_form(&form), Mistakes::default());
    let schemas = fields.schema(&mut mistakes).map(|schema| Map::from_iter([("1".to_owned(), schema)]));
    if mistakes.is_empty() {
        let new = EventTypeFields {
            description: fields.description.clone(),
            deprecated: fields.is_deprecated,
            schemas,
            group_name: Some(fields.group.clone()).filter(|group| !group.is_empty()),
            ..EventTypeFields::default()
        };
        match console.app.event_type_create(&principal, &fields.name, new).await {
            Ok(made) => {
                return Ok(see(&format!("/environment/{id}/event-type/{}?told=event-type", made.name)));
            }
            Err(error) => mistakes = wrong(error)?,
        }
    }
    Ok(answer(
        StatusCode::UNPROCESSABLE_ENTITY,
        &page(&console, (&visitor, &principal), None, (fields, mistakes)),
    ))
}

async fn edit(
    State(console): State<Console>,
    Signed(visitor): Signed,
    Path((id, name)): Path<(String, String)>,
) -> Answer {
    let principal = console.app.open_environment(&visitor, Some(&id))?;
    principal.may_in_environment(Right::Manage)?;
    let event_type = console.app.event_type_get(&principal, &name).await?;
    Ok(page(&console, (&visitor, &principal), Some(&name), (Fields::of(&event_type), Mistakes::default()))
        .ok())
}

/// The newest version of the schema is the one that is changed; the older ones stay.
async fn save(
    State(console): State<Console>,
    Path((id, name)): Path<(String, String)>,
    Submitted { visitor, form }: Submitted,
) -> Answer {
    let principal = console.app.open_environment(&visitor, Some(&id))?;
    principal.may_in_environment(Right::Manage)?;
    let there = console.app.event_type_get(&principal, &name).await?;
    let (fields, mut mistakes) = (Fields::of_form(&form), Mistakes::default());
    let schema = fields.schema(&mut mistakes);
    if mistakes.is_empty() {
        let patch = EventTypePatch {
            description: Some(fields.description.clone()),
            archived: Some(false),
            deprecated: Some(fields.is_deprecated),
            schemas: schema.map_or(Change::Clear, |schema| Change::Set(with_newest(&there, schema))),
            group_name: match &*fields.group {
                "" => Change::Clear,
                group => Change::Set(group.to_owned()),
            },
            ..EventTypePatch::default()
        };
        match console.app.event_type_patch(&principal, &name, patch).await {
            Ok(_) => return Ok(see(&format!("/environment/{id}/event-type/{name}?told=event-type"))),
            Err(error) => mistakes = wrong(error)?,
        }
    }
    let page = page(&console, (&visitor, &principal), Some(&name), (fields, mistakes));
    Ok(answer(StatusCode::UNPROCESSABLE_ENTITY, &page))
}

fn with_newest(there: &EventType, schema: Value) -> Map<String, Value> {
    let mut schemas = there.fields.schemas.clone().unwrap_or_default();
    let newest = schemas.keys().max_by_key(|version| version.parse::<u64>().ok()).cloned();
    schemas.insert(newest.unwrap_or_else(|| "1".to_owned()), schema);
    schemas
}

async fn archive(
    State(console): State<Console>,
    Path((id, name)): Path<(String, String)>,
    Submitted { visitor, .. }: Submitted,
) -> Answer {
    let principal = console.app.open_environment(&visitor, Some(&id))?;
    console.app.event_type_delete(&principal, &name, false).await?;
    Ok(see(&format!("/environment/{id}/event-type?told=archived")))
}

fn wrong(error: AppError) -> Result<Mistakes, AppError> {
    match error {
        AppError::Invalid(problems) => Ok(Mistakes::of(problems)),
        AppError::Conflict { .. } => {
            let mut mistakes = Mistakes::default();
            mistakes.add("name", "is there already: edit that one");
            Ok(mistakes)
        }
        error => Err(error),
    }
}
