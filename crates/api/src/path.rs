//! Path parameters, each combination once.

use crate::error::Failure;
use app::{AppError, Place, Principal};
use axum::extract::{FromRequestParts, Path};
use http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

/// Path parameters; what does not read as text names nothing.
#[derive(Debug)]
pub(crate) struct At<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for At<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let read = Path::<T>::from_request_parts(parts, state).await;
        read.map(|Path(at)| Self(at)).map_err(|_| Failure::App(AppError::NotFound))
    }
}

/// An application.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct AppPath {
    /// The application's id or uid.
    pub(crate) app_id: String,
}

/// An endpoint.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct EndpointPath {
    /// The application's id or uid.
    pub(crate) app_id: String,
    /// The endpoint's id or uid.
    pub(crate) endpoint_id: String,
}

/// A message.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct MessagePath {
    /// The application's id or uid.
    pub(crate) app_id: String,
    /// The message's id or event id.
    pub(crate) msg_id: String,
}

/// An attempt.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct AttemptPath {
    /// The application's id or uid.
    pub(crate) app_id: String,
    /// The message's id or event id.
    pub(crate) msg_id: String,
    /// The attempt's id.
    pub(crate) attempt_id: String,
}

/// A message and one endpoint.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct DeliveryPath {
    /// The application's id or uid.
    pub(crate) app_id: String,
    /// The message's id or event id.
    pub(crate) msg_id: String,
    /// The endpoint's id or uid.
    pub(crate) endpoint_id: String,
}

/// An event type.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct EventTypePath {
    /// The event type's name.
    pub(crate) event_type_name: String,
}

impl EndpointPath {
    /// The endpoint, as `principal` asks for it.
    pub(crate) fn by<'a>(&'a self, principal: &'a Principal) -> Place<'a> {
        Place { principal, application: &self.app_id, id: &self.endpoint_id }
    }
}

impl MessagePath {
    /// The message, as `principal` asks for it.
    pub(crate) fn by<'a>(&'a self, principal: &'a Principal) -> Place<'a> {
        Place { principal, application: &self.app_id, id: &self.msg_id }
    }
}

impl AttemptPath {
    /// The attempt's message, as `principal` asks for it.
    pub(crate) fn message<'a>(&'a self, principal: &'a Principal) -> Place<'a> {
        Place { principal, application: &self.app_id, id: &self.msg_id }
    }
}

impl DeliveryPath {
    /// The delivery's message, as `principal` asks for it.
    pub(crate) fn message<'a>(&'a self, principal: &'a Principal) -> Place<'a> {
        Place { principal, application: &self.app_id, id: &self.msg_id }
    }
}

/// The header of POSTs that makes a repeated one harmless.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes a header; it is read with the body")]
pub(crate) struct IdempotencyKey {
    /// A key of the client's choice: the same POST with the same key has one effect and one answer.
    #[param(rename = "idempotency-key")]
    idempotency_key: Option<String>,
}
