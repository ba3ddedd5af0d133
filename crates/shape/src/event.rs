//! What is shaped: an event on its way to one endpoint.

use crate::tree;
use bytes::Bytes;
use domain::clock::Timestamp;
use domain::message::Message;

/// An event.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// The message's wire id: the same on every try.
    pub id: &'a str,
    /// The event type.
    pub event_type: &'a str,
    /// When it was accepted.
    pub time: Timestamp,
    /// The payload's own bytes: a JSON object.
    pub payload: &'a Bytes,
    /// The context that was posted with it, as JSON.
    pub context: Option<&'a str>,
    /// Headers that were posted with it.
    pub headers: &'a [(String, String)],
}

impl<'a> Event<'a> {
    /// A message under its wire id, with this payload.
    #[must_use]
    pub fn of(message: &'a Message, id: &'a str, payload: &'a Bytes) -> Self {
        Self {
            id,
            event_type: &message.event_type,
            time: message.id.timestamp(),
            payload,
            context: message.overrides.context.as_deref(),
            headers: &message.overrides.headers,
        }
    }

    /// The context's JSON; null when there is none.
    pub(crate) fn context_json(&self) -> &'a [u8] {
        self.context.map_or(b"null", str::as_bytes)
    }

    /// `{"type":…,"timestamp":…,"data":…}`.
    pub(crate) fn standard(&self, data: &[u8]) -> Vec<u8> {
        let mut out = b"{\"type\":".to_vec();
        tree::write_text(self.event_type, &mut out);
        out.extend_from_slice(b",\"timestamp\":");
        tree::write_text(&self.time.to_string(), &mut out);
        out.extend_from_slice(b",\"data\":");
        out.extend_from_slice(data);
        out.push(b'}');
        out
    }

    /// `{"event_time":…,"event_type":…,"current_context":…,"data":…}`.
    pub(crate) fn envelope(&self, data: &[u8]) -> Vec<u8> {
        let mut out = b"{\"event_time\":".to_vec();
        tree::write_text(&self.time.to_string(), &mut out);
        out.extend_from_slice(b",\"event_type\":");
        tree::write_text(self.event_type, &mut out);
        out.extend_from_slice(b",\"current_context\":");
        out.extend_from_slice(self.context_json());
        out.extend_from_slice(b",\"data\":");
        out.extend_from_slice(data);
        out.push(b'}');
        out
    }

    /// CloudEvents 1.0 in structured mode (JSON event format, section 3).
    pub(crate) fn cloud_event(&self, source: &str, data: &[u8]) -> Vec<u8> {
        let mut out = b"{\"specversion\":\"1.0\",\"id\":".to_vec();
        tree::write_text(self.id, &mut out);
        out.extend_from_slice(b",\"source\":");
        tree::write_text(source, &mut out);
        out.extend_from_slice(b",\"type\":");
        tree::write_text(self.event_type, &mut out);
        out.extend_from_slice(b",\"time\":");
        tree::write_text(&self.time.to_string(), &mut out);
        out.extend_from_slice(b",\"datacontenttype\":\"application/json\",\"data\":");
        out.extend_from_slice(data);
        out.push(b'}');
        out
    }
}
