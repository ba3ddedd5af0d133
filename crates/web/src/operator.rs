//! For whoever runs the server: `posthaste user`, beside a server that has the store. The credential is made of the encryption key,
//! which only they have; it opens nothing else.

use crate::Console;
use crate::refusal::{Answer, Refusal};
use app::AppError;
use app::user::Newcomer;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use domain::role::Role;
use domain::user::User;
use http::StatusCode;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap};
use serde_json::{Value, json};

pub(crate) fn router() -> Router<Console> {
    Router::new()
        .route("/operator/user", get(list).post(create))
        .route("/operator/user/link", post(link))
        .route("/operator/user/reset-totp", post(reset_totp))
}

fn check(console: &Console, headers: &HeaderMap) -> Result<(), Refusal> {
    let wanted = format!("Bearer {}", console.settings.operator_token);
    let given = headers.get(AUTHORIZATION).map(|value| value.as_bytes()).unwrap_or_default();
    let fits = verify_slices_are_equal(given, wanted.as_bytes()).is_ok();
    if fits && !console.settings.operator_token.is_empty() {
        return Ok(());
    }
    Err(AppError::NotFound.into())
}

fn answered(status: StatusCode, value: &Value) -> Response {
    let headers = [(CONTENT_TYPE, "application/json")];
    (status, headers, Body::from(value.to_string())).into_response()
}

/// Errors are for a command to print.
fn refused(error: AppError) -> Answer {
    let (status, detail) = match error {
        AppError::Invalid(problems) => {
            let all = problems
                .iter()
                .map(|one| format!("{}: {}", one.at.last().map_or("", |name| name), one.message));
            (StatusCode::UNPROCESSABLE_ENTITY, all.collect::<Vec<_>>().join("; "))
        }
        AppError::NotFound => (StatusCode::NOT_FOUND, "There is no user with this address.".to_owned()),
        AppError::Conflict { detail, .. } => (StatusCode::CONFLICT, detail),
        error => return Err(error.into()),
    };
    Ok(answered(status, &json!({"detail": detail})))
}

fn shown(user: &User) -> Value {
    json!({
        "id": user.id,
        "email": user.email,
        "name": user.name,
        "role": user.role_everywhere().map(Role::word),
        "applications": user.memberships.iter().filter(|one| one.application.is_some()).count(),
        "hasPassword": user.has_password,
        "hasTotp": user.has_totp,
    })
}

async fn list(State(console): State<Console>, headers: HeaderMap) -> Answer {
    check(&console, &headers)?;
    let users = console.app.users().await?;
    Ok(answered(StatusCode::OK, &json!({"data": users.iter().map(shown).collect::<Vec<_>>()})))
}

async fn create(State(console): State<Console>, headers: HeaderMap, body: Bytes) -> Answer {
    check(&console, &headers)?;
    let given: Value = serde_json::from_slice(&body).unwrap_or_default();
    let text = |name: &str| given.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let password = given.get("password").and_then(Value::as_str).map(str::to_owned);
    let newcomer = Newcomer { email: text("email"), name: text("name"), password };
    let Some(role) = Role::from_word(&text("role")) else {
        return refused(AppError::invalid("role", "must be viewer, member, manager or administrator"));
    };
    match console.app.user_create(newcomer, role).await {
        Ok(user) => Ok(answered(StatusCode::CREATED, &json!({"user": shown(&user)}))),
        Err(error) => refused(error),
    }
}

async fn link(State(console): State<Console>, headers: HeaderMap, body: Bytes) -> Answer {
    check(&console, &headers)?;
    let given: Value = serde_json::from_slice(&body).unwrap_or_default();
    let email = given.get("email").and_then(Value::as_str).unwrap_or_default();
    match console.app.password_link_for(email).await {
        Ok(link) => {
            let link = format!("{}/password/{link}", console.settings.public_url);
            Ok(answered(StatusCode::CREATED, &json!({"link": link})))
        }
        Err(error) => refused(error),
    }
}

async fn reset_totp(State(console): State<Console>, headers: HeaderMap, body: Bytes) -> Answer {
    check(&console, &headers)?;
    let given: Value = serde_json::from_slice(&body).unwrap_or_default();
    let email = given.get("email").and_then(Value::as_str).unwrap_or_default();
    match console.app.totp_reset(email).await {
        Ok(()) => Ok(answered(StatusCode::OK, &json!({}))),
        Err(error) => refused(error),
    }
}
