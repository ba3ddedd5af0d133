//! A message as it is answered: written into the answer's bytes, its payload as it was posted.

use crate::answer::put;
use app::App;
use domain::message::Message;
use domain::wire_id::BODY_CHARS;
use serde_json::value::RawValue;
use std::io::Write;
use utoipa::ToSchema;

/// What is shown of a payload that is not kept any more.
const EXPIRED: &[u8] = br#"{"expired":true}"#;
/// What is shown of a payload that was not asked for.
const LEFT_OUT: &[u8] = b"{}";

/// A message.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes what `write` writes")]
pub(crate) struct MessageOut {
    /// Its id.
    id: String,
    /// The client's own id.
    event_id: Option<String>,
    /// The event type.
    event_type: String,
    /// The event as it was posted; `{"expired":true}` when it is not kept any more.
    #[schema(value_type = Object)]
    payload: (),
    /// The same under its old name.
    #[schema(value_type = Object, deprecated)]
    data: (),
    /// Channels that it was posted to.
    channels: Option<Vec<String>>,
    /// Labels.
    tags: Option<Vec<String>>,
    /// When it is delivered, if later than at once.
    #[schema(format = DateTime)]
    deliver_at: Option<String>,
    /// What was posted as its context; left out where there is none.
    #[schema(value_type = Option<Object>)]
    context: (),
    /// When it was accepted.
    #[schema(format = DateTime)]
    timestamp: String,
}

/// Appends a message.
pub(crate) fn write(out: &mut Vec<u8>, app: &App, message: &Message, with_content: bool) {
    let payload = payload(message, with_content);
    out.reserve(2 * payload.len() + message.event_type.len() + BODY_CHARS + 256);
    out.extend_from_slice(b"{\"id\":\"");
    out.extend_from_slice(app.ids().message(message.id).as_bytes());
    out.extend_from_slice(b"\",\"timestamp\":\"");
    show(out, message.id.timestamp());
    out.extend_from_slice(b"\",\"eventType\":");
    put(out, &message.event_type);
    out.extend_from_slice(b",\"eventId\":");
    put(out, &message.event_id);
    out.extend_from_slice(b",\"payload\":");
    out.extend_from_slice(payload);
    out.extend_from_slice(b",\"data\":");
    out.extend_from_slice(payload);
    if let Some(context) = message.overrides.context.as_ref().filter(|_| with_content) {
        out.extend_from_slice(b",\"context\":");
        out.extend_from_slice(context.as_bytes());
    }
    out.extend_from_slice(b",\"channels\":");
    list(out, &message.channels);
    out.extend_from_slice(b",\"tags\":");
    list(out, &message.tags);
    out.extend_from_slice(b",\"deliverAt\":");
    match message.deliver_at {
        None => out.extend_from_slice(b"null"),
        Some(time) => {
            out.push(b'"');
            show(out, time);
            out.push(b'"');
        }
    }
    out.push(b'}');
}

/// Puts what is worth knowing about an accepted message before its closing brace.
pub(crate) fn add_warnings(out: &mut Vec<u8>, warnings: &[String]) {
    out.pop();
    out.extend_from_slice(b",\"warnings\":");
    put(out, &warnings);
    out.push(b'}');
}

/// A message as a piece of JSON; none for what the store's checks make impossible, a payload that is not JSON.
pub(crate) fn raw(app: &App, message: &Message, with_content: bool) -> Option<Box<RawValue>> {
    let mut out = Vec::new();
    write(&mut out, app, message, with_content);
    RawValue::from_string(String::from_utf8(out).ok()?).ok()
}

fn payload(message: &Message, with_content: bool) -> &[u8] {
    match &message.payload {
        _ if !with_content => LEFT_OUT,
        Some(payload) => payload,
        None => EXPIRED,
    }
}

fn list(out: &mut Vec<u8>, items: &[String]) {
    if items.is_empty() {
        out.extend_from_slice(b"null");
    } else {
        put(out, &items);
    }
}

fn show(out: &mut Vec<u8>, time: domain::clock::Timestamp) {
    let written = write!(out, "{time}");
    debug_assert!(written.is_ok(), "writing to memory does not fail");
}
