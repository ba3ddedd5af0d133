//! What the HTTP server asks: the hot route straight, everything else by way of the router.
//!
//! Routing, boxed handlers and path parameters cost about 2 µs a request. `POST …/msg` in its plain spelling, which is
//! what SDKs send, does without; any other spelling of it takes the router's way to the same handler.

use crate::body::{Lent, drain};
use crate::{Api, ApiSettings, fallback, message, openapi, unsubscribe};
use app::App;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use axum::response::Response;
use http::{Method, Request, StatusCode};
use std::net::SocketAddr;
use tower_service::Service as _;

/// Everything that one listener answers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Service {
    api: Option<Api>,
    routes: Router,
}

impl Service {
    /// The API, with other routes beside it.
    #[must_use]
    pub fn new(app: App, settings: ApiSettings, beside: Router) -> Self {
        let api = Api { app, settings };
        let (routes, document) = openapi::routes().split_for_parts();
        let routes = fallback::around(
            routes.merge(openapi::route(&document)).merge(unsubscribe::router()).with_state(api.clone()),
        );
        Self { api: Some(api), routes: routes.merge(beside) }
    }

    /// Answers one request. Where its connection comes from, `peer`, all but the hot route are told.
    pub async fn answer<B>(&self, mut request: Request<B>, peer: Option<SocketAddr>) -> Response
    where
        B: http_body::Body<Data = Bytes, Error: std::error::Error + Send + Sync> + Send + Unpin + 'static,
    {
        if let (Some(api), Some(application)) = (&self.api, hot(&request)) {
            let application = application.to_owned();
            return message::create_hot(api, application, request).await;
        }
        if let Some(peer) = peer {
            request.extensions_mut().insert(ConnectInfo(peer));
        }
        let Some(api) = self.api.as_ref().filter(|_| !request.body().is_end_stream()) else {
            return self.route(request.map(Body::new)).await;
        };
        // Unknown routes, wrong methods and methods without a body leave it unread, and a client that is still sending
        // would not see the answer.
        let (parts, body) = request.into_parts();
        let lent = Lent::new(Body::new(body));
        let response = self.route(Request::from_parts(parts, Body::new(lent.clone()))).await;
        if response.status() != StatusCode::REQUEST_TIMEOUT {
            drain(lent, api.settings).await;
        }
        response
    }

    /// What changes something is done to its end, also when the client hangs up: the audit log's entry comes right after the change.
    async fn route(&self, request: Request<Body>) -> Response {
        let changes = !request.method().is_safe();
        let work = self.routes.clone().call(request);
        let routed = match self.api.as_ref().filter(|_| changes) {
            Some(api) => api.app.to_its_end(work).await,
            None => work.await,
        };
        match routed {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

impl From<Router> for Service {
    fn from(routes: Router) -> Self {
        Self { api: None, routes }
    }
}

/// The application of a plain `POST /api/v1/app/{app_id}/msg`.
fn hot<B>(request: &Request<B>) -> Option<&str> {
    let rest = request.uri().path().strip_prefix("/api/v1/app/")?;
    let application = rest.strip_suffix("/msg")?;
    let plain = application.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    (plain && !application.is_empty() && request.method() == Method::POST).then_some(application)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_plain_spelling_is_hot() {
        let application = |method: Method, uri: &str| {
            hot(&Request::builder().method(method).uri(uri).body(()).unwrap()).map(ToOwned::to_owned)
        };
        assert_eq!(
            application(Method::POST, "/api/v1/app/a-1_b.c/msg?with_content=false"),
            Some("a-1_b.c".into())
        );
        for other in [
            "/api/v1/app//msg",
            "/api/v1/app/a%20b/msg",
            "/api/v1/app/a/b/msg",
            "/api/v1/app/a/msg/",
            "/api/v1/app/a/msg/x",
            "/api/v1/app/msg",
        ] {
            assert_eq!(application(Method::POST, other), None, "{other}");
        }
        assert_eq!(application(Method::GET, "/api/v1/app/a/msg"), None);
    }
}
