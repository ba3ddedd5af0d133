//! Errors to HTTP: the only place. A failure is logged here, once, if it is ours.

use crate::answer::Answer;
use app::{AppError, Problem};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;
use serde_json::json;
use std::time::Duration;
use utoipa::{IntoResponses, ToSchema};

/// What handlers answer.
pub(crate) type Outcome<T = Answer> = Result<T, Failure>;

/// Why a request is not answered as it asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// A use case refused or failed.
    App(AppError),
    /// The body is not JSON.
    NotJson(String),
    /// The body is larger than so many bytes.
    TooLarge(usize),
    /// The body did not arrive.
    Unread(String),
    /// Nothing of the body came for so long.
    TooSlow(Duration),
    /// A query parameter does not parse.
    BadQuery(String),
    /// There is no such route.
    NoRoute,
    /// The route has other methods.
    WrongMethod(String),
    /// A handler panicked.
    Panicked,
}

/// An error for programs and people.
#[derive(Serialize, ToSchema)]
pub(crate) struct HttpError {
    /// A stable word for programs.
    code: &'static str,
    /// A sentence for people.
    detail: String,
}

/// Fields with wrong values.
#[derive(Serialize, ToSchema)]
#[schema(as = HTTPValidationError)]
pub(crate) struct ValidationErrors {
    /// One entry for each wrong field.
    detail: Vec<ValidationError>,
}

/// One wrong field.
#[derive(Serialize, ToSchema)]
pub(crate) struct ValidationError {
    /// The way to it: `body` or `query`, then names; an index is written `[0]`.
    loc: Vec<String>,
    /// What is wrong and what is allowed.
    msg: String,
    /// `value_error` or `value_error.jsondecode`.
    #[serde(rename = "type")]
    kind: &'static str,
}

/// The errors that every operation may answer.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes answers; they are made by `Failure`")]
pub(crate) enum Errors {
    /// The request cannot be done, or a query parameter does not parse.
    #[response(status = 400)]
    Refused(HttpError),
    /// No credential, or one that does not hold.
    #[response(status = 401)]
    Unauthenticated(HttpError),
    /// The credential is not for this.
    #[response(status = 403)]
    Forbidden(HttpError),
    /// There is no such thing.
    #[response(status = 404)]
    NotFound(HttpError),
    /// The body stopped coming.
    #[response(status = 408)]
    TooSlow(HttpError),
    /// It contradicts what is there.
    #[response(status = 409)]
    Conflict(HttpError),
    /// The body is larger than 2 MiB.
    #[response(status = 413)]
    TooLarge(HttpError),
    /// Fields with wrong values.
    #[response(status = 422)]
    Invalid(ValidationErrors),
    /// Too many requests.
    #[response(status = 429)]
    RateLimited(HttpError),
    /// Nothing was stored: try again later.
    #[response(status = 503)]
    Unavailable(HttpError),
}

impl Failure {
    /// The answer to give.
    pub(crate) fn answer(self) -> Answer {
        let (status, code, detail) = match self {
            Self::App(error) => return app_error(error),
            Self::NotJson(message) => {
                return invalid(vec![problem(vec!["body".into()], message, JSON_DECODE)]);
            }
            Self::TooLarge(most) => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "payload_too_large",
                format!("The body is larger than {most} bytes (request_body_bytes_max): send less at once."),
            ),
            Self::Unread(why) => {
                (StatusCode::BAD_REQUEST, "generic_error", format!("The body did not arrive: {why}."))
            }
            Self::TooSlow(pause) => (
                StatusCode::REQUEST_TIMEOUT,
                "request_timeout",
                format!(
                    "The body was waited for {} s (request_body_pause_seconds_max without a byte, ten times that for \
                     the whole) and did not come: send it again at once.",
                    pause.as_secs_f32()
                ),
            ),
            Self::BadQuery(detail) => (StatusCode::BAD_REQUEST, "generic_error", detail),
            Self::NoRoute => (
                StatusCode::NOT_FOUND,
                "not_found",
                "There is no such route: see /api/v1/openapi.json.".into(),
            ),
            Self::WrongMethod(method) => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                format!("This route does not answer {method}: see /api/v1/openapi.json."),
            ),
            Self::Panicked => internal(),
        };
        Answer::json(status, &HttpError { code, detail })
    }
}

const VALUE: &str = "value_error";
const JSON_DECODE: &str = "value_error.jsondecode";

fn app_error(error: AppError) -> Answer {
    let text = error.to_string();
    let (status, code, detail) = match error {
        AppError::Invalid(problems) => {
            let entry =
                |Problem { at, message }| problem(at.into_iter().map(Into::into).collect(), message, VALUE);
            return invalid(problems.into_iter().map(entry).collect());
        }
        AppError::Unauthenticated => (StatusCode::UNAUTHORIZED, "authentication_failed", text),
        AppError::Forbidden(_) => (StatusCode::FORBIDDEN, "insufficient access", text),
        AppError::NotFound => (StatusCode::NOT_FOUND, "not_found", text),
        AppError::Conflict { code, .. } => (StatusCode::CONFLICT, code, text),
        AppError::Refused { code, .. } => (StatusCode::BAD_REQUEST, code, text),
        AppError::TooMany(_) => (StatusCode::TOO_MANY_REQUESTS, "rate_limited", text),
        AppError::Unavailable(why) => {
            tracing::warn!(%why, "a request was refused: the store cannot write");
            let detail = "Nothing was stored: the server cannot write right now. Try again in a few seconds.";
            (StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail.to_owned())
        }
        AppError::Broken(why) => {
            tracing::error!(%why, "a request failed");
            internal()
        }
    };
    Answer::json(status, &HttpError { code, detail })
}

fn internal() -> (StatusCode, &'static str, String) {
    let detail = "The server failed at this request; it is in the server's log.";
    (StatusCode::INTERNAL_SERVER_ERROR, "server_error", detail.to_owned())
}

const fn problem(loc: Vec<String>, msg: String, kind: &'static str) -> ValidationError {
    ValidationError { loc, msg, kind }
}

fn invalid(detail: Vec<ValidationError>) -> Answer {
    Answer::json(StatusCode::UNPROCESSABLE_ENTITY, &json!(ValidationErrors { detail }))
}

impl From<AppError> for Failure {
    fn from(error: AppError) -> Self {
        Self::App(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        self.answer().into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(failure: Failure) -> (u16, String) {
        let answer = failure.answer();
        (answer.status.as_u16(), String::from_utf8(answer.body.to_vec()).unwrap())
    }

    #[test]
    fn errors_have_the_wires_shapes() {
        let table = [
            (Failure::App(AppError::NotFound), 404, r#"{"code":"not_found","detail":"Entity not found"}"#),
            (
                Failure::App(AppError::Unauthenticated),
                401,
                r#"{"code":"authentication_failed","detail":"Invalid token"}"#,
            ),
            (
                Failure::App(AppError::Forbidden("No.".into())),
                403,
                r#"{"code":"insufficient access","detail":"No."}"#,
            ),
            (
                Failure::App(AppError::invalid("url", "bad")),
                422,
                r#"{"detail":[{"loc":["body","url"],"msg":"bad","type":"value_error"}]}"#,
            ),
            (
                Failure::App(AppError::invalid_query("limit", "bad")),
                422,
                r#"{"detail":[{"loc":["query","limit"],"msg":"bad","type":"value_error"}]}"#,
            ),
            (
                Failure::NotJson("bad".into()),
                422,
                r#"{"detail":[{"loc":["body"],"msg":"bad","type":"value_error.jsondecode"}]}"#,
            ),
        ];
        for (failure, status, body) in table {
            assert_eq!(shown(failure), (status, body.to_owned()));
        }
    }

    #[test]
    fn what_is_ours_to_mend_is_not_told() {
        for failure in [Failure::Panicked, Failure::App(AppError::Broken("secret internals".into()))] {
            let (status, body) = shown(failure);
            assert_eq!(status, 500);
            assert!(!body.contains("internals"), "{body}");
        }
        let (status, body) = shown(Failure::App(AppError::Unavailable("/var/lib is full".into())));
        assert_eq!(status, 503);
        assert!(!body.contains("/var"), "{body}");
    }
}
