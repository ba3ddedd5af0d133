//! What no route answers: unknown paths, other methods, browsers' preflights, trailing slashes.

use crate::answer::Answer;
use crate::error::Failure;
use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, HeaderMap, HeaderValue, VARY,
};
use http::uri::PathAndQuery;
use http::{Method, Uri};
use tower_service::Service;

/// The routes with all of that around them. Only requests that match no route pay for it.
pub(crate) fn around(routes: Router) -> Router {
    let routes = routes.method_not_allowed_fallback(wrong_method);
    let exact = routes.clone().fallback(no_route);
    routes.fallback(move |request: Request| trimmed(exact.clone(), request))
}

/// Tries again without the trailing slash.
async fn trimmed(mut exact: Router, mut request: Request) -> Response {
    if let Some(uri) = without_slash(request.uri()) {
        *request.uri_mut() = uri;
    }
    match exact.call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

fn without_slash(uri: &Uri) -> Option<Uri> {
    let path = uri.path().strip_suffix('/').filter(|path| !path.is_empty())?;
    let text = uri.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(text).ok()?);
    Uri::from_parts(parts).ok()
}

async fn no_route(request: Request) -> Response {
    if request.method() == Method::OPTIONS {
        return preflight(request.headers());
    }
    Failure::NoRoute.into_response()
}

async fn wrong_method(request: Request) -> Response {
    if request.method() == Method::OPTIONS {
        return preflight(request.headers());
    }
    Failure::WrongMethod(request.method().to_string()).into_response()
}

/// Allows any origin what it asks for: credentials travel in a header of the caller's own, never in cookies.
fn preflight(asked: &HeaderMap) -> Response {
    let mut response = Answer::nothing().into_response();
    let headers = response.headers_mut();
    let methods = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
    let mirrored = asked.get(ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, mirrored.unwrap_or(HeaderValue::from_static("*")));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    headers.insert(VARY, HeaderValue::from_static("access-control-request-headers"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_trailing_slash_is_taken_off_and_the_query_stays() {
        let trimmed = |text: &'static str| without_slash(&Uri::from_static(text)).map(|uri| uri.to_string());
        assert_eq!(trimmed("/api/v1/app/?limit=2"), Some("/api/v1/app?limit=2".into()));
        assert_eq!(trimmed("/api/v1/app/"), Some("/api/v1/app".into()));
        assert_eq!([trimmed("/api/v1/app"), trimmed("/")], [None, None]);
    }
}
