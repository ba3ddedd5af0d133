//! Answers: a status and JSON bytes. All responses of the API are made here, with what every one of them needs.

use app::idempotency::Answered;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use serde::Serialize;

/// Seconds after which a client should try again when the store cannot write.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("5");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const ANY: HeaderValue = HeaderValue::from_static("*");

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// JSON, or nothing.
    pub(crate) body: Bytes,
}

impl Answer {
    /// 200.
    pub(crate) fn ok(value: &impl Serialize) -> Self {
        Self::json(StatusCode::OK, value)
    }

    /// 201 when something was created, otherwise 200.
    pub(crate) fn made(created: bool, value: &impl Serialize) -> Self {
        Self::json(if created { StatusCode::CREATED } else { StatusCode::OK }, value)
    }

    /// 204.
    pub(crate) const fn nothing() -> Self {
        Self { status: StatusCode::NO_CONTENT, body: Bytes::new() }
    }

    /// A JSON body under this status.
    pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Self {
        let mut body = Vec::with_capacity(512);
        put(&mut body, value);
        Self { status, body: body.into() }
    }
}

/// Appends a value as JSON. What is answered are strings, numbers and maps with string keys: that never fails.
pub(crate) fn put(out: &mut Vec<u8>, value: &impl Serialize) {
    let written = serde_json::to_writer(out, value);
    debug_assert!(written.is_ok(), "an answer that is not JSON: {written:?}");
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let empty = self.body.is_empty();
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANY);
        if !empty {
            headers.insert(CONTENT_TYPE, JSON);
        }
        match self.status {
            StatusCode::SERVICE_UNAVAILABLE => _ = headers.insert(RETRY_AFTER, RETRY_AFTER_SECONDS),
            StatusCode::TOO_MANY_REQUESTS => _ = headers.insert(RETRY_AFTER, HeaderValue::from_static("1")),
            StatusCode::REQUEST_TIMEOUT => _ = headers.insert(CONNECTION, HeaderValue::from_static("close")),
            StatusCode::UNAUTHORIZED => {
                _ = headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
            }
            _ => {}
        }
        response
    }
}

impl From<Answered> for Answer {
    fn from(answered: Answered) -> Self {
        let status = StatusCode::from_u16(answered.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, body: answered.body }
    }
}

impl From<Answer> for Answered {
    fn from(answer: Answer) -> Self {
        Self { status: answer.status.as_u16(), body: answer.body }
    }
}
