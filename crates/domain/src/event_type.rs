//! An event type: a name in the environment's catalogue, with its description and schemas.

use crate::clock::Timestamp;
use crate::id::EnvironmentKey;
use crate::retry::RetryPolicy;

/// What a client may set of an event type.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EventTypeFields {
    /// What the event means.
    pub description: String,
    /// No longer offered; existing messages stay.
    pub archived: bool,
    /// Still offered, better not used.
    pub deprecated: bool,
    /// Version → JSON Schema.
    pub schemas: Option<serde_json::Map<String, serde_json::Value>>,
    /// A group for the catalogue.
    pub group_name: Option<String>,
    /// Hidden from tokens without one of these flags; none is visible to all.
    pub feature_flags: Option<Vec<String>>,
    /// Retries of its messages at endpoints that say nothing themselves.
    pub retries: RetryPolicy,
}

impl EventTypeFields {
    /// Whether a token with these flags sees it; none sees all.
    #[must_use]
    pub fn shown_to(&self, flags: Option<&[String]>) -> bool {
        let (Some(flags), Some(needed)) = (flags, &self.feature_flags) else { return true };
        needed.iter().any(|flag| flags.contains(flag))
    }
}

/// An event type.
#[derive(Clone, Debug, PartialEq)]
pub struct EventType {
    /// The environment whose catalogue it is in.
    pub environment: EnvironmentKey,
    /// Its name, unique there.
    pub name: String,
    /// What clients may set.
    pub fields: EventTypeFields,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}
