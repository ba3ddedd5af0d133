//! Portal links: whoever has one is a guest in one application, also within a page of the operator's own (`frame-ancestors`).

use crate::Console;
use crate::client::Client;
use crate::cookie::Cookie;
use crate::page::see;
use crate::refusal::Answer;
use crate::sign_in::dead;
use app::AppError;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use http::header::SET_COOKIE;

pub(crate) fn router() -> Router<Console> {
    Router::new().route("/portal/{token}", get(enter))
}

async fn enter(State(console): State<Console>, Client(from): Client, Path(token): Path<String>) -> Answer {
    let guest = match console.app.guest(&token, &from).await {
        Err(AppError::Unauthenticated) => {
            return Ok(dead(&console, "It does not hold any more. Open it again from where you found it."));
        }
        guest => guest?,
    };
    let portal = guest.portal.as_ref().ok_or(AppError::NotFound)?;
    let mut response = see(&format!("/app/{}/endpoint", console.app.guests_application(portal)?));
    if let Some(cookie) = console.keep_cookie(Cookie::Guest, &token) {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    Ok(response)
}
