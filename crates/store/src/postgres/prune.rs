//! Prune on PostgreSQL (PROTOCOL rule 17): whole partitions, oldest first. Only exceptions and keys go row by row.

use super::Postgres;
use super::lease::{day_of, lowest_checkpoint};
use super::partition::{day_of_id, days, drop_day, floor_of_day};
use crate::error::Result;
use crate::prune::{Prune, Pruned};
use async_trait::async_trait;
use domain::clock::Timestamp;
use domain::id::floor_of;
use tokio_postgres::Client;

#[async_trait]
impl Prune for Postgres {
    async fn prune_step(&self, horizon: Timestamp, now: Timestamp, rows_max: u32) -> Result<Pruned> {
        // The checkpoints as of now: the lease's row may be half a second old.
        self.node.beat().await?;
        let lent = self.own_readers.lend().await?;
        let client = lent.client();
        let mut pruned = Pruned::default();
        let settled = lowest_checkpoint(client).await?.map_or(i64::MAX, |checkpoint| checkpoint + 1);
        let end_day = day_of_id(floor_of(horizon).min(settled));
        log(client, end_day, rows_max, &mut pruned).await?;
        payloads(client, day_of(now), &mut pruned).await?;
        keys(client, now, rows_max, &mut pruned).await?;
        Ok(pruned)
    }
}

/// Drops the oldest day of the log that has ended before `end_day`; its rows first, pending ones too: a claim that a
/// dispatch holds finds nothing to change any more.
async fn log(client: &Client, end_day: i64, rows_max: u32, pruned: &mut Pruned) -> Result<()> {
    let messages = days(client, "message").await?;
    let Some((day, rows)) = messages.first().copied().filter(|(day, _)| *day < end_day) else {
        return Ok(());
    };
    let gone = client
        .execute(
            "DELETE FROM delivery WHERE (endpoint, message, run) IN (
                 SELECT endpoint, message, run FROM delivery WHERE message < $1 ORDER BY message LIMIT $2)",
            &[&floor_of_day(day + 1), &i64::from(rows_max)],
        )
        .await?;
    pruned.deliveries = gone;
    if gone == u64::from(rows_max) {
        return Ok(());
    }
    let attempts = days(client, "attempt").await?;
    // Attempts never before their message.
    drop_day(client, &["message", "attempt"], day).await?;
    pruned.messages = rows;
    pruned.attempts = attempts.first().map_or(0, |(_, rows)| *rows);
    Ok(())
}

/// Drops the payloads of a day that is over.
async fn payloads(client: &Client, today: i64, pruned: &mut Pruned) -> Result<()> {
    if let Some((day, rows)) = days(client, "payload").await?.first().copied().filter(|(day, _)| *day < today)
    {
        drop_day(client, &["payload"], day).await?;
        pruned.payloads = rows;
    }
    Ok(())
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
