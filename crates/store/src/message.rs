//! Contract: messages. `accept` is the promise behind a 202.

use crate::error::Result;
use crate::handoff::Slot;
use async_trait::async_trait;
use bytes::Bytes;
use domain::clock::Timestamp;
use domain::id::{ApplicationKey, EndpointKey, MessageId};
use domain::message::{Message, Overrides};
use domain::page::{Page, Slice};
use std::sync::Arc;

/// What sealed overrides are bound to.
pub(crate) const OVERRIDES_PLACE: &str = "message.overrides";

/// What becomes of one matched endpoint when a message is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Handed to dispatch in memory.
    Handoff,
    /// Written as a row that is due at once, or at `deliverAt`.
    Park,
    /// The same, with its place in the endpoint's order (PROTOCOL rule 16).
    Order,
    /// Written as a canceled row: the endpoint is disabled.
    Cancel,
}

/// An idempotency key as the store keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageKey {
    /// Hash of credential, method, path and key.
    pub hash: [u8; 16],
    /// Hash of the body, to tell a repeated request from another one; kept for explicit keys only.
    pub body_hash: [u8; 16],
    /// Whether a client chose it (12 h, a row of its own) or an SDK made it (`auto_`, kept in the message row).
    pub explicit: bool,
}

/// A message before the store gave it an id.
#[derive(Debug)]
pub struct NewMessage {
    /// The application that it belongs to.
    pub application: ApplicationKey,
    /// The event type.
    pub event_type: String,
    /// The client's own id: unique in the application for 24 h.
    pub event_id: Option<String>,
    /// Channels.
    pub channels: Vec<String>,
    /// Labels.
    pub tags: Vec<String>,
    /// The payload's own bytes.
    pub payload: Bytes,
    /// When the payload goes, if before the message.
    pub payload_expires_at: Option<Timestamp>,
    /// When it is to be delivered, if later than at once.
    pub deliver_at: Option<Timestamp>,
    /// What was overridden for it.
    pub overrides: Overrides,
    /// The matched endpoints, each once.
    pub deliveries: Vec<(EndpointKey, Admission)>,
    /// The idempotency key.
    pub key: Option<MessageKey>,
    /// The reserved place in dispatch (PROTOCOL rule 9); present exactly when a delivery is a handoff.
    pub slot: Option<Slot>,
}

/// Which messages a list shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageFilter {
    /// Only these event types; empty is all.
    pub event_types: Vec<String>,
    /// Only those posted to this channel.
    pub channel: Option<String>,
    /// Only those with this tag.
    pub tag: Option<String>,
    /// Accepted before this.
    pub before: Option<Timestamp>,
    /// Accepted after this.
    pub after: Option<Timestamp>,
    /// Not older than this message.
    pub floor: Option<MessageId>,
    /// Only those whose payload holds these very bytes.
    pub text: Option<String>,
}

/// What the store does with messages.
#[async_trait]
pub trait Messages: Send + Sync {
    /// Makes a message durable with what it must be delivered to, then hands it to dispatch.
    ///
    /// When this answers `Ok`, the message is fsynced. `Taken("eventId")`; `Repeated`; `Unavailable`: nothing stored.
    async fn accept(&self, new: NewMessage) -> Result<Arc<Message>>;
    /// The message of this id in this application.
    async fn message_get(&self, application: ApplicationKey, id: MessageId) -> Result<Message>;
    /// The message with this event id.
    async fn message_by_event_id(&self, application: ApplicationKey, event_id: &str) -> Result<Message>;
    /// Several messages, for dispatch; missing ones are left out. The order is not kept.
    async fn messages_load(&self, ids: Vec<MessageId>) -> Result<Vec<Arc<Message>>>;
    /// The message that lies so many behind this one in its application, or behind the newest; none when there are fewer.
    async fn message_behind(
        &self,
        application: ApplicationKey,
        from: Option<MessageId>,
        many: u32,
    ) -> Result<Option<MessageId>>;
    /// A page, newest first. It ends early (not `done`) at `page_bytes_max` of payloads.
    async fn message_list(
        &self,
        application: ApplicationKey,
        filter: MessageFilter,
        page: Page<MessageId>,
    ) -> Result<Slice<Message>>;
    /// Messages by the hash of their `auto_` key that were accepted after `since`, for the memory that a restart lost;
    /// newest first, at most 500,000.
    async fn message_keys_since(&self, since: Timestamp) -> Result<Vec<([u8; 16], MessageId)>>;
    /// Removes a message's payload for good.
    async fn message_expunge(&self, application: ApplicationKey, id: MessageId) -> Result<()>;
}
