//! What a webhook can be told beyond the wire's fields: the shape of its requests, its retries, its pace.
//!
//! All of it is optional, and an endpoint that uses none of it is served as if there were none. What is sealed is in
//! [`crate::credentials`], what is allowed in [`crate::options_check`].

use crate::format::{Encoding, Format, Method};
use crate::health::DisablePolicy;
use crate::retry::RetryPolicy;
use crate::throttle::Period;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The content type of an endpoint that has not chosen one.
pub const CONTENT_TYPE: &str = "application/json";
/// The content type of CloudEvents in structured mode.
pub const CLOUD_EVENTS_CONTENT_TYPE: &str = "application/cloudevents+json";

/// The options of an endpoint. Stored as JSON: what is at its default is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointOptions {
    /// A name for people; none is the host of the URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The method.
    #[serde(skip_serializing_if = "is_default")]
    pub method: Method,
    /// The content type; none is the format's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// How an event becomes a body.
    #[serde(skip_serializing_if = "is_default")]
    pub format: Format,
    /// JSON paths of the payload to keep; none is all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fields: Option<Vec<String>>,
    /// A text, or JSON whose texts are each one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<Value>,
    /// JavaScript.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transformation: Option<Transformation>,
    /// A predicate: only events that it holds for are sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// Leaves `X-Event-Type` and `X-Event-Origin` out.
    #[serde(skip_serializing_if = "is_default")]
    pub without_event_headers: bool,
    /// Event mappings.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Mapping>,
    /// Tries after the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u8>,
    /// Seconds between tries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_schedule: Option<Vec<u32>>,
    /// The deadline of one request, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u8>,
    /// What `throttleRate` counts in.
    #[serde(skip_serializing_if = "is_default")]
    pub throttle_period: Period,
    /// Requests in flight at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_in_flight: Option<u8>,
    /// The next waits until the one before is settled.
    #[serde(skip_serializing_if = "is_default")]
    pub ordered: bool,
    /// What disables it by itself.
    #[serde(skip_serializing_if = "is_default")]
    pub disable_policy: DisablePolicy,
}

/// A transformation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transformation {
    /// JavaScript with a function `handler(webhook)`.
    pub code: String,
    /// Whether it is used.
    pub enabled: bool,
}

/// An event mapping: events of this type go to this URL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mapping {
    /// The event type.
    pub event_type: String,
    /// Where they go.
    pub url: String,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl EndpointOptions {
    /// The content type that requests carry.
    #[must_use]
    pub fn content_type(&self) -> &str {
        self.content_type.as_deref().unwrap_or_else(|| self.own_content_type())
    }

    /// The content type that the format has by itself.
    #[must_use]
    pub const fn own_content_type(&self) -> &'static str {
        match self.format {
            Format::CloudEvents => CLOUD_EVENTS_CONTENT_TYPE,
            _ => CONTENT_TYPE,
        }
    }

    /// How bodies are written.
    #[must_use]
    pub fn encoding(&self) -> Encoding {
        Encoding::of(self.content_type())
    }

    /// Where events of this type go, if it is mapped.
    #[must_use]
    pub fn mapped(&self, event_type: &str) -> Option<&Mapping> {
        self.routes.iter().find(|mapping| mapping.event_type == event_type)
    }

    /// What it says about retries.
    #[must_use]
    pub fn retries(&self) -> RetryPolicy {
        RetryPolicy { max_attempts: self.max_attempts, retry_schedule: self.retry_schedule.clone() }
    }

    /// Whether bodies are the payload's own bytes.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.format == Format::Raw
            && self.method != Method::Get
            && self.fields.is_none()
            && self.template.is_none()
            && !self.transformation.as_ref().is_some_and(|t| t.enabled)
            && self.encoding() == Encoding::Json
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_stored_as_nothing_and_read_back() {
        assert_eq!(serde_json::to_string(&EndpointOptions::default()).unwrap(), "{}");
        assert_eq!(serde_json::from_str::<EndpointOptions>("{}").unwrap(), EndpointOptions::default());
        assert!(EndpointOptions::default().is_plain());
    }
}
