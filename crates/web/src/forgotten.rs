//! A forgotten password: where one asks for a link by e-mail.

use crate::Console;
use crate::client::Client;
use crate::page::{Page, answer};
use crate::refusal::Answer;
use crate::shell::Shell;
use crate::submitted::Unsigned;
use app::AppError;
use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use http::StatusCode;

pub(crate) fn router() -> Router<Console> {
    Router::new().route("/forgot", get(show).post(ask))
}

#[derive(Template)]
#[template(path = "sign_in/forgot.html")]
struct Forgot {
    shell: Shell,
    email: String,
    has_mail_server: bool,
    is_asked: bool,
    wrong: Option<String>,
}

impl Page for Forgot {}

fn page(console: &Console) -> Forgot {
    Forgot {
        shell: Shell::bare(&console.brand, "A forgotten password"),
        email: String::new(),
        has_mail_server: console.app.has_mail_server(),
        is_asked: false,
        wrong: None,
    }
}

async fn show(State(console): State<Console>) -> Answer {
    Ok(page(&console).ok())
}

/// Says the same of every address, whether anybody has it or not.
async fn ask(State(console): State<Console>, Client(from): Client, Unsigned(form): Unsigned) -> Answer {
    let email = form.trimmed("email");
    match console.app.password_forgotten(&email, &from) {
        Ok(()) => Ok(Forgot { is_asked: true, ..page(&console) }.ok()),
        Err(AppError::TooMany(why)) => {
            let page = Forgot { email, wrong: Some(why), ..page(&console) };
            Ok(answer(StatusCode::TOO_MANY_REQUESTS, &page))
        }
        Err(error) => Err(error.into()),
    }
}
