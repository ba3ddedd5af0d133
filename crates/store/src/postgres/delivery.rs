//! The table of exceptions on PostgreSQL: record, park, resend, and what waits. (`batch.rs` writes, `claim.rs` claims.)

use super::Postgres;
use super::command::Command;
use crate::delivery::{Claims, Deliveries, Held, Parked, Record};
use crate::error::{Result, StoreError};
use async_trait::async_trait;
use domain::attempt::Trigger;
use domain::clock::Timestamp;
use domain::delivery::DeliveryKey;
use domain::id::{AttemptId, EndpointKey, MessageId};
use std::sync::Arc;

/// How often a run is numbered anew that others took at the same moment.
const TRIES: u32 = 20;

/// An attempt's id lies above its message's, but for what the clocks of two nodes may differ by (a minute is far more):
/// with this bound a look for a message's attempts opens no older partition.
pub(super) const SKEW: i64 = 60_000 << 22;

/// A skip scan: one look into the index an endpoint, however many rows each has.
const DUE_ENDPOINTS: &str = "
    WITH RECURSIVE waiting (endpoint) AS (
        SELECT min(endpoint) FROM delivery WHERE state = 0 AND lease IS NULL
        UNION ALL
        SELECT (SELECT min(d.endpoint) FROM delivery AS d
                WHERE d.state = 0 AND d.lease IS NULL AND d.endpoint > waiting.endpoint)
        FROM waiting WHERE waiting.endpoint IS NOT NULL)
    SELECT waiting.endpoint, oldest.due_at FROM waiting CROSS JOIN LATERAL (
        SELECT min(d.due_at) AS due_at FROM delivery AS d
        WHERE d.state = 0 AND d.lease IS NULL AND d.endpoint = waiting.endpoint) AS oldest
    WHERE waiting.endpoint IS NOT NULL AND oldest.due_at < $1";

/// A run of its own at each endpoint, in their order (rule 18); those whose number another has just taken are left out.
const ADD_RUNS: &str = "
    INSERT INTO delivery (endpoint, message, run, state, due_at, attempts, trigger)
    SELECT asked.endpoint, $2, 1 + greatest(
        (SELECT max(run) FROM attempt WHERE attempt.endpoint = asked.endpoint AND message = $2 AND id > $5),
        (SELECT max(run) FROM delivery WHERE delivery.endpoint = asked.endpoint AND message = $2), 0), 0, $3, 0, $4
    FROM unnest($1::bigint[]) AS asked (endpoint) ORDER BY asked.endpoint
    ON CONFLICT DO NOTHING
    RETURNING endpoint, run";

#[async_trait]
impl Deliveries for Postgres {
    async fn claim(&self, wanted: Vec<(EndpointKey, u32)>, now: Timestamp) -> Result<Vec<Claims>> {
        self.writer.ask(|answer| Command::Claim(wanted, now, answer)).await
    }

    async fn record(&self, records: Arc<Vec<Record>>) -> Result<Vec<AttemptId>> {
        self.writer.ask(|answer| Command::Record(records, answer)).await
    }

    fn abandon(&self, key: DeliveryKey, held: Held) {
        self.node.change(|book| book.left(key, held, false));
        self.node.drained.notify_one();
    }

    async fn park(&self, parked: Vec<Parked>) -> Result<()> {
        self.writer.ask(|answer| Command::Park(parked, answer)).await
    }

    async fn resend_to(
        &self,
        message: MessageId,
        endpoints: Vec<EndpointKey>,
        trigger: Trigger,
    ) -> Result<Vec<(EndpointKey, i64)>> {
        let now = self.node.now();
        let code = i16::try_from(trigger.code()).unwrap_or_default();
        let mut left: Vec<i64> = endpoints.iter().map(|endpoint| endpoint.0).collect();
        left.sort_unstable();
        left.dedup();
        let mut runs = Vec::with_capacity(left.len());
        for _ in 0..TRIES {
            let rows = self
                .own_readers
                .rows(ADD_RUNS, &[&left, &message.0, &now.0, &code, &(message.0 - SKEW)])
                .await?;
            for row in &rows {
                let endpoint = EndpointKey(row.get(0));
                self.node.shared.wakes.note(endpoint, now);
                runs.push((endpoint, row.get(1)));
            }
            left.retain(|key| !runs.iter().any(|(endpoint, _)| endpoint.0 == *key));
            if left.is_empty() {
                runs.sort_unstable();
                return Ok(runs);
            }
        }
        Err(StoreError::Unavailable("this delivery is asked for again by too many at once".into()))
    }

    async fn due_endpoints(&self, until: Timestamp) -> Result<Vec<(EndpointKey, Timestamp)>> {
        let rows = self.own_readers.rows(DUE_ENDPOINTS, &[&until.0]).await?;
        Ok(rows.iter().map(|row| (EndpointKey(row.get(0)), Timestamp(row.get(1)))).collect())
    }

    async fn waiting_since(&self, endpoints: Vec<EndpointKey>) -> Result<Vec<(EndpointKey, Timestamp)>> {
        let sql = "SELECT wanted.endpoint, oldest.due_at FROM unnest($1::bigint[]) AS wanted (endpoint)
                   JOIN LATERAL (SELECT due_at FROM delivery
                                 WHERE delivery.endpoint = wanted.endpoint AND state = 0 AND lease IS NULL
                                 ORDER BY due_at LIMIT 1) AS oldest ON true";
        let keys: Vec<i64> = endpoints.iter().map(|key| key.0).collect();
        let rows = self.readers.rows(sql, &[&keys]).await?;
        Ok(rows.iter().map(|row| (EndpointKey(row.get(0)), Timestamp(row.get(1)))).collect())
    }

    async fn waiting_count(&self, endpoint: EndpointKey) -> Result<u64> {
        let sql = "SELECT count(*) FROM delivery WHERE endpoint = $1 AND state = 0";
        let row = self.readers.row(sql, &[&endpoint.0]).await?.ok_or(StoreError::NotFound)?;
        Ok(row.get::<_, i64>(0).unsigned_abs())
    }

    async fn backlog(&self) -> Result<(u64, Option<Timestamp>)> {
        let row = self
            .readers
            .row("SELECT count(*), min(due_at) FROM delivery WHERE state = 0", &[])
            .await?
            .ok_or(StoreError::NotFound)?;
        let rows: i64 = row.get(0);
        Ok((rows.unsigned_abs(), row.get::<_, Option<i64>>(1).map(Timestamp)))
    }
}
