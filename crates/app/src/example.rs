//! Example events: a real message to one endpoint, so that a developer sees what will arrive.

use crate::App;
use crate::delivery::refuse_disabled;
use crate::error::{AppError, Result};
use crate::principal::{Place, Principal, Right};
use crate::schema::newest;
use bytes::Bytes;
use domain::event_type::EventType;
use domain::message::{Message, Overrides};
use serde_json::{Map, Value};
use std::sync::Arc;
use store::StoreError;
use store::message::NewMessage;

/// The event type that always has an example.
const PING: &str = "svix.ping";
/// Its payload.
const PING_PAYLOAD: &[u8] = br#"{"type":"svix.ping","data":{"message":"This webhook works."}}"#;

impl App {
    /// Sends the event type's example to one endpoint as a message of its own.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`; `Refused` when the endpoint is disabled, and with `invalid_scheme` when the event type
    /// has no example.
    pub async fn example_send(&self, at: Place<'_>, event_type: &str, index: usize) -> Result<Arc<Message>> {
        at.principal.may_in_environment(Right::Send)?;
        self.test_send(at, event_type, index).await
    }

    /// The same for those who may send in this application alone: what the console's *Send test* does.
    ///
    /// # Errors
    /// As [`App::example_send`].
    pub async fn test_send(&self, at: Place<'_>, event_type: &str, index: usize) -> Result<Arc<Message>> {
        let endpoint = self.endpoint_of(at, Right::Send).await?;
        refuse_disabled(&endpoint)?;
        let payload = self.example(at.principal, event_type, index).await?;
        let route = self.store().routing().route(endpoint.key).ok_or(AppError::NotFound)?;
        let (deliveries, slot) = self.admissions(std::iter::once(&route), false, payload.len());
        let new = NewMessage {
            application: endpoint.application,
            event_type: event_type.to_owned(),
            event_id: None,
            channels: Vec::new(),
            tags: Vec::new(),
            payload,
            payload_expires_at: None,
            deliver_at: None,
            overrides: Overrides::default(),
            deliveries,
            key: None,
            slot,
        };
        Ok(self.store().accept(new).await?)
    }

    pub(crate) async fn example(&self, principal: &Principal, name: &str, index: usize) -> Result<Bytes> {
        if name == PING {
            return Ok(Bytes::from_static(PING_PAYLOAD));
        }
        let none = || {
            let detail = format!(
                "The event type `{name}` has no example at index {index}: add `examples` to its schema."
            );
            AppError::refused("invalid_scheme", detail)
        };
        let event_type = match self.store().event_type_get(principal.environment.key, name).await {
            Err(StoreError::NotFound) => return Err(none()),
            found => found?,
        };
        let example = pick(&event_type, index).ok_or_else(none)?;
        serde_json::to_vec(example).map(Bytes::from).map_err(|_| none())
    }
}

/// The example of the newest schema: its `example`, or one of its `examples`.
fn pick(event_type: &EventType, index: usize) -> Option<&Map<String, Value>> {
    let schema = newest(event_type)?;
    let listed = schema.get("examples").and_then(Value::as_array).and_then(|list| list.get(index));
    let single = if index == 0 { schema.get("example") } else { None };
    listed.or(single)?.as_object()
}
