//! What went wrong, as a page that says so and what to do.

use crate::brand::Brand;
use crate::page::{Page, answer};
use app::AppError;
use askama::Template;
use axum::Extension;
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use std::sync::Arc;
use url::form_urlencoded;

/// Why there is no page.
#[derive(Clone, Debug)]
pub(crate) enum Refusal {
    /// Nobody is signed in; where they wanted to go.
    SignIn(Option<String>),
    /// A form that no page of theirs has sent.
    Foreign,
    /// A form that is too large.
    TooLarge,
    /// What a use case says.
    App(AppError),
}

/// What a handler answers.
pub(crate) type Answer = Result<Response, Refusal>;

impl From<AppError> for Refusal {
    fn from(error: AppError) -> Self {
        Self::App(error)
    }
}

/// The page of a refusal: it stands for itself, since the shell around pages may be what is missing.
#[derive(Template)]
#[template(path = "refusal.html")]
struct RefusalPage {
    brand: Arc<Brand>,
    told: Told,
}

/// What it says. It goes along with an answer until the layer around all pages, which knows how they look, makes a page of it.
#[derive(Clone, Debug)]
struct Told {
    title: &'static str,
    text: String,
}

impl Page for RefusalPage {}

fn page(status: StatusCode, title: &'static str, text: impl Into<String>) -> Response {
    (status, Extension(Told { title, text: text.into() })).into_response()
}

/// Makes the page of an answer that is a refusal.
pub(crate) fn shown(mut response: Response, brand: &Arc<Brand>) -> Response {
    let Some(told) = response.extensions_mut().remove::<Told>() else { return response };
    answer(response.status(), &RefusalPage { brand: brand.clone(), told })
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::SignIn(None) => Redirect::to("/login").into_response(),
            Self::SignIn(Some(back)) => {
                let back: String = form_urlencoded::byte_serialize(back.as_bytes()).collect();
                Redirect::to(&format!("/login?next={back}")).into_response()
            }
            Self::Foreign => page(
                StatusCode::FORBIDDEN,
                "This form is not from here",
                "It was sent by another site, or the page was open since before you signed in. Nothing was changed. \
                 Go back, load the page anew, and try again.",
            ),
            Self::TooLarge => page(
                StatusCode::PAYLOAD_TOO_LARGE,
                "That is too much",
                "The form holds more than 2 MB. Nothing was changed.",
            ),
            Self::App(error) => of_app(error),
        }
    }
}

fn of_app(error: AppError) -> Response {
    match error {
        AppError::Unauthenticated => Redirect::to("/login").into_response(),
        AppError::NotFound => page(
            StatusCode::NOT_FOUND,
            "There is nothing here",
            "It was deleted, the address is not complete, or it is not yours to see.",
        ),
        AppError::Forbidden(why) => page(StatusCode::FORBIDDEN, "That is not yours to do", why),
        AppError::TooMany(why) => page(StatusCode::TOO_MANY_REQUESTS, "Slow down a little", why),
        AppError::Conflict { detail, .. } => page(StatusCode::CONFLICT, "That cannot be", detail),
        AppError::Refused { detail, .. } => {
            page(StatusCode::UNPROCESSABLE_ENTITY, "That cannot be done", detail)
        }
        AppError::Invalid(problems) => {
            let texts: Vec<_> = problems
                .iter()
                .map(|problem| format!("{}: {}", problem.at.join("."), problem.message))
                .collect();
            page(StatusCode::UNPROCESSABLE_ENTITY, "Something in it is wrong", texts.join("; "))
        }
        AppError::Unavailable(why) => {
            tracing::warn!(%why, "a page could not be made");
            page(
                StatusCode::SERVICE_UNAVAILABLE,
                "The store cannot be reached",
                "Nothing was changed. Try it again in a minute.",
            )
        }
        AppError::Broken(why) => {
            tracing::error!(%why, "a page failed");
            broken()
        }
    }
}

/// Ours to mend.
pub(crate) fn broken() -> Response {
    page(
        StatusCode::INTERNAL_SERVER_ERROR,
        "Something is wrong on our side",
        "It stands in the server's log. Nothing that was accepted is lost.",
    )
}

/// No page has this address.
pub(crate) async fn no_page() -> Response {
    of_app(AppError::NotFound)
}
