//! The catalogue of events: grouped, searched, and each with what it means.

use crate::Console;
use crate::endpoint_form::Group;
use crate::highlight::{Piece, json};
use crate::page::Page;
use crate::refusal::Answer;
use crate::shell::{Section, Shell};
use crate::visitor::Signed;
use app::schema::newest;
use app::sign_in::Opened;
use app::{AppError, Place, Principal};
use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::routing::get;
use domain::event_type::EventType;
use domain::limit::PAGE_ITEMS_MAX;
use domain::page::{From, Order, Page as Wanted};
use serde_json::Value;
use std::collections::HashMap;

pub(crate) fn of_application() -> Router<Console> {
    Router::new().route("/event-type", get(list_app)).route("/event-type/{name}", get(show_app))
}

pub(crate) fn of_environment() -> Router<Console> {
    Router::new()
        .route("/{env_id}/event-type", get(list_env))
        .route("/{env_id}/event-type/{name}", get(show_env))
}

/// Event types that the catalogue shows on one page.
const SHOWN_MAX: usize = 1_000;

#[derive(Template)]
#[template(path = "event_type/list.html")]
struct List {
    shell: Shell,
    base: String,
    groups: Vec<Group>,
    is_cut: bool,
    may_manage: bool,
    /// Whether it is looked at for all applications.
    is_environment: bool,
}

#[derive(Template)]
#[template(path = "event_type/show.html")]
struct Show {
    shell: Shell,
    base: String,
    name: String,
    description: String,
    is_deprecated: bool,
    example: Option<Vec<Piece>>,
    schema: Vec<Property>,
    is_archived: bool,
    /// Id and name of the webhooks that get it, in an application.
    webhooks: Option<Vec<(String, String)>>,
    may_manage: bool,
}

/// One property of a schema, as a row of a tree.
pub(crate) struct Property {
    pub(crate) depth: usize,
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) description: String,
    pub(crate) is_required: bool,
}

impl Page for List {}
impl Page for Show {}

/// The event types that a principal sees, in their groups; and whether there are more than `most`.
pub(crate) async fn groups(
    console: &Console,
    opened: &Opened,
    most: usize,
) -> Result<(Vec<Group>, bool), AppError> {
    let (all, is_cut) = every(console, &opened.principal, most).await?;
    Ok((grouped(all), is_cut))
}

/// The event types that a principal sees, by name; and whether there are more than `most`.
pub(crate) async fn every(
    console: &Console,
    principal: &Principal,
    most: usize,
) -> Result<(Vec<EventType>, bool), AppError> {
    let mut all: Vec<EventType> = Vec::new();
    let mut from = From::Start;
    loop {
        let page = Wanted { items: PAGE_ITEMS_MAX, order: Order::Ascending, from };
        let slice = console.app.event_type_list(principal, false, page).await?;
        all.extend(slice.items);
        match all.last() {
            Some(last) if !slice.done && all.len() <= most => from = From::After(last.name.clone()),
            _ => break,
        }
    }
    let is_cut = all.len() > most;
    all.truncate(most);
    Ok((all, is_cut))
}

fn grouped(all: Vec<EventType>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for one in all {
        let prefix = one.name.split('.').next().unwrap_or_default().to_owned();
        let name = one.fields.group_name.unwrap_or(prefix);
        let event = (one.name, one.fields.description);
        match groups.iter_mut().find(|group| group.name == name) {
            Some(group) => group.events.push(event),
            None => groups.push(Group { name, events: vec![event] }),
        }
    }
    groups.sort_by(|one, other| one.name.cmp(&other.name));
    groups
}

async fn list_app(State(console): State<Console>, Signed(visitor): Signed, Path(id): Path<String>) -> Answer {
    let opened = console.app.open(&visitor, &id)?;
    let (groups, is_cut) = groups(&console, &opened, SHOWN_MAX).await?;
    let shell = Shell::of_application(&console.brand, (&visitor, &opened), Section::Events, "Events");
    let base = format!("/app/{id}/event-type");
    Ok(List { shell, base, groups, is_cut, may_manage: false, is_environment: false }.ok())
}

async fn list_env(
    State(console): State<Console>,
    Signed(visitor): Signed,
    Path(id): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Answer {
    let principal = console.app.open_environment(&visitor, Some(&id))?;
    let (all, is_cut) = every(&console, &principal, SHOWN_MAX).await?;
    let shell = Shell::of_environment(&console.brand, (&visitor, &principal), Section::Events, "Events");
    Ok(List {
        shell: shell.telling(query.get("told").map(String::as_str)),
        base: format!("/environment/{id}/event-type"),
        groups: grouped(all),
        is_cut,
        may_manage: principal.role.manages(),
        is_environment: true,
    }
    .ok())
}

async fn show_app(
    State(console): State<Console>,
    Signed(visitor): Signed,
    Path((id, name)): Path<(String, String)>,
) -> Answer {
    let opened = console.app.open(&visitor, &id)?;
    let event_type = console.app.event_type_get(&opened.principal, &name).await?;
    let place = Place { principal: &opened.principal, application: &id, id: "" };
    let webhooks = console.app.endpoints_wanting(place, &name)?;
    let webhooks = webhooks.into_iter().map(|endpoint| (endpoint.id.clone(), endpoint.name())).collect();
    let shell = Shell::of_application(&console.brand, (&visitor, &opened), Section::Events, name);
    Ok(Show { webhooks: Some(webhooks), ..page(shell, format!("/app/{id}"), event_type) }.ok())
}

async fn show_env(
    State(console): State<Console>,
    Signed(visitor): Signed,
    Path((id, name)): Path<(String, String)>,
    Query(query): Query<HashMap<String, String>>,
) -> Answer {
    let principal = console.app.open_environment(&visitor, Some(&id))?;
    let event_type = console.app.event_type_get(&principal, &name).await?;
    let shell = Shell::of_environment(&console.brand, (&visitor, &principal), Section::Events, name);
    let shell = shell.telling(query.get("told").map(String::as_str));
    let page = page(shell, format!("/environment/{id}"), event_type);
    Ok(Show { may_manage: principal.role.manages(), ..page }.ok())
}

fn page(shell: Shell, base: String, event_type: EventType) -> Show {
    Show {
        shell,
        base,
        example: example(&event_type).map(|text| json(&text)),
        schema: properties(&event_type),
        name: event_type.name,
        description: event_type.fields.description,
        is_deprecated: event_type.fields.deprecated,
        is_archived: event_type.fields.archived,
        webhooks: None,
        may_manage: false,
    }
}

/// The example of an event type's newest schema, as text.
pub(crate) fn example(event_type: &EventType) -> Option<String> {
    newest(event_type).and_then(example_of).map(|value| pretty(&value))
}

/// The newest schema as rows of a tree.
pub(crate) fn properties(event_type: &EventType) -> Vec<Property> {
    let mut properties = Vec::new();
    if let Some(schema) = newest(event_type) {
        walk(schema, 0, &mut properties);
    }
    properties
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

fn example_of(schema: &Value) -> Option<Value> {
    schema.get("example").cloned().or_else(|| schema.get("examples")?.get(0).cloned())
}

/// Properties of properties, as far as a person reads: five deep, two hundred in all.
fn walk(schema: &Value, depth: usize, out: &mut Vec<Property>) {
    let required: Vec<_> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
    for (name, about) in properties {
        if out.len() >= 200 {
            return;
        }
        let text = |field: &str| about.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        out.push(Property {
            depth,
            name: name.clone(),
            kind: kind(about),
            description: text("description"),
            is_required: required.contains(&name.as_str()),
        });
        if depth < 5 {
            walk(about, depth + 1, out);
            if let Some(items) = about.get("items") {
                walk(items, depth + 1, out);
            }
        }
    }
}

fn kind(about: &Value) -> String {
    let of = |about: &Value| match about.get("type") {
        Some(Value::String(one)) => one.clone(),
        Some(Value::Array(several)) => {
            several.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or ")
        }
        _ if about.get("enum").is_some() => "one of several".to_owned(),
        _ if about.get("properties").is_some() => "object".to_owned(),
        _ => "anything".to_owned(),
    };
    match about.get("items") {
        Some(items) => format!("list of {}", of(items)),
        None => match about.get("format").and_then(Value::as_str) {
            Some(format) => format!("{}, {format}", of(about)),
            None => of(about),
        },
    }
}
