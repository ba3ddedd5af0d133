//! Contract: event types.

use crate::error::Result;
use async_trait::async_trait;
use domain::event_type::{EventType, EventTypeFields};
use domain::id::EnvironmentKey;
use domain::page::{Page, Slice};
use domain::retry::RetryPolicy;

/// What the store does with event types.
#[async_trait]
pub trait EventTypes: Send + Sync {
    /// Creates it, or un-archives an archived one with these fields. `Taken("name")` over a live one.
    async fn event_type_create(
        &self,
        environment: EnvironmentKey,
        name: &str,
        fields: EventTypeFields,
    ) -> Result<EventType>;
    /// Creates or replaces it; true when it was created.
    async fn event_type_put(
        &self,
        environment: EnvironmentKey,
        name: &str,
        fields: EventTypeFields,
    ) -> Result<(EventType, bool)>;
    /// Reads, changes and writes it in one transaction. `NotFound`.
    async fn event_type_update(
        &self,
        environment: EnvironmentKey,
        name: &str,
        change: ChangeEventType,
    ) -> Result<EventType>;
    /// Deletes it for good. `NotFound`.
    async fn event_type_expunge(&self, environment: EnvironmentKey, name: &str) -> Result<()>;
    /// The event type of this name, archived or not.
    async fn event_type_get(&self, environment: EnvironmentKey, name: &str) -> Result<EventType>;
    /// A page ordered by name. `flags`: none sees all, else those without flags and those that share one. It ends
    /// early (not `done`) at `page_bytes_max` of schemas.
    async fn event_type_list(
        &self,
        environment: EnvironmentKey,
        archived_too: bool,
        flags: Option<Vec<String>>,
        page: Page<String>,
    ) -> Result<Slice<EventType>>;
    /// Those of `names` that do not exist, are archived, or are hidden from `flags` (as in lists), in their order.
    async fn event_type_missing(
        &self,
        environment: EnvironmentKey,
        flags: Option<&[String]>,
        names: &[String],
    ) -> Result<Vec<String>>;
}

/// Decides, on the event type as it is in the transaction, what its fields become. It is asked again when another node
/// changed the event type in between.
pub type ChangeEventType = Box<dyn FnMut(&EventType) -> EventTypeFields + Send>;

/// What an event type says about retries as it is stored: none where it says nothing.
pub(crate) fn retries_column(retries: &RetryPolicy) -> Option<String> {
    (!retries.is_empty()).then(|| serde_json::to_string(retries).unwrap_or_default())
}
