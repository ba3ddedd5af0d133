//! Prune on PostgreSQL (PROTOCOL rule 17): whole partitions, oldest first. Only exceptions and keys go row by row.

use super::lease::{day_of, lowest_checkpoint};
use super::partition::{day_of_id, days, drop_day, floor_of_day};
use super::{Postgres, audit};
use crate::error::Result;
use crate::prune::{NOTICES_MAX, Prune, Pruned, audit_end, hours_end, notices_end};
use async_trait::async_trait;
use domain::clock::Timestamp;
use domain::id::floor_of;
use tokio_postgres::Client;

#[async_trait]
impl Prune for Postgres {
    async fn prune_step(&self, horizon: Timestamp, now: Timestamp, rows_max: u32) -> Result<Pruned> {
        let lent = self.own_readers.lend().await?;
        let client = lent.client();
        let mut pruned = Pruned::default();
        // Keys first: a partition that cannot go yet must not keep them.
        keys(client, now, rows_max, &mut pruned).await?;
        pruned.tasks = tasks(client, horizon, rows_max).await?;
        pruned.entries = audit::prune(client, audit_end(now), rows_max).await?;
        pruned.notices = notices(client, notices_end(horizon, now), rows_max.min(NOTICES_MAX)).await?;
        pruned.hours = hours(client, hours_end(now), rows_max).await?;
        let log = match self.ended_day(client, horizon).await? {
            Some(ended) => log(client, ended, rows_max, &mut pruned).await,
            None => Ok(()),
        };
        payloads(client, day_of(now), &mut pruned).await?;
        log.map(|()| pruned)
    }
}

/// A day of the log that can go, and about how many rows it has.
struct Ended {
    day: i64,
    messages: u64,
    attempts: u64,
}

impl Postgres {
    /// The oldest day of the log, when all of it is before the horizon and settled.
    async fn ended_day(&self, client: &Client, horizon: Timestamp) -> Result<Option<Ended>> {
        let messages = days(client, "message").await?.first().copied();
        let attempts = days(client, "attempt").await?.first().copied();
        let oldest = messages.into_iter().chain(attempts).map(|(day, _)| day).min();
        let Some(day) = oldest.filter(|day| *day < day_of_id(floor_of(horizon))) else { return Ok(None) };
        if !is_settled(client, day).await? {
            // Checkpoints only rise, and a lease's row may be half a second old.
            self.node.beat().await?;
            if !is_settled(client, day).await? {
                return Ok(None);
            }
        }
        let rows = |first: Option<(i64, u64)>| first.filter(|(of, _)| *of == day).map_or(0, |(_, rows)| rows);
        Ok(Some(Ended { day, messages: rows(messages), attempts: rows(attempts) }))
    }
}

/// Whether every unsettled lease's checkpoint is past this day.
async fn is_settled(client: &Client, day: i64) -> Result<bool> {
    let lowest = lowest_checkpoint(client).await?;
    Ok(lowest.is_none_or(|checkpoint| day < day_of_id(checkpoint + 1)))
}

/// Drops a day of the log; first its rows among the exceptions, pending ones too: a claim that a dispatch holds finds nothing
/// to change any more. A row that a commit has locked waits for the next step.
async fn log(client: &Client, ended: Ended, rows_max: u32, pruned: &mut Pruned) -> Result<()> {
    pruned.deliveries = client
        .execute(
            "DELETE FROM delivery WHERE (endpoint, message, run) IN (
                 SELECT endpoint, message, run FROM delivery WHERE message < $1 ORDER BY message LIMIT $2
                 FOR UPDATE SKIP LOCKED)",
            &[&floor_of_day(ended.day + 1), &i64::from(rows_max)],
        )
        .await?;
    if pruned.deliveries > 0 {
        return Ok(());
    }
    // Attempts never before their message.
    if drop_day(client, &["message", "attempt"], ended.day).await? {
        (pruned.messages, pruned.attempts) = (ended.messages, ended.attempts);
    }
    Ok(())
}

/// Drops the payloads of a day that is over.
async fn payloads(client: &Client, today: i64, pruned: &mut Pruned) -> Result<()> {
    let oldest = days(client, "payload").await?.first().copied();
    if let Some((day, rows)) = oldest.filter(|(day, _)| *day < today)
        && drop_day(client, &["payload"], day).await?
    {
        pruned.payloads = rows;
    }
    Ok(())
}

/// Drops background tasks that ended before the horizon.
async fn tasks(client: &Client, horizon: Timestamp, rows_max: u32) -> Result<u64> {
    let gone = client
        .execute(
            "DELETE FROM task WHERE id IN (
                 SELECT id FROM task WHERE status <> 'running' AND updated_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)",
            &[&horizon.0, &i64::from(rows_max)],
        )
        .await?;
    Ok(gone)
}

/// Drops old notices with their letters, and recipients that had none since.
async fn notices(client: &Client, horizon: Timestamp, rows_max: u32) -> Result<u64> {
    let (horizon, rows) = (horizon.0, i64::from(rows_max));
    let gone = client
        .execute(
            "WITH old AS MATERIALIZED (
                 SELECT key FROM notice WHERE at < $1 ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED),
             unsent AS (DELETE FROM letter USING old WHERE letter.notice = old.key)
             DELETE FROM notice USING old WHERE notice.key = old.key",
            &[&horizon, &rows],
        )
        .await?;
    client
        .execute(
            "DELETE FROM recipient WHERE (channel, recipient) IN (
                 SELECT channel, recipient FROM recipient WHERE waiting = 0 AND next_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)",
            &[&horizon, &rows],
        )
        .await?;
    Ok(gone)
}

/// Drops hours of statistics before this one.
async fn hours(client: &Client, end: i64, rows_max: u32) -> Result<u64> {
    let gone = client
        .execute(
            "DELETE FROM statistics WHERE (application, environment, hour) IN (
                 SELECT application, environment, hour FROM statistics WHERE hour < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)",
            &[&end, &i64::from(rows_max)],
        )
        .await?;
    Ok(gone)
}

async fn keys(client: &Client, now: Timestamp, rows_max: u32, pruned: &mut Pruned) -> Result<()> {
    let (now, rows) = (now.0, i64::from(rows_max));
    let keys = client
        .execute(
            "DELETE FROM message_key WHERE (application, kind, key) IN (
                 SELECT application, kind, key FROM message_key WHERE expires_at <= $1 LIMIT $2
                 FOR UPDATE SKIP LOCKED)",
            &[&now, &rows],
        )
        .await?;
    let replays = client
        .execute(
            "DELETE FROM replay WHERE hash IN (
                 SELECT hash FROM replay WHERE expires_at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)",
            &[&now, &rows],
        )
        .await?;
    pruned.keys = keys + replays;
    Ok(())
}
