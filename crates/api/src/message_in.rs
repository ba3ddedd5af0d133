//! A posted message: read from the body's own bytes. THE HOT PATH.
//!
//! The payload stays a slice of the request's body, so it is delivered as it was written. A body that does not read
//! is read again the slow way, field by field, to name everything that is wrong with it.

use crate::application::ApplicationIn;
use crate::error::{Failure, Outcome};
use crate::json::{Field, Wire, check_depth, object};
use app::ingest::NewEvent;
use app::{AppError, Problems};
use bytes::Bytes;
use domain::clock::Timestamp;
use domain::message::Overrides;
use domain::name::Metadata;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// A message to be sent.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MessageIn {
    /// The event type; it need not be in the catalogue.
    #[serde(default)]
    #[schema(value_type = String, required)]
    event_type: Field<String>,
    /// The event, a JSON object; delivered byte for byte.
    #[serde(default)]
    #[schema(value_type = Object, required)]
    payload: Field<Map<String, Value>>,
    /// The same under its old name; `payload` wins where both are given.
    #[serde(default)]
    #[schema(value_type = Option<Object>, deprecated)]
    data: Field<Map<String, Value>>,
    /// The client's own id: unique in the application for a day.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    event_id: Field<String>,
    /// Channels.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>, max_items = 10)]
    channels: Field<Vec<String>>,
    /// Labels for searching; they never route.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>, max_items = 5)]
    tags: Field<Vec<String>>,
    /// Days that the payload is kept.
    #[serde(default)]
    #[schema(value_type = Option<i64>, minimum = 1, maximum = 90)]
    payload_retention_period: Field<i64>,
    /// Hours that the payload is kept; goes before the days.
    #[serde(default)]
    #[schema(value_type = Option<i64>, minimum = 1, maximum = 2160)]
    payload_retention_hours: Field<i64>,
    /// When it is delivered: from 1 minute to 24 hours ahead.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    deliver_at: Field<Timestamp>,
    /// `rawPayload` is delivered in place of the payload; `headers` are added to this delivery.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    transformations_params: Field<Map<String, Value>>,
    /// What it happened in, a JSON object: `current_context` for endpoints with that format, `context` for filters and templates.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    context: Field<Map<String, Value>>,
    /// The application, created on the way if it is not there; its uid is the one in the path.
    #[serde(default)]
    #[schema(value_type = Option<ApplicationIn>)]
    application: Field<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fast<'a> {
    event_type: String,
    #[serde(borrow, default)]
    payload: Option<&'a RawValue>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(default)]
    event_id: Option<String>,
    #[serde(default)]
    channels: Option<Vec<String>>,
    #[serde(default)]
    tags: Option<Vec<String>>,
    #[serde(default)]
    payload_retention_period: Option<i64>,
    #[serde(default)]
    payload_retention_hours: Option<i64>,
    #[serde(default)]
    deliver_at: Option<String>,
    #[serde(default)]
    transformations_params: Option<Value>,
    #[serde(borrow, default)]
    context: Option<&'a RawValue>,
    #[serde(default)]
    application: Option<Value>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Params {
    #[serde(default)]
    raw_payload: Field<String>,
    #[serde(default)]
    headers: Field<Metadata>,
}

/// From so many bytes on, a body of which the payload is the lesser part is not kept for it.
const PINNED_BYTES_MIN: usize = 4 * 1024;

/// Reads a posted message.
pub(crate) fn read(body: &Bytes) -> Outcome<NewEvent> {
    check_depth(body)?;
    let read = serde_json::from_slice::<Fast<'_>>(body);
    if let Ok(fast) = read
        && let Some(payload) = fast.payload.or(fast.data)
        && payload.get().starts_with('{')
        && body.trim_ascii_start().starts_with(b"{")
    {
        let bytes = payload.get().as_bytes();
        // A small piece must not keep a large body in memory.
        let pins = body.len() >= PINNED_BYTES_MIN && bytes.len() < body.len() / 2;
        let payload = if pins { Bytes::copy_from_slice(bytes) } else { body.slice_ref(bytes) };
        return event(fast, payload);
    }
    Err(refusal(body, serde_json::from_slice::<Fast<'_>>(body).err()))
}

fn event(fast: Fast<'_>, payload: Bytes) -> Outcome<NewEvent> {
    let problems = &mut Problems::default();
    let deliver_at = fast
        .deliver_at
        .and_then(|text| Timestamp::read(Value::String(text), &vec!["deliverAt".into()], problems));
    let mut overrides =
        fast.transformations_params.map(|params| overrides(params, problems)).unwrap_or_default();
    overrides.context = fast.context.map(|context| context.get().to_owned());
    if overrides.context.as_ref().is_some_and(|context| !context.starts_with('{')) {
        problems.add("context", "must be an object");
    }
    let application = fast.application.and_then(|value| {
        let mut inner = Problems::default();
        let read = value.is_object().then(|| serde_json::from_value::<ApplicationIn>(value).ok()).flatten();
        let fields = read.map(|application| application.read(&mut inner));
        problems.add_below("application", inner);
        if fields.is_none() {
            problems.add("application", "must be an object");
        }
        fields
    });
    std::mem::take(problems).finish()?;
    Ok(NewEvent {
        event_type: fast.event_type,
        event_id: fast.event_id,
        channels: fast.channels,
        tags: fast.tags,
        payload,
        retention_days: fast.payload_retention_period,
        retention_hours: fast.payload_retention_hours,
        deliver_at,
        overrides,
        application,
    })
}

fn overrides(params: Value, problems: &mut Problems) -> Overrides {
    let read = params.is_object().then(|| serde_json::from_value::<Params>(params).ok()).flatten();
    let Some(params) = read else {
        problems.add("transformationsParams", "must be an object");
        return Overrides::default();
    };
    let mut inner = Problems::default();
    let raw_payload = params.raw_payload.optional("rawPayload", &mut inner);
    let headers = params.headers.optional("headers", &mut inner).unwrap_or_default();
    problems.add_below("transformationsParams", inner);
    Overrides { raw_payload, headers: headers.into_iter().collect(), context: None }
}

/// What is wrong with a body that did not read.
fn refusal(body: &Bytes, error: Option<serde_json::Error>) -> Failure {
    let message = match object::<MessageIn>(body) {
        Ok(message) => message,
        Err(failure) => return failure,
    };
    let mut problems = Problems::default();
    message.event_type.required("eventType", &mut problems);
    message.payload.or(message.data).required("payload", &mut problems);
    message.event_id.optional("eventId", &mut problems);
    message.channels.optional("channels", &mut problems);
    message.tags.optional("tags", &mut problems);
    message.payload_retention_period.optional("payloadRetentionPeriod", &mut problems);
    message.payload_retention_hours.optional("payloadRetentionHours", &mut problems);
    message.deliver_at.optional("deliverAt", &mut problems);
    message.transformations_params.optional("transformationsParams", &mut problems);
    message.context.optional("context", &mut problems);
    message.application.optional("application", &mut problems);
    if problems.is_empty() {
        let text = error.map_or_else(|| "does not read as a message".to_owned(), |error| error.to_string());
        problems.add_at([], text);
    }
    problems.finish().map_or_else(Failure::App, |()| Failure::App(AppError::NotFound))
}

#[cfg(test)]
#[path = "message_in_tests.rs"]
mod tests;
