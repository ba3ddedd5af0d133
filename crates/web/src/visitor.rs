//! Who is signed in, by the cookie of their browser. Whoever is not is shown the way to sign in, and comes back from there.

use crate::Console;
use crate::client::Client;
use crate::cookie::Cookie;
use crate::refusal::Refusal;
use app::AppError;
use app::sign_in::Visitor;
use axum::extract::{FromRequestParts, OriginalUri};
use http::request::Parts;
use http::{Method, Uri};

/// A person who is signed in.
#[derive(Clone, Debug)]
pub(crate) struct Signed(pub(crate) Visitor);

impl FromRequestParts<Console> for Signed {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, console: &Console) -> Result<Self, Refusal> {
        let Ok(Client(from)) = Client::from_request_parts(parts, console).await;
        let cookie = console.cookie(&parts.headers, Cookie::Session).unwrap_or_default();
        match console.app.visitor(cookie, &from).await {
            Ok(visitor) => Ok(Self(visitor)),
            // Whoever is a user is not a guest.
            Err(AppError::Unauthenticated) => {
                let guest = console.cookie(&parts.headers, Cookie::Guest).unwrap_or_default();
                match console.app.guest(guest, &from).await {
                    Ok(guest) if is_for_guests(parts) => Ok(Self(guest)),
                    Ok(_) => Err(AppError::NotFound.into()),
                    Err(AppError::Unauthenticated) => Err(Refusal::SignIn(way_back(parts))),
                    Err(error) => Err(error.into()),
                }
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// A guest has an application, and nothing else: no account, no environment.
fn is_for_guests(parts: &Parts) -> bool {
    let path = original(parts).path();
    path == "/" || path == "/logout" || path.starts_with("/app/")
}

/// Nested routes are given the rest of the path only.
fn original(parts: &Parts) -> &Uri {
    parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |original| &original.0)
}

/// Where they wanted to go. What a form would have done is not done later by itself.
fn way_back(parts: &Parts) -> Option<String> {
    let path = original(parts).path_and_query().map(|path| path.as_str().to_owned());
    path.filter(|path| parts.method == Method::GET && path != "/")
}
