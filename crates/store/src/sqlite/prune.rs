//! Prune on SQLite (PROTOCOL rule 17): by id range from the log's old end, in steps of a few rows.

use super::command::Memory;
use super::{Sqlite, audit};
use crate::error::Result;
use crate::prune::{NOTICES_MAX, Prune, Pruned, audit_end, hours_end, notices_end};
use async_trait::async_trait;
use domain::clock::Timestamp;
use domain::id::floor_of;
use rusqlite::{Connection, OptionalExtension, params};

#[async_trait]
impl Prune for Sqlite {
    async fn prune_step(&self, horizon: Timestamp, now: Timestamp, rows_max: u32) -> Result<Pruned> {
        self.writer
            .write(
                move |c, memory| {
                    let mut pruned = old_rows(c, memory, horizon, rows_max)?;
                    expired(c, now, rows_max, &mut pruned)?;
                    pruned.tasks = tasks(c, horizon, rows_max)?;
                    pruned.entries = audit::prune(c, audit_end(now), rows_max)?;
                    pruned.notices = notices(c, notices_end(horizon, now), rows_max)?;
                    pruned.hours = hours(c, hours_end(now), rows_max)?;
                    Ok(pruned)
                },
                |_, _| {},
            )
            .await
    }
}

/// Drops the oldest messages below the horizon with their rows, and attempts whose messages are gone.
fn old_rows(c: &Connection, memory: &mut Memory, horizon: Timestamp, rows_max: u32) -> Result<Pruned> {
    let mut pruned = Pruned::default();
    let settled = memory.lease.checkpoint(&memory.outstanding);
    let end = floor_of(horizon).min(settled + 1);
    let messages: Vec<(i64, String)> = c
        .prepare_cached("SELECT id, endpoints FROM message WHERE id < ?1 ORDER BY id LIMIT ?2")?
        .query_map(params![end, rows_max], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (message, endpoints) in &messages {
        // Its rows go with it, pending ones too: a claim that dispatch holds finds nothing to change any more.
        for endpoint in super::query::keys(endpoints)? {
            let rows = c
                .prepare_cached("DELETE FROM delivery WHERE endpoint = ?1 AND message = ?2")?
                .execute(params![endpoint.0, message])?;
            pruned.deliveries += rows as u64;
        }
        c.prepare_cached("DELETE FROM message WHERE id = ?1")?.execute([message])?;
    }
    pruned.messages = messages.len() as u64;
    let oldest: Option<i64> =
        c.prepare_cached("SELECT min(id) FROM message")?.query_row([], |r| r.get(0)).optional()?.flatten();
    // Attempts never before their message: only those below the horizon and below the oldest message that is left.
    let attempts_end = oldest.map_or(end, |oldest| end.min(oldest));
    let gone = c
        .prepare_cached(
            "DELETE FROM attempt WHERE id IN (SELECT id FROM attempt WHERE id < ?1 ORDER BY id LIMIT ?2)",
        )?
        .execute(params![attempts_end, rows_max])?;
    pruned.attempts = gone as u64;
    Ok(pruned)
}

/// Drops background tasks that ended before the horizon.
fn tasks(c: &Connection, horizon: Timestamp, rows_max: u32) -> Result<u64> {
    let gone = c
        .prepare_cached(
            "DELETE FROM task WHERE id IN
                 (SELECT id FROM task WHERE status <> 'running' AND updated_at < ?1 LIMIT ?2)",
        )?
        .execute(params![horizon.0, rows_max])?;
    Ok(gone as u64)
}

/// Drops old notices with their letters, and recipients that had none since.
fn notices(c: &Connection, horizon: Timestamp, rows_max: u32) -> Result<u64> {
    // Each may have many letters.
    let rows_max = rows_max.min(NOTICES_MAX);
    const OLD: &str = "SELECT key FROM notice WHERE at < ?1 ORDER BY at LIMIT ?2";
    let values = params![horizon.0, rows_max];
    c.prepare_cached(&format!("DELETE FROM letter WHERE notice IN ({OLD})"))?.execute(values)?;
    let gone = c.prepare_cached(&format!("DELETE FROM notice WHERE key IN ({OLD})"))?.execute(values)?;
    c.prepare_cached(
        "DELETE FROM recipient WHERE (channel, recipient) IN
             (SELECT channel, recipient FROM recipient WHERE waiting = 0 AND next_at < ?1 LIMIT ?2)",
    )?
    .execute(values)?;
    Ok(gone as u64)
}

/// Drops hours of statistics before this one.
fn hours(c: &Connection, end: i64, rows_max: u32) -> Result<u64> {
    let gone = c
        .prepare_cached(
            "DELETE FROM statistics WHERE (application, environment, hour) IN
                 (SELECT application, environment, hour FROM statistics WHERE hour < ?1 LIMIT ?2)",
        )?
        .execute(params![end, rows_max])?;
    Ok(gone as u64)
}

/// Drops payloads and keys whose own time is over.
fn expired(c: &Connection, now: Timestamp, rows_max: u32, pruned: &mut Pruned) -> Result<()> {
    let payloads = c
        .prepare_cached(
            "UPDATE message SET payload = NULL, sealed_overrides = NULL, payload_expires_at = NULL WHERE id IN
                 (SELECT id FROM message WHERE payload_expires_at <= ?1 LIMIT ?2)",
        )?
        .execute(params![now.0, rows_max])?;
    let keys = c
        .prepare_cached(
            "DELETE FROM message_key WHERE (application, kind, key) IN
                 (SELECT application, kind, key FROM message_key WHERE expires_at <= ?1 LIMIT ?2)",
        )?
        .execute(params![now.0, rows_max])?;
    let replays = c
        .prepare_cached(
            "DELETE FROM replay WHERE hash IN (SELECT hash FROM replay WHERE expires_at <= ?1 LIMIT ?2)",
        )?
        .execute(params![now.0, rows_max])?;
    pruned.payloads = payloads as u64;
    pruned.keys = (keys + replays) as u64;
    Ok(())
}
