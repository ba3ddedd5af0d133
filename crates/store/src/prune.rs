//! Contract: prune drops what is past its retention, in small steps.

use crate::error::Result;
use async_trait::async_trait;
use domain::audit::AUDIT_KEPT_MS;
use domain::clock::Timestamp;
use domain::notice::NOTICE_KEPT_MS;
use domain::statistics::{HOUR_MS, STATISTICS_KEPT_HOURS};

/// What one step of prune did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Messages dropped.
    pub messages: u64,
    /// Attempts dropped.
    pub attempts: u64,
    /// Delivery rows dropped, pending ones canceled first.
    pub deliveries: u64,
    /// Payloads that went before their message.
    pub payloads: u64,
    /// Expired keys dropped.
    pub keys: u64,
    /// Background tasks dropped that had ended.
    pub tasks: u64,
    /// Notices dropped, with their letters.
    pub notices: u64,
    /// Hours of statistics dropped.
    pub hours: u64,
    /// Entries of the audit log dropped.
    pub entries: u64,
}

impl Pruned {
    /// Whether the step found nothing to do.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        *self == Self::default()
    }
}

/// Notices of one step: each may have a hundred letters.
pub(crate) const NOTICES_MAX: u32 = 10;

/// Before when notices go: they are kept for 30 days at least, so that what was told is not told again.
pub(crate) fn notices_end(horizon: Timestamp, now: Timestamp) -> Timestamp {
    horizon.min(now.plus_ms(-NOTICE_KEPT_MS))
}

/// Before which hour statistics go.
pub(crate) const fn hours_end(now: Timestamp) -> i64 {
    now.0.div_euclid(HOUR_MS) - STATISTICS_KEPT_HOURS
}

/// Before when entries of the audit log go: however long messages are kept.
pub(crate) fn audit_end(now: Timestamp) -> i64 {
    now.plus_ms(-AUDIT_KEPT_MS).0
}

/// What the store does to stay within its retention.
#[async_trait]
pub trait Prune: Send + Sync {
    /// One bounded step: drops at most `rows_max` of each kind that are older than `horizon`, and payloads and keys that
    /// expired before `now`. Never above an unsettled lease's checkpoint, attempts never before their message (PROTOCOL rule 17).
    async fn prune_step(&self, horizon: Timestamp, now: Timestamp, rows_max: u32) -> Result<Pruned>;
}
