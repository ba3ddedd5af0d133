//! The applications of an environment: a list, a new one.

use crate::Console;
use crate::mistakes::Mistakes;
use crate::page::{Page, answer, see};
use crate::refusal::Answer;
use crate::shell::{Section, Shell};
use crate::submitted::Submitted;
use crate::visitor::Signed;
use crate::when::When;
use app::application::ApplicationFilter;
use app::sign_in::Visitor;
use app::{AppError, Principal};
use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::routing::get;
use domain::application::{Application, ApplicationFields};
use domain::limit::PAGE_ITEMS_DEFAULT;
use domain::page::{From, Order, Page as Wanted};
use http::StatusCode;
use std::collections::HashMap;
use std::sync::Arc;

pub(crate) fn router() -> Router<Console> {
    Router::new()
        .route("/{env_id}/application", get(list).post(create))
        .route("/{env_id}/application/new", get(new))
        .route("/{env_id}", get(home))
}

/// An application in the list.
struct Row {
    id: String,
    name: String,
    uid: String,
    webhooks: usize,
    disabled: usize,
    created: When,
}

#[derive(Template)]
#[template(path = "application/list.html")]
struct List {
    shell: Shell,
    base: String,
    rows: Vec<Row>,
    find: String,
    /// The query of the next page.
    next: Option<String>,
    is_first: bool,
    environments: Vec<(String, bool)>,
}

#[derive(Template)]
#[template(path = "application/new.html")]
struct New {
    shell: Shell,
    base: String,
    name: String,
    uid: String,
    mistakes: Mistakes,
}

impl Page for List {}
impl Page for New {}

async fn home(Path(id): Path<String>) -> Answer {
    Ok(see(&format!("/environment/{id}/application")))
}

async fn list(
    State(console): State<Console>,
    Signed(visitor): Signed,
    Path(id): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Answer {
    let principal = console.app.open_environment(&visitor, Some(&id))?;
    let base = format!("/environment/{id}/application");
    let find = query.get("find").map(|text| text.trim().to_owned()).unwrap_or_default();
    if !find.is_empty()
        && let Ok(found) = console.app.application_get(&principal, &find)
    {
        return Ok(see(&format!("/app/{}/endpoint", found.id)));
    }
    if !find.is_empty() {
        let found = console.app.applications_named(&principal, &find)?;
        return Ok(found_page(&console, (&visitor, &principal), (find, found)).ok());
    }
    let from = query.get("after").map_or(From::Start, |after| From::After(after.clone()));
    let is_first = from == From::Start;
    let page = Wanted { items: PAGE_ITEMS_DEFAULT, order: Order::Descending, from };
    let slice = console.app.application_list(&principal, ApplicationFilter::default(), page).await?;
    let next = slice.items.last().filter(|_| !slice.done).map(|last| format!("?after={}", last.id));
    let environments =
        console.app.environments(&visitor).iter().map(|one| (one.id.clone(), one.id == id)).collect();
    let told = query.get("told").map(String::as_str);
    Ok(List {
        shell: shell(&console, &visitor, &principal, "Applications").telling(told),
        rows: rows(&console, &slice.items),
        base,
        find,
        next,
        is_first,
        environments,
    }
    .ok())
}

/// Those whose name holds what was looked for.
fn found_page(
    console: &Console,
    (visitor, principal): (&Visitor, &Principal),
    (find, found): (String, Vec<Arc<Application>>),
) -> List {
    let found: Vec<_> = found.iter().map(|one| Application::clone(one)).collect();
    List {
        shell: shell(console, visitor, principal, "Applications"),
        base: format!("/environment/{}/application", principal.environment.id),
        rows: rows(console, &found),
        find,
        next: None,
        is_first: true,
        environments: Vec::new(),
    }
}

fn rows(console: &Console, applications: &[Application]) -> Vec<Row> {
    let now = console.app.now();
    let row = |application: &Application| {
        let (webhooks, disabled) = console.app.endpoint_numbers(application.key);
        Row {
            name: application.called().to_owned(),
            uid: application.fields.uid.clone().unwrap_or_default(),
            id: application.id.clone(),
            webhooks,
            disabled,
            created: When::of(application.created_at, now),
        }
    };
    applications.iter().map(row).collect()
}

fn shell(console: &Console, visitor: &Visitor, principal: &Principal, title: &str) -> Shell {
    Shell::of_environment(&console.brand, (visitor, principal), Section::Applications, title)
}

async fn new(State(console): State<Console>, Signed(visitor): Signed, Path(id): Path<String>) -> Answer {
    let principal = console.app.open_environment(&visitor, Some(&id))?;
    principal.may_in_environment(app::Right::Administer)?;
    let shell = shell(&console, &visitor, &principal, "New application");
    let base = format!("/environment/{id}/application");
    Ok(New { shell, base, name: String::new(), uid: String::new(), mistakes: Mistakes::default() }.ok())
}

async fn create(
    State(console): State<Console>,
    Path(id): Path<String>,
    Submitted { visitor, form }: Submitted,
) -> Answer {
    let principal = console.app.open_environment(&visitor, Some(&id))?;
    let (name, uid) = (form.trimmed("name"), form.trimmed("uid"));
    let mut mistakes = Mistakes::default();
    if name.is_empty() {
        mistakes.add("name", "is needed: what is this customer called?");
    }
    if mistakes.is_empty() {
        let fields = ApplicationFields {
            name: name.clone(),
            uid: Some(uid.clone()).filter(|uid| !uid.is_empty()),
            ..ApplicationFields::default()
        };
        match console.app.application_create(&principal, fields, false).await {
            Ok((made, _)) => return Ok(see(&format!("/app/{}/endpoint?told=application", made.id))),
            Err(AppError::Invalid(problems)) => mistakes = Mistakes::of(problems),
            Err(AppError::Conflict { detail, .. }) => mistakes.add("uid", detail),
            Err(error) => return Err(error.into()),
        }
    }
    let shell = shell(&console, &visitor, &principal, "New application");
    let base = format!("/environment/{id}/application");
    Ok(answer(StatusCode::UNPROCESSABLE_ENTITY, &New { shell, base, name, uid, mistakes }))
}
