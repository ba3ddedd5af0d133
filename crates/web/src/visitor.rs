//! Who is signed in, by the cookie of their browser. Whoever is not is shown the way to sign in, and comes back from there.

use crate::Console;
use crate::cookie::Cookie;
use crate::refusal::Refusal;
use app::AppError;
use app::sign_in::Visitor;
use axum::extract::FromRequestParts;
use http::Method;
use http::request::Parts;

/// A person who is signed in.
#[derive(Clone, Debug)]
pub(crate) struct Signed(pub(crate) Visitor);

impl FromRequestParts<Console> for Signed {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, console: &Console) -> Result<Self, Refusal> {
        let cookie = console.cookie(&parts.headers, Cookie::Session).unwrap_or_default();
        match console.app.visitor(cookie).await {
            Ok(visitor) => Ok(Self(visitor)),
            Err(AppError::Unauthenticated) => Err(Refusal::SignIn(way_back(parts))),
            Err(error) => Err(error.into()),
        }
    }
}

/// Where they wanted to go. What a form would have done is not done later by itself.
fn way_back(parts: &Parts) -> Option<String> {
    // Nested routes are given the rest of the path only.
    let original =
        parts.extensions.get::<axum::extract::OriginalUri>().map_or(&parts.uri, |original| &original.0);
    let path = original.path_and_query().map(|path| path.as_str().to_owned());
    path.filter(|path| parts.method == Method::GET && path != "/")
}
