//! Partitions: a day each, made ahead, dropped whole. Messages and attempts lie in the day of their id, payloads in the
//! day on which they expire. They are named after their day, in days since 1970.

use super::lease::day_of;
use crate::error::{Result, StoreError};
use domain::clock::Timestamp;
use domain::id::{MessageId, floor_of};
use parking_lot::Mutex;
use std::collections::HashSet;
use tokio_postgres::Client;

/// Days of the log that are made ahead.
pub(super) const DAYS_AHEAD: i64 = 3;
/// One making at a time in the whole store.
pub(super) const MAKING_LOCK: i64 = 0x706f_7374_0002;

/// One dropping at a time in the whole store.
const DROPPING_LOCK: i64 = 0x706f_7374_0003;

/// The days that have their partitions, as far as this node knows.
#[derive(Debug, Default)]
pub(super) struct Partitions {
    log: Mutex<HashSet<i64>>,
    payload: Mutex<HashSet<i64>>,
}

/// The day of an id.
pub(super) const fn day_of_id(id: i64) -> i64 {
    day_of(MessageId(id).timestamp())
}

/// The lowest id of a day.
pub(super) const fn floor_of_day(day: i64) -> i64 {
    floor_of(Timestamp(day * 86_400_000))
}

impl Partitions {
    /// Forgets which days have their partitions.
    pub(super) fn forget(&self) {
        self.log.lock().clear();
        self.payload.lock().clear();
    }

    /// Makes what is missing of these days, so that rows of theirs have a place.
    pub(super) async fn ensure(&self, client: &Client, log: &[i64], payload: &[i64]) -> Result<()> {
        let log: Vec<i64> = missing(&self.log, log);
        let payload: Vec<i64> = missing(&self.payload, payload);
        if log.is_empty() && payload.is_empty() {
            return Ok(());
        }
        let mut sql = format!("BEGIN; SELECT pg_advisory_xact_lock({MAKING_LOCK});");
        for day in &log {
            let bounds = (floor_of_day(*day), floor_of_day(*day + 1));
            sql.push_str(&make("message", *day, bounds));
            sql.push_str(&make("attempt", *day, bounds));
        }
        for day in &payload {
            sql.push_str(&make("payload", *day, (*day, *day + 1)));
        }
        sql.push_str("COMMIT;");
        whole(client, &sql).await?;
        self.log.lock().extend(log);
        self.payload.lock().extend(payload);
        Ok(())
    }
}

/// Sends a transaction whole, so that nothing waits inside of it (PROTOCOL rule 4), and leaves none open.
pub(super) async fn whole(client: &Client, sql: &str) -> Result<()> {
    let result = client.batch_execute(sql).await;
    if result.is_err() && !client.is_closed() {
        client.batch_execute("ROLLBACK").await?;
    }
    result.map_err(StoreError::from)
}

fn missing(known: &Mutex<HashSet<i64>>, wanted: &[i64]) -> Vec<i64> {
    let known = known.lock();
    let unknown: HashSet<i64> = wanted.iter().copied().filter(|day| !known.contains(day)).collect();
    unknown.into_iter().collect()
}

/// Attached, not made in place: attaching lets reads and writes of the other partitions go on.
fn make(table: &str, day: i64, (from, to): (i64, i64)) -> String {
    format!(
        "DO $$ BEGIN
             IF to_regclass('{table}_{day}') IS NULL THEN
                 CREATE TABLE {table}_{day} (LIKE {table} INCLUDING ALL);
                 ALTER TABLE {table} ATTACH PARTITION {table}_{day} FOR VALUES FROM ({from}) TO ({to});
             END IF;
         END $$;"
    )
}

/// The days that have a table, oldest first, each with about how many rows it has. One that was detached and not dropped,
/// because its process ended in between, is among them.
pub(super) async fn days(client: &Client, table: &str) -> Result<Vec<(i64, u64)>> {
    let rows = client
        .query(
            "SELECT substring(relname FROM '[0-9]+$')::bigint, greatest(reltuples, 1)::bigint FROM pg_class
             WHERE relkind = 'r' AND relname ~ ('^' || $1 || '_[0-9]+$')
               AND relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass($1))
             ORDER BY 1",
            &[&table],
        )
        .await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get::<_, i64>(1).unsigned_abs())).collect())
}

/// Drops a day's partitions of these tables, in this order. Each is detached first, in a way that keeps nobody from the other
/// partitions: it waits for the statements that may read it while new ones pass. One node at a time; the others try again.
/// Answers whether it was this one's turn.
pub(super) async fn drop_day(client: &Client, tables: &[&str], day: i64) -> Result<bool> {
    let lock = format!("SELECT pg_try_advisory_lock({DROPPING_LOCK})");
    if !client.query_one(&lock, &[]).await?.get::<_, bool>(0) {
        return Ok(false);
    }
    let mut dropped = Ok(());
    for table in tables {
        dropped = drop_one(client, table, day).await;
        if dropped.is_err() {
            break;
        }
    }
    client.batch_execute(&format!("SELECT pg_advisory_unlock({DROPPING_LOCK})")).await?;
    dropped.map(|()| true)
}

async fn drop_one(client: &Client, table: &str, day: i64) -> Result<()> {
    let sql = "SELECT inhdetachpending FROM pg_inherits WHERE inhrelid = to_regclass($1)";
    let attached = client.query_opt(sql, &[&format!("{table}_{day}")]).await?;
    if let Some(attached) = attached {
        let detach = format!("ALTER TABLE {table} DETACH PARTITION {table}_{day}");
        if attached.get(0) {
            // One that was cut short is finished; not for long, since making a partition has to wait for it.
            whole(client, &format!("BEGIN; SET LOCAL statement_timeout = '2s'; {detach} FINALIZE; COMMIT;"))
                .await?;
        } else {
            client.batch_execute(&format!("{detach} CONCURRENTLY")).await?;
        }
    }
    Ok(client.batch_execute(&format!("DROP TABLE IF EXISTS {table}_{day}")).await?)
}
