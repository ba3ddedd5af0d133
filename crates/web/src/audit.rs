//! The audit log: who did what to what, when and from where, for administrators of an application or of the whole instance.

use crate::Console;
use crate::page::Page;
use crate::refusal::Answer;
use crate::shell::{Section, Shell, Tab, tabs_of_application, tabs_of_environment};
use crate::visitor::Signed;
use crate::when::When;
use app::audit::AuditFilter;
use app::{AppError, Principal};
use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::routing::get;
use domain::audit::{Action, ActorKind, Difference, Entry};
use domain::clock::Timestamp;
use domain::id::ApplicationKey;
use domain::page::{From, Order, Page as Wanted, Slice};
use domain::word::Worded;
use serde_json::Value;
use std::collections::HashMap;

pub(crate) fn of_application() -> Router<Console> {
    Router::new().route("/audit", get(list_app))
}

pub(crate) fn of_instance() -> Router<Console> {
    Router::new().route("/{env_id}/audit", get(list_env))
}

/// Entries of a page.
const SHOWN: u16 = 50;
/// Those who act and are no persons, as the filter names them.
const OTHERS: [(ActorKind, &str); 6] = [
    (ActorKind::ApiKey, "API keys"),
    (ActorKind::Token, "Tokens"),
    (ActorKind::Guest, "Guests by portal links"),
    (ActorKind::Operator, "Commands on the server"),
    (ActorKind::Server, "The server itself"),
    (ActorKind::Nobody, "Somebody who is not signed in"),
];

/// A field that changed.
struct Field {
    name: String,
    before: Option<String>,
    after: Option<String>,
}

struct Row {
    /// Who, and by what the list is narrowed to them.
    who: String,
    address_of_who: String,
    filter: String,
    /// The sentence, before and after what it is about.
    verb: &'static str,
    rest: &'static str,
    subject: String,
    place: String,
    from: String,
    when: When,
    fields: Vec<Field>,
}

/// Actions of one kind, with what each says.
struct Group {
    kind: &'static str,
    actions: Vec<(&'static str, String)>,
}

#[derive(Template)]
#[template(path = "audit/list.html")]
struct List {
    shell: Shell,
    tabs: Vec<Tab>,
    base: String,
    rows: Vec<Row>,
    persons: Vec<(String, String)>,
    groups: Vec<Group>,
    who: String,
    what: String,
    is_filtered: bool,
    is_first: bool,
    is_instance: bool,
    next: Option<i64>,
}

impl Page for List {}

type Words = Query<HashMap<String, String>>;

/// Where it is looked at.
struct Place {
    principal: Principal,
    shell: Shell,
    tabs: Vec<Tab>,
    base: String,
    application: Option<(String, ApplicationKey)>,
}

async fn list_app(
    State(console): State<Console>,
    Signed(visitor): Signed,
    Path(id): Path<String>,
    Query(query): Words,
) -> Answer {
    let opened = console.app.open(&visitor, &id)?;
    let shell = Shell::of_application(&console.brand, (&visitor, &opened), Section::Settings, "Audit log");
    let application = Some((id.clone(), opened.application.key));
    let tabs = tabs_of_application(&opened, "audit");
    let place =
        Place { principal: opened.principal, shell, tabs, base: format!("/app/{id}/audit"), application };
    Ok(list(&console, place, &query).await?.ok())
}

async fn list_env(
    State(console): State<Console>,
    Signed(visitor): Signed,
    Path(id): Path<String>,
    Query(query): Words,
) -> Answer {
    let principal = console.app.open_environment(&visitor, Some(&id))?;
    let shell = Shell::of_environment(&console.brand, (&visitor, &principal), Section::Settings, "Audit log");
    let tabs = tabs_of_environment(&principal, "audit");
    let place = Place { principal, shell, tabs, base: format!("/environment/{id}/audit"), application: None };
    Ok(list(&console, place, &query).await?.ok())
}

async fn list(console: &Console, place: Place, query: &HashMap<String, String>) -> Result<List, AppError> {
    let text = |name: &str| query.get(name).map(|text| text.trim().to_owned()).unwrap_or_default();
    let (who, what) = (text("who"), text("what"));
    let filter = AuditFilter {
        actor: Some(who.clone()).filter(|who| !who.is_empty()),
        action: Action::from_word(&what),
    };
    let from = text("after").parse().ok().map_or(From::Start, From::After);
    let (is_first, is_filtered) = (from == From::Start, filter != AuditFilter::default());
    let wanted = (filter, Wanted { items: SHOWN, order: Order::Descending, from });
    let (principal, app) = (&place.principal, &console.app);
    let Slice { items, done } = match &place.application {
        Some((id, _)) => app.audit_of_application(principal, id, wanted).await?,
        None => app.audit_of_environment(principal, wanted).await?,
    };
    let names = app.audit_names(&items).await?;
    let (now, is_instance) = (app.now(), place.application.is_none());
    let mut persons = persons(console, &place).await?;
    persons.extend(OTHERS.map(|(kind, text)| (kind.word().to_owned(), text.to_owned())));
    // Somebody else, whom a row has named.
    if !who.is_empty() && !persons.iter().any(|(id, _)| *id == who) {
        let theirs = items.iter().find(|entry| filter_of(entry) == who);
        persons.push((who.clone(), theirs.map_or_else(|| who.clone(), |entry| called(entry, &names))));
    }
    Ok(List {
        rows: items.iter().map(|entry| row(entry, &names, now)).collect(),
        shell: place.shell,
        tabs: place.tabs,
        base: place.base,
        persons,
        groups: groups(),
        who,
        what,
        is_filtered,
        is_first,
        is_instance,
        next: items.last().filter(|_| !done).map(|last| last.key),
    })
}

/// Members of the application, and of the whole instance for whoever may know those.
async fn persons(console: &Console, place: &Place) -> Result<Vec<(String, String)>, AppError> {
    let mut members = match &place.application {
        Some((_, key)) => console.app.members(&place.principal, Some(*key)).await?,
        None => Vec::new(),
    };
    match console.app.members(&place.principal, None).await {
        Ok(of_instance) => members.extend(of_instance),
        Err(AppError::Forbidden(_)) => {}
        Err(error) => return Err(error),
    }
    let mut persons: Vec<_> =
        members.iter().map(|user| (user.id.clone(), user.called().to_owned())).collect();
    persons.sort_by(|one, other| (&one.1, &one.0).cmp(&(&other.1, &other.0)));
    persons.dedup();
    Ok(persons)
}

fn called(entry: &Entry, names: &HashMap<String, String>) -> String {
    let actor = &entry.new.actor;
    names.get(&actor.id).filter(|_| actor.kind == ActorKind::User).cloned().unwrap_or_else(|| actor.called())
}

fn filter_of(entry: &Entry) -> String {
    let actor = &entry.new.actor;
    if actor.id.is_empty() { actor.kind.word().to_owned() } else { actor.id.clone() }
}

fn row(entry: &Entry, names: &HashMap<String, String>, now: Timestamp) -> Row {
    let new = &entry.new;
    let (verb, rest) = new.action.phrase().split_once("{}").unwrap_or((new.action.phrase(), ""));
    let subject = if new.subject.name.is_empty() { &new.subject.id } else { &new.subject.name };
    let who = called(entry, names);
    Row {
        address_of_who: Some(new.actor.name.clone()).filter(|name| *name != who).unwrap_or_default(),
        who,
        filter: filter_of(entry),
        verb,
        rest,
        subject: subject.clone(),
        place: new.place.clone(),
        from: new.address.clone(),
        when: When::of(new.at, now),
        fields: fields(&new.difference),
    }
}

/// What changed, field by field; first those that were there before.
fn fields(difference: &Difference) -> Vec<Field> {
    let of = |value: &Option<Value>| value.as_ref().and_then(Value::as_object).cloned().unwrap_or_default();
    let (before, after) = (of(&difference.before), of(&difference.after));
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let new = after.keys().filter(|name| !before.contains_key(*name));
    let all = before.keys().chain(new).map(|name| Field {
        name: name.clone(),
        before: before.get(name).map(text),
        after: after.get(name).map(text),
    });
    all.filter(|field| field.before.is_some() || field.after.as_deref().is_some_and(|text| text != "null"))
        .collect()
}

fn groups() -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for action in Action::ALL {
        let item = (action.word(), action.phrase().replace("{}", "…"));
        let kind = match action.subject_kind() {
            "endpoint" => "Webhooks",
            "task" | "message" | "attempt" => "Events",
            "application" | "portal" => "Applications",
            "event_type" => "Event types",
            "environment" | "api_key" => "Environment and API keys",
            "notify" => "Who is told",
            _ => "People",
        };
        match groups.iter_mut().find(|group| group.kind == kind) {
            Some(group) => group.actions.push(item),
            None => groups.push(Group { kind, actions: vec![item] }),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_change_is_told_field_by_field() {
        let difference = Difference {
            before: Some(json!({"url": "https://a.example", "channels": ["a"]})),
            after: Some(json!({"url": "https://b.example", "paused": true, "uid": null})),
        };
        let told: Vec<_> =
            fields(&difference).into_iter().map(|one| (one.name, one.before, one.after)).collect();
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            told,
            [
                ("url".to_owned(), text("https://a.example"), text("https://b.example")),
                ("channels".to_owned(), text("[\"a\"]"), None),
                ("paused".to_owned(), None, text("true")),
            ]
        );
    }

    #[test]
    fn every_action_can_be_chosen() {
        let all: usize = groups().iter().map(|group| group.actions.len()).sum();
        assert_eq!(all, Action::ALL.len());
        assert!(groups()[0].actions.contains(&("endpoint.disabled", "disabled the webhook …".to_owned())));
    }
}
