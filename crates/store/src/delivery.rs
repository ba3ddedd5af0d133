//! Contract: the table of exceptions. Claim, record, park and resend are the engine's whole dealing with the store.

use crate::error::{Result, StoreError};
use async_trait::async_trait;
use domain::attempt::{NewAttempt, Trigger};
use domain::clock::Timestamp;
use domain::delivery::{DeliveryKey, Next, RowState};
use domain::id::{AttemptId, ClaimId, EndpointKey, MessageId};
use std::sync::Arc;

/// By which door a delivery came into memory (PROTOCOL rule 10: a claim is proved by its token).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Held {
    /// Handed off when its message was accepted; it has no row.
    Fresh,
    /// Claimed from its row.
    Claimed(ClaimId),
}

/// A claimed row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// Which delivery.
    pub key: DeliveryKey,
    /// The token that later writes must show.
    pub claim: ClaimId,
    /// Tries that are recorded so far in this run.
    pub attempts: u32,
    /// Why this run exists.
    pub trigger: Trigger,
    /// When it was due.
    pub due_at: Timestamp,
}

/// What one claim found for one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// The endpoint.
    pub endpoint: EndpointKey,
    /// Its rows that are now held by this process, oldest due first.
    pub rows: Vec<Claimed>,
    /// When the next row that was not claimed is due; none when there is none.
    pub next_due: Option<Timestamp>,
}

/// An attempt to record, with what it means for its delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The attempt.
    pub attempt: NewAttempt,
    /// How the delivery was held.
    pub held: Held,
    /// What the delivery becomes.
    pub next: Next,
}

/// A held delivery that goes into its row, untried: to wait there, or canceled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parked {
    /// Which delivery.
    pub key: DeliveryKey,
    /// How it was held.
    pub held: Held,
    /// When it is due.
    pub due_at: Timestamp,
    /// What its row becomes.
    pub state: RowState,
}

/// What the store does with deliveries.
#[async_trait]
pub trait Deliveries: Send + Sync {
    /// Claims due rows, up to so many for each endpoint, oldest due first. Rows of deleted or disabled endpoints and of
    /// missing messages are canceled on the way; paused endpoints are skipped (PROTOCOL rules 10 and 12).
    async fn claim(&self, wanted: Vec<(EndpointKey, u32)>, now: Timestamp) -> Result<Vec<Claims>>;
    /// Records attempts and what they mean for their deliveries, in one commit; answers their ids in order.
    ///
    /// On an error nothing was recorded and the caller still has them: it tries again.
    /// A delivery that was canceled meanwhile keeps its attempt and stays canceled (PROTOCOL rule 10).
    async fn record(&self, records: Arc<Vec<Record>>) -> Result<Vec<AttemptId>>;
    /// A record was given up, so that its delivery is in nobody's memory any more and its lease can be settled. Nothing is
    /// stored: the checkpoint stays below it, and the next process sends it again.
    fn abandon(&self, _key: DeliveryKey, _held: Held) {}
    /// Puts held deliveries back into rows (PROTOCOL rule 15).
    async fn park(&self, parked: Vec<Parked>) -> Result<()>;
    /// Adds a run of its own for this message and endpoint, due at once; answers the run (PROTOCOL rule 13).
    async fn resend(&self, message: MessageId, endpoint: EndpointKey, trigger: Trigger) -> Result<i64> {
        let runs = self.resend_to(message, vec![endpoint], trigger).await?;
        runs.first().map(|(_, run)| *run).ok_or(StoreError::NotFound)
    }
    /// The same for several endpoints at once; answers each with its run, ordered by key.
    async fn resend_to(
        &self,
        message: MessageId,
        endpoints: Vec<EndpointKey>,
        trigger: Trigger,
    ) -> Result<Vec<(EndpointKey, i64)>>;
    /// Each endpoint that has a pending row due before `until`, with the oldest due time.
    async fn due_endpoints(&self, until: Timestamp) -> Result<Vec<(EndpointKey, Timestamp)>>;
    /// For each of these endpoints that has a pending row: when the oldest was due.
    async fn waiting_since(&self, endpoints: Vec<EndpointKey>) -> Result<Vec<(EndpointKey, Timestamp)>>;
    /// How many pending rows an endpoint has.
    async fn waiting_count(&self, endpoint: EndpointKey) -> Result<u64>;
    /// Pending rows altogether, and the oldest due time.
    async fn backlog(&self) -> Result<(u64, Option<Timestamp>)>;
}
