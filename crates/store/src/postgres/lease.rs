//! The lease in the database: taken, renewed, counted (PROTOCOL rules 1 to 3 and 7).

use super::book::{Beat, ceiling_above};
use super::node::Node;
use super::time::boot_ms;
use crate::error::{Result, StoreError};
use domain::clock::Timestamp;
use domain::id::{LeaseId, floor_of};
use std::sync::atomic::Ordering;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

/// How often a slot is tried that another node takes at the same moment.
const TRIES: u32 = 20;

/// Reads the database's clock, and the highest id that is stored.
async fn look(client: &Client, node: &Node) -> Result<i64> {
    let sent = boot_ms();
    let row = client
        .query_one(
            "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint,
                    greatest((SELECT max(id) FROM message), (SELECT max(id) FROM attempt), 0)",
            &[],
        )
        .await?;
    node.time.learn(row.get(0), sent, boot_ms());
    Ok(row.get(1))
}

/// Takes a fresh lease, with a node slot that no unsettled lease has (rule 1).
pub(super) async fn acquire(client: &Client, node: &Node) -> Result<LeaseId> {
    let highest = look(client, node).await?;
    let ttl_ms = i64::try_from(node.lease_ttl.as_millis()).unwrap_or(i64::MAX);
    let now = node.now();
    let checkpoint = highest.max(floor_of(now));
    let ceiling = ceiling_above(checkpoint, ttl_ms);
    for _ in 0..TRIES {
        // Rule 2: validity counts from before the lease was asked for.
        let sent = boot_ms();
        let taken = client
            .query_opt(
                "INSERT INTO lease (node, state, expires_at, checkpoint, ceiling)
                 SELECT slot, 'live', clock_timestamp() + $1::bigint * interval '1 millisecond', $2, $3
                 FROM generate_series(0, 1023) AS slot
                 WHERE NOT EXISTS (SELECT FROM lease WHERE lease.node = slot)
                   AND NOT EXISTS (SELECT FROM copying WHERE step = 'source')
                 ORDER BY slot LIMIT 1
                 RETURNING id, node",
                &[&ttl_ms, &checkpoint, &ceiling],
            )
            .await;
        match taken {
            Ok(Some(row)) => {
                let (id, slot): (i64, i16) = (row.get(0), row.get(1));
                let lease = LeaseId(id);
                node.change(|book| book.begin((lease, slot.unsigned_abs()), checkpoint, ceiling, sent));
                tracing::info!(lease = id, slot, "a lease was taken");
                return Ok(lease);
            }
            Ok(None) => break,
            Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(StoreError::Unavailable(
        "no node slot is free: 1,024 processes share this store already, or a copy into it is under way"
            .into(),
    ))
}

/// Renews leases and writes their checkpoints and ceilings: one update, whose rows stay on their page. A lease that is
/// not among the answer is lost. An expired one whose row is still live may renew (rule 1).
pub(super) async fn renew(client: &Client, node: &Node, beats: &[Beat]) -> Result<()> {
    let ttl_ms = i64::try_from(node.lease_ttl.as_millis()).unwrap_or(i64::MAX);
    let leases: Vec<i64> = beats.iter().map(|beat| beat.lease.0).collect();
    let checkpoints: Vec<i64> = beats.iter().map(|beat| beat.checkpoint).collect();
    let ceilings: Vec<i64> = beats.iter().map(|beat| beat.ceiling).collect();
    let sent = boot_ms();
    let rows = client
        .query(
            "WITH beat AS (SELECT * FROM unnest($2::bigint[], $3::bigint[], $4::bigint[]) AS b (lease, checkpoint, ceiling)),
             renewed AS (
                 UPDATE lease SET expires_at = clock_timestamp() + $1::bigint * interval '1 millisecond',
                     checkpoint = greatest(lease.checkpoint, beat.checkpoint),
                     ceiling = greatest(lease.ceiling, beat.ceiling)
                 FROM beat WHERE lease.id = beat.lease AND lease.state = 'live'
                 RETURNING lease.id)
             SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint,
                    (SELECT count(*) FROM lease WHERE state = 'live' AND expires_at > clock_timestamp()),
                    (SELECT array_agg(id) FROM renewed)",
            &[&ttl_ms, &leases, &checkpoints, &ceilings],
        )
        .await?;
    let answered = boot_ms();
    let Some(row) = rows.first() else { return Ok(()) };
    node.time.learn(row.get(0), sent, answered);
    let live: i64 = row.get(1);
    node.live_leases.store(u32::try_from(live).unwrap_or(u32::MAX).max(1), Ordering::Relaxed);
    let renewed: Vec<LeaseId> =
        row.get::<_, Option<Vec<i64>>>(2).unwrap_or_default().into_iter().map(LeaseId).collect();
    let missing = beats.iter().filter(|beat| !renewed.contains(&beat.lease));
    // One of our own that was settled meanwhile is no news.
    for beat in missing.filter(|beat| node.book.lock().get(beat.lease).is_some()) {
        tracing::warn!(
            lease = beat.lease.0,
            "the lease is lost: what was in memory under it is another node's now"
        );
    }
    // Rule 2: counted from before the renewal was sent, so that a process which slept meanwhile knows less, never more.
    node.change(|book| book.renewed(beats, &renewed, (sent, answered)));
    Ok(())
}

/// The lowest checkpoint of all unsettled leases (rule 17).
pub(super) async fn lowest_checkpoint(client: &Client) -> Result<Option<i64>> {
    Ok(client.query_one("SELECT min(checkpoint) FROM lease", &[]).await?.get(0))
}

/// Names the session after its leases, so that a rescuer can end it (rule 4).
pub(super) async fn name_session(client: &Client, leases: &[LeaseId]) -> Result<()> {
    let ids: Vec<String> = leases.iter().map(|lease| lease.0.to_string()).collect();
    let name = format!("posthaste {}", ids.join(" "));
    client.execute("SELECT set_config('application_name', $1, false)", &[&name]).await?;
    Ok(())
}

/// What the beginning of the log's day is for a time.
pub(super) const fn day_of(time: Timestamp) -> i64 {
    time.0.div_euclid(86_400_000)
}
