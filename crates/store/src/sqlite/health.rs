//! Endpoints that fail, on SQLite.

use super::Sqlite;
use super::query::keys_column;
use super::row::collect;
use crate::error::Result;
use crate::health::{Episode, Healths, Looked, Stored, TOLD_KINDS, Told};
use async_trait::async_trait;
use domain::clock::Timestamp;
use domain::health::Failures;
use domain::id::{EPOCH_MS, EndpointKey, IDS_PER_MS, floor_of};
use rusqlite::{Connection, OptionalExtension, Row, params};

/// Episodes that end in one transaction.
const ENDED_MAX: usize = 25;
const COLUMNS: &str = "endpoint, since, count, count_since, row_count, row_since, last";
/// One look into the index of attempts.
const SUCCEEDED: &str =
    "EXISTS (SELECT 1 FROM attempt WHERE attempt.endpoint = failing.endpoint AND attempt.disposition = 0
                                 AND attempt.id > failing.after_attempt)";
const GONE: &str = "NOT EXISTS (SELECT 1 FROM endpoint WHERE endpoint.key = failing.endpoint AND endpoint.deleted_at IS NULL)";

fn read(row: &Row<'_>) -> Result<Episode> {
    Stored {
        endpoint: row.get(0)?,
        since: row.get(1)?,
        count: row.get(2)?,
        count_since: row.get(3)?,
        row_count: row.get(4)?,
        row_since: row.get(5)?,
        last: row.get(6)?,
    }
    .read()
}

/// The endpoint was enabled again: what counts towards disabling begins anew.
pub(super) fn begin_again(connection: &Connection, key: EndpointKey) -> Result<()> {
    connection
        .prepare_cached("UPDATE failing SET count = 0, row_count = 0 WHERE endpoint = ?1")?
        .execute([key.0])?;
    Ok(())
}

/// Ends the endpoint's episode if it is over.
fn end(connection: &Connection, key: EndpointKey, now: Timestamp) -> Result<Vec<Episode>> {
    let tell = format!(
        "INSERT INTO notice (application, endpoint, kind, episode, subject, at, is_for_people, facts)
         SELECT endpoint.application, failing.endpoint, 'recovered', failing.since, '', ?2, 1,
                json_object('since', failing.since, 'failures', failing.count)
         FROM failing JOIN endpoint ON endpoint.key = failing.endpoint
         WHERE failing.endpoint = ?1 AND {SUCCEEDED} AND endpoint.deleted_at IS NULL
           AND EXISTS (SELECT 1 FROM notice WHERE notice.endpoint = ?1 AND notice.kind IN {TOLD_KINDS}
                                              AND notice.is_for_people = 1 AND notice.at >= failing.since)
         ON CONFLICT DO NOTHING"
    );
    connection.prepare_cached(&tell)?.execute([key.0, now.0])?;
    let sql =
        format!("DELETE FROM failing WHERE endpoint = ?1 AND ({SUCCEEDED} OR {GONE}) RETURNING {COLUMNS}");
    collect(connection.prepare_cached(&sql)?.query([key.0])?, read)
}

fn add(connection: &Connection, one: &(EndpointKey, Failures)) -> Result<Option<Episode>> {
    let stored = Stored::of(one);
    let sql = format!(
        "INSERT INTO failing (endpoint, since, after_attempt, count, count_since, row_count, row_since, last)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
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
    let mut statement = connection.prepare_cached(&sql)?;
    let after = floor_of(one.1.since);
    let mut rows = statement.query(params![
        stored.endpoint,
        stored.since,
        after,
        stored.count,
        stored.count_since,
        stored.row_count,
        stored.row_since,
        stored.last
    ])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let has_succeeded: bool = row.get(7)?;
    let episode = read(row)?;
    Ok((!has_succeeded).then_some(episode))
}

/// Whether deliveries were given up since failures count, and nobody was told of that.
fn exhausted() -> String {
    format!(
        "(EXISTS (SELECT 1 FROM attempt WHERE attempt.endpoint = failing.endpoint AND attempt.disposition = 2
                                      AND attempt.id > (failing.count_since - {EPOCH_MS}) * {IDS_PER_MS} AND attempt.trigger = 0)
          AND NOT EXISTS (SELECT 1 FROM notice WHERE notice.endpoint = failing.endpoint AND notice.kind = 'exhausted'
                                                 AND notice.episode = failing.count_since))"
    )
}

#[async_trait]
impl Healths for Sqlite {
    async fn failures_add(&self, failures: Vec<(EndpointKey, Failures)>) -> Result<Told> {
        let now = self.clock.0.now();
        let add_all = move |c: &Connection| {
            let mut told = Told::default();
            for one in &failures {
                told.ended.extend(end(c, one.0, now)?);
                told.failing.extend(add(c, one)?);
            }
            Ok(told)
        };
        self.writer.write(move |c, _| add_all(c), |_, _| {}).await
    }

    async fn episodes_end(&self, after: EndpointKey, limit: u32) -> Result<Looked> {
        let look = move |c: &Connection| {
            let sql = format!(
                "SELECT {COLUMNS}, {SUCCEEDED} OR {GONE}, {} FROM failing
                 WHERE endpoint > ?1 ORDER BY endpoint LIMIT ?2",
                exhausted()
            );
            let mut statement = c.prepare_cached(&sql)?;
            collect(statement.query(params![after.0, limit])?, |row| {
                Ok((read(row)?, row.get::<_, bool>(7)?, row.get::<_, bool>(8)?))
            })
        };
        let seen = self.own_readers.read(look).await?;
        let mut next = seen.last().filter(|_| seen.len() >= limit as usize).map(|(one, ..)| one.endpoint);
        let mut over: Vec<_> = seen.iter().filter(|one| one.1).map(|one| one.0.endpoint).collect();
        if over.len() > ENDED_MAX {
            over.truncate(ENDED_MAX);
            next = over.last().copied();
        }
        let exhausted = seen.into_iter().filter(|one| !one.1 && one.2).map(|one| one.0).collect();
        let mut looked = Looked { ended: Vec::new(), exhausted, next };
        if over.is_empty() {
            return Ok(looked);
        }
        let now = self.clock.0.now();
        let end_all = move |c: &Connection| {
            for key in over {
                looked.ended.extend(end(c, key, now)?);
            }
            Ok(looked)
        };
        self.writer.write(move |c, _| end_all(c), |_, _| {}).await
    }

    async fn episode(&self, endpoint: EndpointKey) -> Result<Option<Episode>> {
        let find = move |c: &Connection| {
            let sql = format!("SELECT {COLUMNS} FROM failing WHERE endpoint = ?1 AND NOT {SUCCEEDED}");
            let mut statement = c.prepare_cached(&sql)?;
            let found = statement.query_row([endpoint.0], |row| Ok(read(row))).optional()?;
            found.transpose()
        };
        self.readers.read(find).await
    }

    async fn episodes(&self, endpoints: Vec<EndpointKey>, limit: u32) -> Result<Vec<Episode>> {
        let list = move |c: &Connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM (
                     SELECT * FROM failing WHERE endpoint IN (SELECT value FROM json_each(?1))
                     ORDER BY since, endpoint LIMIT ?2) AS failing
                 WHERE NOT {SUCCEEDED} ORDER BY since, endpoint"
            );
            let keys = keys_column(endpoints.into_iter());
            collect(c.prepare_cached(&sql)?.query(params![keys, limit])?, read)
        };
        self.readers.read(list).await
    }
}
