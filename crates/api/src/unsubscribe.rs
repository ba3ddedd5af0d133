//! The page behind an e-mail's way out. No one signs in for it: the link itself says whose e-mails it is about.

use crate::Api;
use app::{App, AppError};
use axum::Router;
use axum::extract::{Path, RawForm, State};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use domain::html::escaped;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY};
use http::{HeaderValue, StatusCode};

/// The field of the form by which e-mails are wanted again.
const AGAIN: &[u8] = b"again=";
const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:34em;margin:15vh auto 0;padding:0 1.5em}\
                     h1{font-size:1.3em}button{font:inherit;padding:.5em 1.2em;border-radius:.4em;border:1px solid;cursor:pointer}";
/// The page's own style and form, and nothing else (CSP; the hash is that of the style).
const POLICY: &str = "default-src 'none'; style-src 'sha256-i8e1bCINUuhOQw1ZrWBodMXh/rq4L+zPmR+3b5+cmuc='; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";

pub(crate) fn router() -> Router<Api> {
    Router::new().route("/unsubscribe/{token}", get(look).post(change))
}

async fn look(State(app): State<App>, Path(token): Path<String>) -> Response {
    match app.unsubscribe_look(&token).await {
        Ok((names, true)) => wanted(&names),
        Ok((names, false)) => unwanted(&names),
        Err(error) => refused(&error),
    }
}

/// The page's button, and a mail program's own (RFC 8058).
async fn change(State(app): State<App>, Path(token): Path<String>, RawForm(form): RawForm) -> Response {
    let wants_again = form.starts_with(AGAIN);
    match app.unsubscribe(&token, !wants_again).await {
        Ok(names) if wants_again => wanted(&names),
        Ok(names) => unwanted(&names),
        Err(error) => refused(&error),
    }
}

fn wanted(names: &[String]) -> Response {
    let name = escaped(&names.join(", "));
    page(
        StatusCode::OK,
        "E-mails about webhooks",
        &format!(
            "<p>You get e-mails when a webhook of <b>{name}</b> fails, is disabled, or works again.</p>\
             <form method=\"post\"><button>No more of these</button></form>"
        ),
    )
}

fn unwanted(names: &[String]) -> Response {
    let name = escaped(&names.join(", "));
    page(
        StatusCode::OK,
        "You get no more e-mails",
        &format!(
            "<p>Nothing is sent to you any more about the webhooks of <b>{name}</b>.</p>\
             <form method=\"post\"><input type=\"hidden\" name=\"again\" value=\"1\">\
             <button>Send them again</button></form>"
        ),
    )
}

fn refused(error: &AppError) -> Response {
    if *error == AppError::NotFound {
        let text = "<p>It is not complete, or what it was about is gone. Open it again from the e-mail.</p>";
        return page(StatusCode::NOT_FOUND, "This link leads nowhere", text);
    }
    tracing::warn!(%error, "a recipient could not unsubscribe");
    page(StatusCode::SERVICE_UNAVAILABLE, "This did not work", "<p>Try it again in a minute.</p>")
}

fn page(status: StatusCode, title: &str, body: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"color-scheme\" content=\"light dark\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title><style>{STYLE}</style></head>\
         <body><main><h1>{title}</h1>{body}</main></body></html>"
    );
    let headers = [
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    (status, headers, Html(html)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::digest::{SHA256, digest};
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    #[test]
    fn the_policy_names_the_hash_of_the_style() {
        let hash = STANDARD.encode(digest(&SHA256, STYLE.as_bytes()));
        assert!(POLICY.contains(&format!("'sha256-{hash}'")), "{hash}");
    }
}
