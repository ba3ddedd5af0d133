//! Contract: endpoints that fail. An episode is one row, from the first failure until the next success.
//!
//! What ends an episode is looked up among the attempts, so that it does not matter which process saw the success, nor when. Whoever
//! was told that the endpoint fails is told in the same transaction that it works again.

use crate::error::{Result, StoreError};
use async_trait::async_trait;
use domain::clock::Timestamp;
use domain::health::{Failures, LastAnswer, Row};
use domain::id::EndpointKey;

/// Failures of an endpoint without a success between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Episode {
    /// The endpoint.
    pub endpoint: EndpointKey,
    /// When it began.
    pub since: Timestamp,
    /// What counts towards disabling: all of it, or what came after the endpoint was enabled again.
    pub failures: Failures,
}

/// What became of failures that were told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Episodes that a success had ended before: the failures began new ones.
    pub ended: Vec<Episode>,
    /// The episodes that they belong to, those without a success since they began.
    pub failing: Vec<Episode>,
}

/// What one look at episodes found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// Episodes that are over.
    pub ended: Vec<Episode>,
    /// Episodes in which deliveries were given up, and nobody was told of that.
    pub exhausted: Vec<Episode>,
    /// Where the next look begins; none when this one has seen the last.
    pub next: Option<EndpointKey>,
}

/// What the store does with endpoints that fail.
#[async_trait]
pub trait Healths: Send + Sync {
    /// Adds failures to their endpoints' episodes, or begins these.
    async fn failures_add(&self, failures: Vec<(EndpointKey, Failures)>) -> Result<Told>;
    /// Looks at up to `limit` episodes of endpoints above `after`, and ends those that had a success since, or whose endpoint
    /// was deleted.
    async fn episodes_end(&self, after: EndpointKey, limit: u32) -> Result<Looked>;
    /// The endpoint's episode, if it fails.
    async fn episode(&self, endpoint: EndpointKey) -> Result<Option<Episode>>;
    /// The episodes of these endpoints, those that began first; of the first `limit`, those that are not over.
    async fn episodes(&self, endpoints: Vec<EndpointKey>, limit: u32) -> Result<Vec<Episode>>;
}

/// What people were told of in an episode, so that they are told of its end.
pub(crate) const TOLD_KINDS: &str = "('failing', 'disabled', 'exhausted')";

/// The numbers of an episode as they are stored.
pub(crate) struct Stored {
    pub(crate) endpoint: i64,
    pub(crate) since: i64,
    pub(crate) count: i64,
    pub(crate) count_since: i64,
    pub(crate) row_count: i64,
    pub(crate) row_since: i64,
    pub(crate) last: String,
}

impl Stored {
    /// Failures that begin or continue an episode.
    pub(crate) fn of((endpoint, failures): &(EndpointKey, Failures)) -> Self {
        let row = failures.row.unwrap_or(Row { since: failures.since, count: 0 });
        Self {
            endpoint: endpoint.0,
            since: failures.since.0,
            count: i64::from(failures.count),
            count_since: failures.since.0,
            row_count: i64::from(row.count),
            row_since: row.since.0,
            last: serde_json::to_string(&failures.last).unwrap_or_default(),
        }
    }

    pub(crate) fn read(self) -> Result<Episode> {
        let broken = |error| StoreError::Broken(format!("a stored answer does not read back: {error}"));
        let last: LastAnswer = serde_json::from_str(&self.last).map_err(broken)?;
        let row = Row { since: Timestamp(self.row_since), count: clamp(self.row_count) };
        let failures = Failures {
            since: Timestamp(self.count_since),
            count: clamp(self.count),
            row: (row.count > 0).then_some(row),
            last,
        };
        Ok(Episode { endpoint: EndpointKey(self.endpoint), since: Timestamp(self.since), failures })
    }
}

fn clamp(count: i64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
