//! A message: one event that a product posted, kept byte for byte (wire id `msg_…`).

use crate::clock::Timestamp;
use crate::header::Header;
use crate::id::{ApplicationKey, EndpointKey, MessageId};
use bytes::Bytes;

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its id; also its time.
    pub id: MessageId,
    /// The application that it belongs to.
    pub application: ApplicationKey,
    /// The event type as posted; it need not be in the catalogue.
    pub event_type: String,
    /// The client's own id.
    pub event_id: Option<String>,
    /// Channels that it was posted to.
    pub channels: Vec<String>,
    /// Labels for searching; they never route.
    pub tags: Vec<String>,
    /// The payload's own bytes; none when expired or expunged.
    pub payload: Option<Bytes>,
    /// When the payload goes, if before the message itself.
    pub payload_expires_at: Option<Timestamp>,
    /// When it is to be delivered, if later than at once.
    pub deliver_at: Option<Timestamp>,
    /// What `transformationsParams` asked for this one message.
    pub overrides: Overrides,
    /// The endpoints it must reach, fixed when it was accepted.
    pub endpoints: Vec<EndpointKey>,
}

/// What a client may say beside one message: overrides (`transformationsParams`) and its context.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Overrides {
    /// A body to deliver in place of the payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw_payload: Option<String>,
    /// Headers to add.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<Header>,
    /// What it happened in, as JSON: `current_context` for those who ask for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
}

impl Overrides {
    /// Whether nothing is overridden.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.raw_payload.is_none() && self.headers.is_empty() && self.context.is_none()
    }
}

impl Overrides {
    /// Bytes that they keep.
    #[must_use]
    pub fn bytes(&self) -> usize {
        [&self.raw_payload, &self.context].into_iter().flatten().map(String::len).sum()
    }
}

impl Message {
    /// Bytes that it keeps for its body.
    #[must_use]
    pub fn payload_bytes(&self) -> usize {
        self.payload.as_ref().map_or(0, Bytes::len) + self.overrides.bytes()
    }

    /// The bytes of the request's body; none when the payload is gone.
    #[must_use]
    pub fn body(&self) -> Option<Bytes> {
        match &self.overrides.raw_payload {
            Some(raw) => Some(Bytes::copy_from_slice(raw.as_bytes())),
            None => self.payload.clone(),
        }
    }
}
