//! Who may do what: the members of an application, or of the whole instance.

use crate::Console;
use crate::mistakes::Mistakes;
use crate::page::{Page, answer, see};
use crate::refusal::Answer;
use crate::shell::{Section, Shell, Tab, tabs_of_application, tabs_of_environment};
use crate::submitted::Submitted;
use crate::visitor::Signed;
use crate::when::When;
use app::member::Invited;
use app::sign_in::Visitor;
use app::user::Newcomer;
use app::{AppError, Principal};
use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::routing::{get, post};
use domain::id::ApplicationKey;
use domain::role::Role;
use domain::user::Membership;
use http::StatusCode;
use std::collections::HashMap;

pub(crate) fn of_application() -> Router<Console> {
    Router::new().route("/member", get(list_app).post(add_app)).route("/member/{user_id}", post(change_app))
}

pub(crate) fn of_instance() -> Router<Console> {
    Router::new()
        .route("/{env_id}/member", get(list_env).post(add_env))
        .route("/{env_id}/member/{user_id}", post(change_env))
}

/// What each role may do, for people.
pub(crate) const ROLES: [(&str, &str); 4] = [
    ("viewer", "Viewer: reads"),
    ("member", "Member: also tests and sends again"),
    ("manager", "Manager: also creates and changes webhooks, and sees secrets"),
    ("administrator", "Administrator: everything, members too"),
];

struct Row {
    id: String,
    name: String,
    email: String,
    role: String,
    is_invited: bool,
    has_totp: bool,
    is_self: bool,
    since: When,
}

/// An invitation that no mail has brought.
struct ByHand {
    name: String,
    link: String,
    was_tried: bool,
}

#[derive(Template)]
#[template(path = "member/list.html")]
struct List {
    shell: Shell,
    tabs: Vec<Tab>,
    base: String,
    rows: Vec<Row>,
    roles: [(&'static str, &'static str); 4],
    /// Who is given the link by which they choose their password.
    invited: Option<ByHand>,
    email: String,
    name: String,
    role: String,
    mistakes: Mistakes,
    is_instance: bool,
}

impl Page for List {}

/// Where members are looked at.
struct Place {
    visitor: Visitor,
    principal: Principal,
    shell: Shell,
    tabs: Vec<Tab>,
    base: String,
    of: Option<ApplicationKey>,
}

fn in_application(console: &Console, visitor: Visitor, id: &str) -> Result<Place, AppError> {
    let opened = console.app.open(&visitor, id)?;
    let shell = Shell::of_application(&console.brand, (&visitor, &opened), Section::Settings, "Members");
    let (base, of) = (format!("/app/{id}/member"), Some(opened.application.key));
    let tabs = tabs_of_application(&opened, "member");
    Ok(Place { visitor, principal: opened.principal, shell, tabs, base, of })
}

fn in_instance(console: &Console, visitor: Visitor, id: &str) -> Result<Place, AppError> {
    let principal = console.app.open_environment(&visitor, Some(id))?;
    let shell = Shell::of_environment(&console.brand, (&visitor, &principal), Section::Settings, "Members");
    let tabs = tabs_of_environment(&principal, "member");
    Ok(Place { visitor, principal, shell, tabs, base: format!("/environment/{id}/member"), of: None })
}

async fn list(console: &Console, place: Place, told: Option<&str>) -> Result<List, AppError> {
    let now = console.app.now();
    let users = console.app.members(&place.principal, place.of).await?;
    let rows = users.into_iter().map(|user| {
        let role = user.memberships.iter().find(|membership| membership.application == place.of);
        Row {
            role: role.map_or("", |membership| membership.role.word()).to_owned(),
            is_invited: !user.has_password,
            has_totp: user.has_totp,
            is_self: user.id == place.visitor.user.id,
            since: When::of(user.created_at, now),
            id: user.id,
            name: user.name,
            email: user.email,
        }
    });
    Ok(List {
        rows: rows.collect(),
        shell: place.shell.telling(told),
        tabs: place.tabs,
        base: place.base,
        roles: ROLES,
        invited: None,
        email: String::new(),
        name: String::new(),
        role: Role::Member.word().to_owned(),
        mistakes: Mistakes::default(),
        is_instance: place.of.is_none(),
    })
}

async fn add(console: &Console, place: Place, form: &crate::form::Form) -> Answer {
    let newcomer = Newcomer { email: form.trimmed("email"), name: form.trimmed("name"), password: None };
    let role = Role::from_word(form.get("role"));
    let mut mistakes = Mistakes::default();
    if role.is_none() {
        mistakes.add("role", "is to be chosen");
    }
    let mut invited = None;
    if let Some(role) = role {
        let membership = Membership { application: place.of, role };
        match console.app.member_add(&place.principal, newcomer.clone(), membership).await {
            Ok(Invited::Member(_)) => return Ok(see(&format!("{}?told=member", place.base))),
            Ok(Invited::Mailed(_)) => return Ok(see(&format!("{}?told=invited", place.base))),
            Ok(Invited::ByHand { user, link, was_tried }) => {
                invited = Some(ByHand { name: user.called().to_owned(), link, was_tried });
            }
            Err(AppError::Invalid(problems)) => mistakes = Mistakes::of(problems),
            Err(AppError::Refused { detail, .. } | AppError::Conflict { detail, .. }) => {
                mistakes = Mistakes::general(detail);
            }
            Err(error) => return Err(error.into()),
        }
    }
    let page = list(console, place, None).await?;
    if invited.is_some() {
        return Ok(List { invited, ..page }.ok());
    }
    let Newcomer { email, name, .. } = newcomer;
    let page = List { email, name, role: form.get("role").to_owned(), mistakes, ..page };
    Ok(answer(StatusCode::UNPROCESSABLE_ENTITY, &page))
}

async fn change(console: &Console, place: Place, (user, form): (&str, &crate::form::Form)) -> Answer {
    let (done, word) = if form.has("remove") {
        (console.app.member_remove(&place.principal, user, place.of).await, "removed")
    } else {
        let role = Role::from_word(form.get("role")).unwrap_or(Role::Viewer);
        let membership = Membership { application: place.of, role };
        (console.app.member_change(&place.principal, user, membership).await, "role")
    };
    match done {
        Ok(()) => Ok(see(&format!("{}?told={word}", place.base))),
        Err(AppError::Refused { detail, .. }) => {
            let page = list(console, place, None).await?;
            let page = List { mistakes: Mistakes::general(detail), ..page };
            Ok(answer(StatusCode::UNPROCESSABLE_ENTITY, &page))
        }
        Err(error) => Err(error.into()),
    }
}

type Words = Query<HashMap<String, String>>;

async fn list_app(
    State(console): State<Console>,
    Signed(visitor): Signed,
    Path(id): Path<String>,
    Query(query): Words,
) -> Answer {
    let place = in_application(&console, visitor, &id)?;
    Ok(list(&console, place, query.get("told").map(String::as_str)).await?.ok())
}

async fn add_app(
    State(console): State<Console>,
    Path(id): Path<String>,
    Submitted { visitor, form }: Submitted,
) -> Answer {
    add(&console, in_application(&console, visitor, &id)?, &form).await
}

async fn change_app(
    State(console): State<Console>,
    Path((id, user)): Path<(String, String)>,
    Submitted { visitor, form }: Submitted,
) -> Answer {
    change(&console, in_application(&console, visitor, &id)?, (&user, &form)).await
}

async fn list_env(
    State(console): State<Console>,
    Signed(visitor): Signed,
    Path(id): Path<String>,
    Query(query): Words,
) -> Answer {
    let place = in_instance(&console, visitor, &id)?;
    Ok(list(&console, place, query.get("told").map(String::as_str)).await?.ok())
}

async fn add_env(
    State(console): State<Console>,
    Path(id): Path<String>,
    Submitted { visitor, form }: Submitted,
) -> Answer {
    add(&console, in_instance(&console, visitor, &id)?, &form).await
}

async fn change_env(
    State(console): State<Console>,
    Path((id, user)): Path<(String, String)>,
    Submitted { visitor, form }: Submitted,
) -> Answer {
    change(&console, in_instance(&console, visitor, &id)?, (&user, &form)).await
}
