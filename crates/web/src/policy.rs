//! The headers of every page: what a browser may do with it, and that nobody keeps it.

use crate::cookie::Cookie;
use crate::{Console, refusal};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use futures_util::FutureExt;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use std::panic::AssertUnwindSafe;

/// Our own files and nothing else: what is stored could be a script, and would not run (CSP Level 3). Within which pages it may
/// be shown is said after it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors ";
const HEADERS: [(HeaderName, &str); 4] = [
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    // Links may hold what signs somebody in. (`no-referrer` would also take the origin off our own forms.)
    (REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=(), payment=()"),
];

/// The layer around all pages. A handler's panic is a page too, and nothing of it is told.
pub(crate) async fn of_pages(State(console): State<Console>, request: Request, next: Next) -> Response {
    let policy = format!("{POLICY}{}", console.frames_of(&request));
    let mut response = match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(_) => {
            tracing::error!("a page's handler panicked: the panic's own message is right above");
            refusal::broken()
        }
    };
    response = refusal::shown(response, &console.brand);
    let headers = response.headers_mut();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

impl Console {
    /// Within which pages a request's answer may be shown: a guest's within those that the operator names, any other within none.
    fn frames_of(&self, request: &Request) -> String {
        let has = |cookie| self.cookie(request.headers(), cookie).is_some();
        let is_guest = !has(Cookie::Session) && has(Cookie::Guest);
        let origins = &self.settings.embed_origins;
        if origins.is_empty() || !(is_guest || request.uri().path().starts_with("/portal/")) {
            return "'none'".to_owned();
        }
        origins.join(" ")
    }
}
