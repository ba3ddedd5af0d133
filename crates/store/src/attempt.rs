//! Contract: attempts, and deliveries as lists show them.

use crate::error::Result;
use async_trait::async_trait;
use domain::attempt::{Attempt, Disposition};
use domain::clock::Timestamp;
use domain::delivery::DeliveryState;
use domain::id::{AttemptId, EndpointKey, MessageId};
use domain::message::Message;
use domain::page::{Page, Slice};

/// Which attempts a list shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttemptFilter {
    /// Only attempts after which the delivery was this.
    pub disposition: Option<Disposition>,
    /// Only answers of this class: 0 (no answer), 100, 200, … 500.
    pub status_class: Option<u16>,
    /// Only messages of these event types; empty is all.
    pub event_types: Vec<String>,
    /// Only messages posted to this channel.
    pub channel: Option<String>,
    /// Only messages with this tag.
    pub tag: Option<String>,
    /// Recorded before this.
    pub before: Option<Timestamp>,
    /// Recorded after this.
    pub after: Option<Timestamp>,
    /// Only to this endpoint (in a message's list).
    pub endpoint: Option<EndpointKey>,
    /// A list of failed deliveries shows canceled ones too, each where it was accepted (in an endpoint's messages).
    pub canceled_too: bool,
}

impl AttemptFilter {
    /// Whether a list of deliveries in the state `wanted` shows one in this state.
    #[must_use]
    pub fn shows(&self, wanted: Option<DeliveryState>, state: DeliveryState) -> bool {
        let shown = match state {
            DeliveryState::Canceled if self.canceled_too => DeliveryState::Failed,
            state => state,
        };
        wanted.is_none_or(|wanted| wanted == state || wanted == shown)
    }
}

/// A message with what became of its delivery to one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointMessage {
    /// The message.
    pub message: Message,
    /// Its latest state there.
    pub state: DeliveryState,
    /// When it is tried next.
    pub next_attempt: Option<Timestamp>,
}

/// An endpoint with what became of one message there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageEndpoint {
    /// The endpoint; it may be deleted by now.
    pub endpoint: EndpointKey,
    /// The message's latest state there.
    pub state: DeliveryState,
    /// When it is tried next.
    pub next_attempt: Option<Timestamp>,
}

/// How many deliveries of an endpoint are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeliveryCounts {
    /// Delivered.
    pub succeeded: u64,
    /// Waiting.
    pub pending: u64,
    /// On the wire.
    pub sending: u64,
    /// Given up.
    pub failed: u64,
    /// Canceled.
    pub canceled: u64,
}

/// An attempt as a glance shows it: when, and what the delivery became by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// To which endpoint.
    pub endpoint: EndpointKey,
    /// Its id; also its time.
    pub id: AttemptId,
    /// What the delivery became.
    pub disposition: Disposition,
}

/// What the store does with attempts.
#[async_trait]
pub trait Attempts: Send + Sync {
    /// The attempt of this id, if it belongs to this message.
    async fn attempt_get(&self, message: MessageId, id: AttemptId) -> Result<Attempt>;
    /// A page of an endpoint's attempts, newest first.
    async fn attempt_list_by_endpoint(
        &self,
        endpoint: EndpointKey,
        filter: AttemptFilter,
        page: Page<AttemptId>,
    ) -> Result<Slice<Attempt>>;
    /// A page of a message's attempts, newest first.
    async fn attempt_list_by_message(
        &self,
        message: &Message,
        filter: AttemptFilter,
        page: Page<AttemptId>,
    ) -> Result<Slice<Attempt>>;
    /// A page of an endpoint's messages, each once with its latest state, newest message first; filtered by state,
    /// by the order in which that state was reached. A page ends early at `page_bytes_max` of payloads.
    async fn messages_of_endpoint(
        &self,
        endpoint: EndpointKey,
        state: Option<DeliveryState>,
        filter: AttemptFilter,
        page: Page<MessageId>,
    ) -> Result<Slice<EndpointMessage>>;
    /// A page of a message's endpoints, ordered by key, with the message's latest state at each.
    async fn endpoints_of_message(
        &self,
        message: &Message,
        page: Page<EndpointKey>,
    ) -> Result<Slice<MessageEndpoint>>;
    /// The latest attempts of each of these endpoints since a moment, `each` at most, newest first within an endpoint.
    async fn attempt_marks(
        &self,
        endpoints: Vec<EndpointKey>,
        each: u16,
        since: Timestamp,
    ) -> Result<Vec<Mark>>;
    /// Removes an attempt's stored answer.
    async fn attempt_expunge(&self, message: MessageId, id: AttemptId) -> Result<()>;
    /// Counts an endpoint's deliveries between two moments; what is in dispatch's memory is being sent.
    async fn delivery_counts(
        &self,
        endpoint: EndpointKey,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<DeliveryCounts>;
}

/// The newest `each` of an endpoint's marks, newest first.
pub(crate) fn newest(mut marks: Vec<Mark>, each: u16) -> Vec<Mark> {
    marks.sort_unstable_by_key(|mark| std::cmp::Reverse(mark.id));
    marks.truncate(each.into());
    marks
}
