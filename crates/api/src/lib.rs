//! The HTTP API: wire types and routes, one file a noun.
//!
//! A handler extracts, makes one call to `app` and answers. [`error`] is the only place that maps errors to HTTP.
//! Routes and their OpenAPI description come from one list, so that they cannot drift. Every answer is made by
//! [`answer`], which also lets browsers read it (CORS), so that no layer stands around the hot path, `POST …/msg`.
//!
//! | part | duty |
//! |---|---|
//! | `received`, `caller`, `query`, `path` | what a request says, read once, refused with its exact error |
//! | `body` | bodies: how long they are waited for, and read to their end before an early answer |
//! | `json` | bodies field by field, all wrong fields at once |
//! | `page` | iterators of lists |
//! | `once` | POSTs with an idempotency key |
//! | `service` | the hot route straight, all others by way of the router |
//! | `fallback`, `guard` | unknown routes, other methods, preflights, trailing slashes; panics |

mod answer;
mod api_key;
mod application;
mod attempt;
mod body;
mod caller;
mod credentials;
mod destination;
mod diagnose;
mod endpoint;
mod endpoint_auth;
mod endpoint_health;
mod endpoint_options;
mod environment;
mod error;
mod event_type;
mod fallback;
mod guard;
mod header;
mod health;
mod json;
mod message;
mod message_in;
mod message_out;
mod notice;
mod notify;
mod once;
mod openapi;
mod operational;
mod page;
mod path;
mod portal;
mod query;
mod received;
mod resend;
mod secret;
mod service;
mod session;
mod stats;
mod task;
mod task_in;
mod trial;
mod unsubscribe;
mod wire;

pub use service::Service;

use app::App;
use axum::extract::FromRef;
use std::time::Duration;

/// What the operator chose for the API.
#[derive(Clone, Copy, Debug)]
pub struct ApiSettings {
    /// A request's body, in bytes at most.
    pub request_body_bytes_max: usize,
    /// How long a body may make no progress: then the answer is 408.
    pub request_body_pause_max: Duration,
    /// How long a body that nobody wants is read before the answer.
    pub request_body_drain_max: Duration,
}

impl Default for ApiSettings {
    fn default() -> Self {
        Self {
            request_body_bytes_max: domain::limit::REQUEST_BODY_BYTES_MAX,
            request_body_pause_max: Duration::from_secs(domain::limit::REQUEST_BODY_PAUSE_SECONDS_MAX),
            request_body_drain_max: Duration::from_secs(domain::limit::REQUEST_BODY_DRAIN_SECONDS_MAX),
        }
    }
}

/// What every handler is given.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    app: App,
    settings: ApiSettings,
}

impl FromRef<Api> for App {
    fn from_ref(api: &Api) -> Self {
        api.app.clone()
    }
}

/// The OpenAPI 3.1 description of all routes.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    openapi::routes().split_for_parts().1
}
