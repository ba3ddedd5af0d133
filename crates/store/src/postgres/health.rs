//! Endpoints that fail, on PostgreSQL.

use super::Postgres;
use crate::error::Result;
use crate::health::{Episode, Healths, Looked, Stored, TOLD_KINDS, Told};
use async_trait::async_trait;
use domain::health::Failures;
use domain::id::{EPOCH_MS, EndpointKey, IDS_PER_MS, floor_of};
use tokio_postgres::Row;

const COLUMNS: &str = "failing.endpoint, failing.since, failing.count, failing.count_since, failing.row_count, failing.row_since,
                       failing.last";
/// One look into the index of attempts.
const SUCCEEDED: &str =
    "EXISTS (SELECT FROM attempt WHERE attempt.endpoint = failing.endpoint AND attempt.disposition = 0
                                 AND attempt.id > failing.after_attempt)";
const GONE: &str =
    "NOT EXISTS (SELECT FROM endpoint WHERE endpoint.key = failing.endpoint AND endpoint.deleted_at IS NULL)";

/// The endpoint was enabled again: what counts towards disabling begins anew.
pub(super) const BEGIN_AGAIN: &str = ",
    again AS (UPDATE failing SET count = 0, row_count = 0 WHERE failing.endpoint = $1)";

fn read(row: &Row) -> Result<Episode> {
    Stored {
        endpoint: row.get(0),
        since: row.get(1),
        count: row.get(2),
        count_since: row.get(3),
        row_count: row.get(4),
        row_since: row.get(5),
        last: row.get(6),
    }
    .read()
}

impl Postgres {
    /// Ends those of these endpoints' episodes that are over. Their rows are locked in the order of their keys.
    async fn end(&self, endpoints: &Vec<i64>) -> Result<Vec<Episode>> {
        let sql = format!(
            "WITH over AS MATERIALIZED (
                 SELECT endpoint FROM failing WHERE endpoint = ANY($1) AND ({SUCCEEDED} OR {GONE}) ORDER BY endpoint FOR UPDATE)
             , told AS (
                 INSERT INTO notice (application, endpoint, kind, episode, subject, at, is_for_people, facts)
                 SELECT endpoint.application, failing.endpoint, 'recovered', failing.since, '', $2, true,
                        json_build_object('since', failing.since, 'failures', failing.count)::text
                 FROM over JOIN failing USING (endpoint) JOIN endpoint ON endpoint.key = over.endpoint
                 WHERE endpoint.deleted_at IS NULL
                   AND EXISTS (SELECT FROM notice WHERE notice.endpoint = over.endpoint AND notice.kind IN {TOLD_KINDS}
                                                    AND notice.is_for_people AND notice.at >= failing.since)
                 ON CONFLICT DO NOTHING)
             DELETE FROM failing USING over WHERE failing.endpoint = over.endpoint RETURNING {COLUMNS}"
        );
        self.own_readers.rows(&sql, &[endpoints, &self.node.now().0]).await?.iter().map(read).collect()
    }
}

/// Whether deliveries were given up since failures count, and nobody was told of that.
fn exhausted() -> String {
    format!(
        "(EXISTS (SELECT FROM attempt WHERE attempt.endpoint = failing.endpoint AND attempt.disposition = 2
                                      AND attempt.id > (failing.count_since - {EPOCH_MS}) * {IDS_PER_MS} AND attempt.trigger = 0)
          AND NOT EXISTS (SELECT FROM notice WHERE notice.endpoint = failing.endpoint AND notice.kind = 'exhausted'
                                                 AND notice.episode = failing.count_since))"
    )
}

#[async_trait]
impl Healths for Postgres {
    async fn failures_add(&self, failures: Vec<(EndpointKey, Failures)>) -> Result<Told> {
        // In the order of their keys, as every node locks them.
        let mut stored: Vec<_> = failures.iter().map(Stored::of).collect();
        stored.sort_unstable_by_key(|one| one.endpoint);
        // A statement of its own: it must not see what the next one adds. Between the two nothing can go wrong that a later
        // success would not mend.
        let ended = self.end(&stored.iter().map(|one| one.endpoint).collect::<Vec<_>>()).await?;
        let sql = format!(
            "INSERT INTO failing (endpoint, since, after_attempt, count, count_since, row_count, row_since, last)
             SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[],
                                  $7::bigint[], $8::text[])
             ON CONFLICT (endpoint) DO UPDATE SET
                 count_since = CASE WHEN failing.count = 0 THEN excluded.count_since ELSE failing.count_since END,
                 row_since = CASE WHEN failing.row_count > 0 AND excluded.row_count = excluded.count
                                  THEN failing.row_since ELSE excluded.row_since END,
                 row_count = excluded.row_count
                             + CASE WHEN excluded.row_count = excluded.count THEN failing.row_count ELSE 0 END,
                 count = failing.count + excluded.count,
                 last = excluded.last
             RETURNING {COLUMNS}, {SUCCEEDED}"
        );
        let numbers = |of: fn(&Stored) -> i64| stored.iter().map(of).collect::<Vec<_>>();
        let after: Vec<_> = stored.iter().map(|one| floor_of(domain::clock::Timestamp(one.since))).collect();
        let last: Vec<_> = stored.iter().map(|one| &*one.last).collect();
        let rows = self
            .own_readers
            .rows(
                &sql,
                &[
                    &numbers(|one| one.endpoint),
                    &numbers(|one| one.since),
                    &after,
                    &numbers(|one| one.count),
                    &numbers(|one| one.count_since),
                    &numbers(|one| one.row_count),
                    &numbers(|one| one.row_since),
                    &last,
                ],
            )
            .await?;
        let failing = rows.iter().filter(|row| !row.get::<_, bool>(7)).map(read).collect::<Result<_>>()?;
        Ok(Told { ended, failing })
    }

    async fn episodes_end(&self, after: EndpointKey, limit: u32) -> Result<Looked> {
        let sql = format!(
            "SELECT {COLUMNS}, {SUCCEEDED} OR {GONE}, {} FROM failing
             WHERE endpoint > $1 ORDER BY endpoint LIMIT $2",
            exhausted()
        );
        let seen = self.own_readers.rows(&sql, &[&after.0, &i64::from(limit)]).await?;
        let next = seen.last().filter(|_| seen.len() >= limit as usize).map(|row| EndpointKey(row.get(0)));
        let over: Vec<i64> = seen.iter().filter(|row| row.get(7)).map(|row| row.get(0)).collect();
        let exhausted = seen.iter().filter(|row| !row.get::<_, bool>(7) && row.get(8));
        let exhausted = exhausted.map(read).collect::<Result<_>>()?;
        let ended = if over.is_empty() { Vec::new() } else { self.end(&over).await? };
        Ok(Looked { ended, exhausted, next })
    }

    async fn episode(&self, endpoint: EndpointKey) -> Result<Option<Episode>> {
        let sql = format!("SELECT {COLUMNS} FROM failing WHERE endpoint = $1 AND NOT {SUCCEEDED}");
        self.readers.row(&sql, &[&endpoint.0]).await?.as_ref().map(read).transpose()
    }

    async fn episodes(&self, endpoints: Vec<EndpointKey>, limit: u32) -> Result<Vec<Episode>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM (
                 SELECT * FROM failing WHERE endpoint = ANY($1) ORDER BY since, endpoint LIMIT $2) AS failing
             WHERE NOT {SUCCEEDED} ORDER BY since, endpoint"
        );
        let keys: Vec<i64> = endpoints.iter().map(|key| key.0).collect();
        self.readers.rows(&sql, &[&keys, &i64::from(limit)]).await?.iter().map(read).collect()
    }
}
