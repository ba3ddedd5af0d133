//! From a filled template to an answer.

use crate::refusal;
use askama::Template;
use axum::body::Body;
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};

/// A page or a part of one.
pub(crate) trait Page: Template {
    /// The answer with this page.
    fn ok(&self) -> Response
    where
        Self: Sized,
    {
        answer(StatusCode::OK, self)
    }
}

/// An answer with this page under this status.
pub(crate) fn answer(status: StatusCode, page: &impl Page) -> Response {
    match page.render() {
        Ok(html) => {
            let mut response = Response::new(Body::from(html));
            *response.status_mut() = status;
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
            response
        }
        Err(error) => {
            tracing::error!(%error, "a template failed");
            refusal::broken()
        }
    }
}

/// Goes on to another page, by GET (RFC 9110, section 15.4.4).
pub(crate) fn see(path: &str) -> Response {
    Redirect::to(path).into_response()
}
