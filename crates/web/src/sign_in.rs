//! Into the console and out of it: by password, with the code of a second factor, by a link, and the very first time.

use crate::Console;
use crate::client::Client;
use crate::cookie::Cookie;
use crate::mistakes::Mistakes;
use crate::page::{Page, answer, see};
use crate::refusal::Answer;
use crate::shell::Shell;
use crate::submitted::{Submitted, Unsigned};
use app::AppError;
use app::sign_in::ChosenPassword;
use app::totp::Entered;
use app::user::Newcomer;
use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::{get, post};
use http::StatusCode;
use http::header::SET_COOKIE;
use std::collections::HashMap;

pub(crate) fn router() -> Router<Console> {
    Router::new()
        .route("/login", get(show).post(enter))
        .route("/login/code", post(code))
        .route("/logout", post(leave))
        .route("/setup/{link}", get(setup_show).post(setup))
        .route("/password/{link}", get(password_show).post(password))
        .route("/sign-in/{link}", get(by_link))
}

#[derive(Template)]
#[template(path = "sign_in/login.html")]
pub(crate) struct Login {
    shell: Shell,
    email: String,
    /// Where they wanted to go.
    next: String,
    wrong: Option<String>,
    told: Option<&'static str>,
    /// What the identity provider is called by which they can log in, too.
    provider: Option<String>,
}

impl Login {
    pub(crate) fn new(console: &Console, next: String) -> Self {
        let provider = console.app.oidc_name().map(str::to_owned);
        Self {
            shell: Shell::bare(&console.brand, LOG_IN),
            email: String::new(),
            next,
            wrong: None,
            told: None,
            provider,
        }
    }

    /// The same for whoever was not let in, and why.
    pub(crate) fn after(self, wrong: String) -> Self {
        Self { wrong: Some(wrong), ..self }
    }
}

/// Asks for the code of the second factor. What stands in its form is from the first step, holds for five minutes, and opens nothing.
#[derive(Template)]
#[template(path = "sign_in/code.html")]
struct Code {
    shell: Shell,
    ticket: String,
    next: String,
    wrong: Option<String>,
}

#[derive(Template)]
#[template(path = "sign_in/setup.html")]
struct Setup {
    shell: Shell,
    name: String,
    email: String,
    mistakes: Mistakes,
}

#[derive(Template)]
#[template(path = "sign_in/password.html")]
struct Password {
    shell: Shell,
    email: String,
    has_totp: bool,
    mistakes: Mistakes,
}

#[derive(Template)]
#[template(path = "sign_in/dead_link.html")]
struct DeadLink {
    shell: Shell,
    text: &'static str,
}

impl Page for Login {}
impl Page for Code {}
impl Page for Setup {}
impl Page for Password {}
impl Page for DeadLink {}

const LOG_IN: &str = "Log in";
const NEW_PASSWORD: &str = "Choose a password";
const FIRST: &str = "The first account";

async fn show(State(console): State<Console>, Query(query): Query<HashMap<String, String>>) -> Answer {
    let next = query.get("next").cloned().unwrap_or_default();
    let told = query.contains_key("left").then_some("You are logged out.");
    Ok(Login { told, ..Login::new(&console, next) }.ok())
}

async fn enter(State(console): State<Console>, Client(from): Client, Unsigned(form): Unsigned) -> Answer {
    let (email, next) = (form.trimmed("email"), form.get("next").to_owned());
    match console.app.sign_in(&email, form.get("password"), from).await {
        Ok(entered) => Ok(entering(&console, entered, next)),
        Err(error @ (AppError::Unauthenticated | AppError::TooMany(_))) => {
            let (status, wrong) = match error {
                AppError::TooMany(why) => (StatusCode::TOO_MANY_REQUESTS, why),
                _ => (StatusCode::UNAUTHORIZED, "E-mail and password do not belong together.".to_owned()),
            };
            Ok(answer(status, &Login { email, ..Login::new(&console, next).after(wrong) }))
        }
        Err(error) => Err(error.into()),
    }
}

async fn code(State(console): State<Console>, Client(from): Client, Unsigned(form): Unsigned) -> Answer {
    let (ticket, next) = (form.get("ticket").to_owned(), form.get("next").to_owned());
    let (status, wrong) = match console.app.second_factor(&ticket, form.get("code"), from).await {
        Ok(cookie) => return Ok(welcome(&console, &cookie, &next)),
        Err(AppError::NotFound) => {
            let page = Login::new(&console, next).after("That took too long: log in once more.".to_owned());
            return Ok(answer(StatusCode::UNAUTHORIZED, &page));
        }
        Err(AppError::Invalid(problems)) => {
            let why = problems.into_iter().map(|problem| problem.message).collect::<String>();
            (StatusCode::UNAUTHORIZED, format!("The code {why}."))
        }
        Err(AppError::TooMany(why)) => (StatusCode::TOO_MANY_REQUESTS, why),
        Err(error) => return Err(error.into()),
    };
    Ok(answer(status, &Code { shell: Shell::bare(&console.brand, LOG_IN), ticket, next, wrong: Some(wrong) }))
}

async fn leave(State(console): State<Console>, submitted: Submitted) -> Answer {
    let is_guest = submitted.visitor.portal.is_some();
    if !is_guest {
        console.app.sign_out(&submitted.visitor, submitted.form.has("everywhere")).await?;
    }
    let mut response = see("/login?left");
    let cookie = if is_guest { Cookie::Guest } else { Cookie::Session };
    if let Some(cookie) = console.drop_cookie(cookie) {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    Ok(response)
}

async fn by_link(State(console): State<Console>, Client(from): Client, Path(link): Path<String>) -> Answer {
    match console.app.sign_in_by_link(&link, from).await {
        Ok(entered) => Ok(entering(&console, entered, "/".to_owned())),
        Err(AppError::NotFound) => Ok(dead(&console, "It is not complete, or it does not hold any more.")),
        Err(error) => Err(error.into()),
    }
}

async fn setup_show(
    State(console): State<Console>,
    Client(from): Client,
    Path(link): Path<String>,
) -> Answer {
    match console.app.setup_check(&link, &from).await {
        Ok(()) => Ok(Setup {
            shell: Shell::bare(&console.brand, FIRST),
            name: String::new(),
            email: String::new(),
            mistakes: Mistakes::default(),
        }
        .ok()),
        Err(error) => dead_setup(&console, error),
    }
}

async fn setup(
    State(console): State<Console>,
    Client(from): Client,
    Path(link): Path<String>,
    Unsigned(form): Unsigned,
) -> Answer {
    let newcomer = Newcomer {
        email: form.trimmed("email"),
        name: form.trimmed("name"),
        password: Some(form.get("password").to_owned()),
    };
    match console.app.setup(&link, newcomer.clone(), from).await {
        Ok(cookie) => Ok(welcome(&console, &cookie, "/")),
        Err(AppError::Invalid(problems)) => {
            let page = Setup {
                shell: Shell::bare(&console.brand, FIRST),
                name: newcomer.name,
                email: newcomer.email,
                mistakes: Mistakes::of(problems),
            };
            Ok(answer(StatusCode::UNPROCESSABLE_ENTITY, &page))
        }
        Err(error) => dead_setup(&console, error),
    }
}

fn dead_setup(console: &Console, error: AppError) -> Answer {
    match error {
        AppError::NotFound => Ok(dead(
            console,
            "It is not complete, or the first account has been made already: then whoever has it can invite you. \
             Whoever runs this server can also use `posthaste user create`.",
        )),
        error => Err(error.into()),
    }
}

async fn password_show(
    State(console): State<Console>,
    Client(from): Client,
    Path(link): Path<String>,
) -> Answer {
    match console.app.password_link(&link, &from).await {
        Ok(user) => Ok(Password {
            shell: Shell::bare(&console.brand, NEW_PASSWORD),
            has_totp: user.has_totp,
            email: user.email,
            mistakes: Mistakes::default(),
        }
        .ok()),
        Err(error) => dead_password(&console, error),
    }
}

async fn password(
    State(console): State<Console>,
    Client(from): Client,
    Path(link): Path<String>,
    Unsigned(form): Unsigned,
) -> Answer {
    let chosen =
        ChosenPassword { password: form.get("password").to_owned(), code: form.get("code").to_owned() };
    match console.app.password_by_link(&link, chosen, from.clone()).await {
        Ok(cookie) => Ok(welcome(&console, &cookie, "/")),
        Err(AppError::Invalid(problems)) => {
            let user = console.app.password_link(&link, &from).await?;
            let (email, has_totp, mistakes) = (user.email, user.has_totp, Mistakes::of(problems));
            let page =
                Password { shell: Shell::bare(&console.brand, NEW_PASSWORD), email, has_totp, mistakes };
            Ok(answer(StatusCode::UNPROCESSABLE_ENTITY, &page))
        }
        Err(error) => dead_password(&console, error),
    }
}

fn dead_password(console: &Console, error: AppError) -> Answer {
    match error {
        AppError::NotFound => Ok(dead(
            console,
            "It was used already, or it does not hold any more. Ask whoever invited you for another one.",
        )),
        error => Err(error.into()),
    }
}

/// A link that leads nowhere.
pub(crate) fn dead(console: &Console, text: &'static str) -> Response {
    answer(
        StatusCode::NOT_FOUND,
        &DeadLink { shell: Shell::bare(&console.brand, "This link leads nowhere"), text },
    )
}

/// Keeps the cookie, or asks for the second factor.
fn entering(console: &Console, entered: Entered, next: String) -> Response {
    match entered {
        Entered::In(cookie) => welcome(console, &cookie, &next),
        Entered::CodeWanted(ticket) => {
            Code { shell: Shell::bare(&console.brand, LOG_IN), ticket, next, wrong: None }.ok()
        }
    }
}

/// Keeps the cookie, and goes on to where they wanted to go: a page of ours, whatever the link said.
pub(crate) fn welcome(console: &Console, cookie: &str, next: &str) -> Response {
    let is_ours = next.starts_with('/') && !next.starts_with("//") && !next.contains('\\');
    let mut response = see(if is_ours { next } else { "/" });
    if let Some(cookie) = console.keep_cookie(Cookie::Session, cookie) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}
