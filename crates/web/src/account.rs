//! One's own account: name, password, and where one is signed in.

use crate::Console;
use crate::mistakes::Mistakes;
use crate::page::{Page, answer, see};
use crate::refusal::Answer;
use crate::shell::Shell;
use crate::submitted::Submitted;
use crate::visitor::Signed;
use crate::when::When;
use app::AppError;
use app::sign_in::Visitor;
use app::user::OwnPassword;
use askama::Template;
use axum::Router;
use axum::extract::{Query, State};
use axum::routing::{get, post};
use http::StatusCode;
use std::collections::HashMap;

pub(crate) fn router() -> Router<Console> {
    Router::new()
        .route("/account", get(show))
        .route("/account/name", post(rename))
        .route("/account/password", post(change_password))
}

/// A browser in which the visitor is signed in.
struct Seen {
    agent: String,
    address: String,
    since: When,
    seen: When,
    is_this: bool,
}

#[derive(Template)]
#[template(path = "account/show.html")]
struct Account {
    shell: Shell,
    name: String,
    email: String,
    has_password: bool,
    has_totp: bool,
    browsers: Vec<Seen>,
    mistakes: Mistakes,
}

impl Page for Account {}

async fn page(
    console: &Console,
    visitor: &Visitor,
    (told, mistakes): (Option<&str>, Mistakes),
) -> Result<Account, AppError> {
    let now = console.app.now();
    let browsers = console.app.browsers(visitor).await?.into_iter().map(|browser| Seen {
        agent: named(&browser.agent),
        address: browser.address,
        since: When::of(browser.created_at, now),
        seen: When::of(browser.seen_at, now),
        is_this: browser.sha256 == visitor.browser.sha256,
    });
    Ok(Account {
        shell: Shell::of_visitor(&console.brand, visitor, "Account").telling(told),
        name: visitor.user.name.clone(),
        email: visitor.user.email.clone(),
        has_password: visitor.user.has_password,
        has_totp: visitor.user.has_totp,
        browsers: browsers.collect(),
        mistakes,
    })
}

/// What people call the browser that says this of itself.
fn named(agent: &str) -> String {
    let browser = [
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    ]
    .into_iter()
    .find(|(mark, _)| agent.contains(mark))
    .map(|(_, name)| name);
    let system = [
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Android", "Android"),
        ("Windows", "Windows"),
        ("Mac OS", "macOS"),
        ("Linux", "Linux"),
    ]
    .into_iter()
    .find(|(mark, _)| agent.contains(mark))
    .map(|(_, name)| name);
    match (browser, system) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(browser), None) => browser.to_owned(),
        _ if agent.is_empty() => "An unknown browser".to_owned(),
        _ => agent.chars().take(40).collect(),
    }
}

async fn show(
    State(console): State<Console>,
    Signed(visitor): Signed,
    Query(query): Query<HashMap<String, String>>,
) -> Answer {
    let told = query.get("told").map(String::as_str);
    Ok(page(&console, &visitor, (told, Mistakes::default())).await?.ok())
}

async fn rename(State(console): State<Console>, Submitted { visitor, form }: Submitted) -> Answer {
    let renamed = console.app.user_rename(&visitor, form.get("name")).await;
    done(&console, &visitor, renamed, "renamed").await
}

async fn change_password(State(console): State<Console>, Submitted { visitor, form }: Submitted) -> Answer {
    let passwords = OwnPassword { current: form.get("current").to_owned(), new: form.get("new").to_owned() };
    let changed = console.app.password_change(&visitor, passwords).await;
    done(&console, &visitor, changed, "password").await
}

async fn done(console: &Console, visitor: &Visitor, done: Result<(), AppError>, word: &str) -> Answer {
    match done {
        Ok(()) => Ok(see(&format!("/account?told={word}"))),
        Err(AppError::Invalid(problems)) => {
            let page = page(console, visitor, (None, Mistakes::of(problems))).await?;
            Ok(answer(StatusCode::UNPROCESSABLE_ENTITY, &page))
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_are_called_by_their_names() {
        let chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0 Safari/537.36";
        assert_eq!(named(chrome), "Chrome on Linux");
        assert_eq!(named(""), "An unknown browser");
        assert_eq!(named("curl/8.0"), "curl/8.0");
    }
}
