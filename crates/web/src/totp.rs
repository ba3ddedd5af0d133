//! The second factor of one's own account: set up with an app, and switched off.

use crate::Console;
use crate::mistakes::Mistakes;
use crate::page::{Page, answer, see};
use crate::qr::{Qr, qr};
use crate::refusal::Answer;
use crate::shell::Shell;
use crate::submitted::Submitted;
use crate::visitor::Signed;
use app::AppError;
use app::sign_in::Visitor;
use app::totp::{NewTotp, TotpProof};
use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use http::StatusCode;

pub(crate) fn router() -> Router<Console> {
    Router::new()
        .route("/account/totp", get(show).post(switch_on))
        .route("/account/totp/off", get(ask_off).post(switch_off))
}

#[derive(Template)]
#[template(path = "account/totp.html")]
struct SetUp {
    shell: Shell,
    email: String,
    has_password: bool,
    nonce: String,
    /// In groups of four, as people type it.
    secret: String,
    uri: String,
    qr: Option<Qr>,
    mistakes: Mistakes,
}

#[derive(Template)]
#[template(path = "account/totp_off.html")]
struct Off {
    shell: Shell,
    has_password: bool,
    mistakes: Mistakes,
}

impl Page for SetUp {}
impl Page for Off {}

fn set_up(console: &Console, visitor: &Visitor, new: &NewTotp, mistakes: Mistakes) -> SetUp {
    let groups = new.secret.reveal().as_bytes().chunks(4).map(String::from_utf8_lossy);
    SetUp {
        shell: Shell::of_visitor(&console.brand, visitor, "Set up a second factor"),
        email: visitor.user.email.clone(),
        has_password: visitor.user.has_password,
        nonce: new.nonce.clone(),
        secret: groups.collect::<Vec<_>>().join(" "),
        uri: new.uri.reveal().to_owned(),
        qr: qr(new.uri.reveal()),
        mistakes,
    }
}

fn off(console: &Console, visitor: &Visitor, mistakes: Mistakes) -> Off {
    let shell = Shell::of_visitor(&console.brand, visitor, "Switch the second factor off");
    Off { shell, has_password: visitor.user.has_password, mistakes }
}

async fn show(State(console): State<Console>, Signed(visitor): Signed) -> Answer {
    if visitor.user.has_totp {
        return Ok(see("/account"));
    }
    Ok(set_up(&console, &visitor, &console.app.totp_new(&visitor), Mistakes::default()).ok())
}

async fn switch_on(State(console): State<Console>, Submitted { visitor, form }: Submitted) -> Answer {
    let text = |name: &str| form.get(name).to_owned();
    let proof = TotpProof { nonce: text("nonce"), code: text("code"), password: text("password") };
    let again = console.app.totp_again(&visitor, &proof.nonce);
    let done = console.app.totp_switch_on(&visitor, proof).await;
    ended(done, "totp-on", |mistakes| {
        answer(StatusCode::UNPROCESSABLE_ENTITY, &set_up(&console, &visitor, &again, mistakes))
    })
}

async fn ask_off(State(console): State<Console>, Signed(visitor): Signed) -> Answer {
    if !visitor.user.has_totp {
        return Ok(see("/account"));
    }
    Ok(off(&console, &visitor, Mistakes::default()).ok())
}

async fn switch_off(State(console): State<Console>, Submitted { visitor, form }: Submitted) -> Answer {
    let done = console.app.totp_switch_off(&visitor, form.get("proof")).await;
    ended(done, "totp-off", |mistakes| {
        answer(StatusCode::UNPROCESSABLE_ENTITY, &off(&console, &visitor, mistakes))
    })
}

fn ended(done: Result<(), AppError>, word: &str, page: impl FnOnce(Mistakes) -> Response) -> Answer {
    match done {
        Ok(()) => Ok(see(&format!("/account?told={word}"))),
        Err(AppError::Invalid(problems)) => Ok(page(Mistakes::of(problems))),
        Err(error) => Err(error.into()),
    }
}
