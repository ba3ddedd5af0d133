//! Into the console by an identity provider: away to it, and back.
//!
//! Both are plain links: a form that ends at another site is not allowed by our policy, and nothing changes by going there.

use crate::Console;
use crate::client::Client;
use crate::cookie::Cookie;
use crate::page::{answer, see};
use crate::refusal::Answer;
use crate::sign_in::{Login, welcome};
use app::AppError;
use app::oidc::{Arrived, NOT_BEGUN, PROVIDER_FAILED, ProviderAnswer};
use axum::Router;
use axum::extract::{Query, State};
use axum::response::Response;
use axum::routing::get;
use http::StatusCode;
use http::header::{HeaderMap, SET_COOKIE};
use std::collections::HashMap;

pub(crate) fn router() -> Router<Console> {
    Router::new().route("/oidc/begin", get(begin)).route("/oidc/callback", get(callback))
}

type Parameters = Query<HashMap<String, String>>;

async fn begin(State(console): State<Console>, Query(mut query): Parameters) -> Answer {
    let next = query.remove("next").unwrap_or_default();
    let sent = match console.app.oidc_begin(&next).await {
        Ok(sent) => sent,
        Err(error) => return not_let_in(&console, next, error),
    };
    let mut response = see(&sent.url);
    if let Some(cookie) = console.keep_cookie(Cookie::Begun, &sent.cookie) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    Ok(response)
}

async fn callback(
    State(console): State<Console>,
    Client(from): Client,
    headers: HeaderMap,
    Query(mut query): Parameters,
) -> Answer {
    let provider_answer = ProviderAnswer {
        state: query.remove("state").unwrap_or_default(),
        code: query.remove("code"),
        error: query.remove("error"),
        issuer: query.remove("iss"),
    };
    let begun = console.cookie(&headers, Cookie::Begun).unwrap_or_default();
    match console.app.oidc_finish(provider_answer, begun, from).await {
        Ok(Arrived { cookie, next }) => Ok(ended(&console, welcome(&console, &cookie, &next))),
        Err(error @ AppError::Refused { code: NOT_BEGUN, .. }) => not_let_in(&console, String::new(), error),
        Err(error) => Ok(ended(&console, not_let_in(&console, String::new(), error)?)),
    }
}

/// The sign-in is over: what was kept for it goes.
fn ended(console: &Console, mut response: Response) -> Response {
    if let Some(cookie) = console.drop_cookie(Cookie::Begun) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

/// The log-in once more, with why.
fn not_let_in(console: &Console, next: String, error: AppError) -> Answer {
    let (status, why) = match error {
        AppError::Refused { code: PROVIDER_FAILED, detail } => (StatusCode::BAD_GATEWAY, detail),
        AppError::Refused { detail, .. } => (StatusCode::UNAUTHORIZED, detail),
        AppError::TooMany(why) => (StatusCode::TOO_MANY_REQUESTS, why),
        error => return Err(error.into()),
    };
    Ok(answer(status, &Login::new(console, next).after(why)))
}
