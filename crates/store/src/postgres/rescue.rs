//! Rescue: what a lease left becomes due again, and the lease goes (PROTOCOL rules 5, 14 and 17).
//!
//! Each step is a transaction that is sent whole, its lock taken by a statement of its own: the statement behind it has a
//! newer snapshot and sees what it waited for. A combined one reads an old snapshot and misses it.

use super::node::Node;
use super::partition::whole;
use crate::error::{Result, StoreError};
use domain::id::{EndpointKey, LeaseId};
use tokio_postgres::{Client, SimpleQueryMessage};

/// Messages that one step looks at.
const STEP_MESSAGES: i64 = 5_000;
/// Deliveries of them: the message that passes the limit is the step's last. A step must end well within the statement timeout,
/// also where each message goes to thousands of endpoints.
const STEP_DELIVERIES: i64 = 20_000;
/// Rows that one step releases.
const STEP_ROWS: u64 = 2_000;
/// A delivery during which so many processes died is given up (rule 14).
const RESCUES_MAX: i64 = 10;

/// Leases that have ended, or that another node has begun to settle. Not locked here: a stuck client of a lease holds its
/// row, and must be ended all the same ([`end`] locks and looks again).
pub(super) async fn candidates(client: &Client) -> Result<Vec<LeaseId>> {
    let rows = client
        .query(
            "SELECT id FROM lease WHERE state = 'dead' OR expires_at < clock_timestamp()
             ORDER BY id LIMIT 16",
            &[],
        )
        .await?;
    Ok(rows.iter().map(|row| LeaseId(row.get(0))).collect())
}

/// Which leases may be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// One that has expired, by the database's clock (rule 2).
    Expired,
    /// Our own, which nothing is written under any more (rules 8 and 17).
    Own,
}

/// Ends a lease and makes everything that it left due. False when it is alive after all.
pub(super) async fn settle(client: &Client, node: &Node, lease: LeaseId, whose: Whose) -> Result<bool> {
    if !end(client, lease, whose).await? {
        return Ok(false);
    }
    let Some((checkpoint, ceiling)) = bounds(client, lease).await? else { return Ok(true) };
    let mut from = checkpoint;
    let mut endpoints = Vec::new();
    while let Some(to) = step_end(client, from, ceiling).await? {
        endpoints.extend(fill(client, node, lease, (from, to)).await?);
        from = to;
    }
    loop {
        let released = release(client, lease, whose).await?;
        let more = released.len() as u64 >= STEP_ROWS;
        endpoints.extend(released);
        if !more {
            break;
        }
    }
    client.execute("DELETE FROM lease WHERE id = $1 AND state = 'dead'", &[&lease.0]).await?;
    if !endpoints.is_empty() {
        tracing::info!(lease = lease.0, deliveries = endpoints.len(), "what a lease left is due again");
    }
    let now = node.now();
    endpoints.into_iter().for_each(|endpoint| node.shared.wakes.note(endpoint, now));
    Ok(true)
}

/// Rule 5 (a): under the row's exclusive lock, which waits for every transaction that is fenced by it, checks again and
/// sets it dead. What holds it up for over a second is a stuck client: its sessions are ended.
async fn end(client: &Client, lease: LeaseId, whose: Whose) -> Result<bool> {
    let id = lease.0;
    let expired = if whose == Whose::Expired { "AND expires_at < clock_timestamp()" } else { "" };
    let sql = format!(
        "BEGIN;
         SET LOCAL lock_timeout = '1s';
         SELECT FROM lease WHERE id = {id} FOR UPDATE;
         UPDATE lease SET state = 'dead' WHERE id = {id} AND state = 'live' {expired};
         COMMIT;"
    );
    if let Err(error) = whole(client, &sql).await {
        let ended = client
            .execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE datname = current_database() AND pid <> pg_backend_pid()
                   AND string_to_array(application_name, ' ') @> ARRAY['posthaste', $1::text]",
                &[&id.to_string()],
            )
            .await?;
        tracing::warn!(%error, lease = id, sessions = ended, "a lease that ended was held up by its sessions: they were ended");
        whole(client, &sql).await?;
    }
    let rows = client.query("SELECT FROM lease WHERE id = $1 AND state = 'dead'", &[&id]).await?;
    Ok(!rows.is_empty())
}

async fn bounds(client: &Client, lease: LeaseId) -> Result<Option<(i64, i64)>> {
    // The lease is dead: what it wrote is there, so that messages above the last one are other leases'.
    let sql = "SELECT checkpoint, least(ceiling, (SELECT max(id) FROM message)) FROM lease WHERE id = $1";
    let row = client.query_opt(sql, &[&lease.0]).await?;
    Ok(row.map(|row| (row.get(0), row.get(1))))
}

/// The last id of the next step; none when the log has no more up to the ceiling.
async fn step_end(client: &Client, from: i64, ceiling: i64) -> Result<Option<i64>> {
    let row = client
        .query_one(
            "SELECT max(id) FROM (
                 SELECT id, sum(cardinality(endpoints)) OVER (ORDER BY id) - cardinality(endpoints) AS before
                 FROM (SELECT id, endpoints FROM message WHERE id > $1 AND id <= $2 ORDER BY id LIMIT $3) AS looked_at
             ) AS step
             WHERE before < $4::bigint",
            &[&from, &ceiling, &STEP_MESSAGES, &STEP_DELIVERIES],
        )
        .await?;
    Ok(row.get(0))
}

/// Rule 5 (b): one statement for a range of ids, which looks for attempts and rows in the same snapshot. The lease's row
/// is locked first, so that two rescuers never do the same step at once: the later one would put back what was settled
/// since its snapshot. The range is repeated for the attempts, or all of them would be read.
async fn fill(
    client: &Client,
    node: &Node,
    lease: LeaseId,
    (from, to): (i64, i64),
) -> Result<Vec<EndpointKey>> {
    let (id, now, skew) = (lease.0, node.now().0, super::delivery::SKEW);
    let sql = format!(
        "BEGIN;
         SELECT FROM lease WHERE id = {id} FOR UPDATE;
         INSERT INTO delivery (endpoint, message, run, state, due_at, attempts, trigger)
         SELECT wanted.endpoint, message.id, 0, 0, coalesce(message.deliver_at, {now}), 0, 0
         FROM message CROSS JOIN LATERAL unnest(message.endpoints) AS wanted (endpoint)
         WHERE message.id > {from} AND message.id <= {to} AND message.lease = {id}
           AND EXISTS (SELECT FROM lease WHERE lease.id = {id} AND lease.state = 'dead')
           AND NOT EXISTS (
               SELECT FROM attempt
               WHERE attempt.endpoint = wanted.endpoint AND attempt.message = message.id AND attempt.run = 0
                 AND attempt.message > {from} AND attempt.message <= {to} AND attempt.id > {from} - {skew})
           AND NOT EXISTS (
               SELECT FROM delivery
               WHERE delivery.endpoint = wanted.endpoint AND delivery.message = message.id AND delivery.run = 0)
         ON CONFLICT DO NOTHING
         RETURNING endpoint;
         COMMIT;"
    );
    returned(client, &sql).await
}

/// Frees rows that the lease held. One that has seen too many processes die is given up.
async fn release(client: &Client, lease: LeaseId, whose: Whose) -> Result<Vec<EndpointKey>> {
    // A process that stopped in order says nothing against what it held.
    let (id, died) = (lease.0, i32::from(whose == Whose::Expired));
    let sql = format!(
        "BEGIN;
         SELECT FROM lease WHERE id = {id} FOR UPDATE;
         UPDATE delivery SET lease = NULL, claim = NULL, rescued = rescued + {died},
                state = CASE WHEN rescued + {died} >= {RESCUES_MAX} THEN 1 ELSE state END
         WHERE (endpoint, message, run) IN (
             SELECT endpoint, message, run FROM delivery WHERE lease = {id} LIMIT {STEP_ROWS} FOR UPDATE)
         RETURNING endpoint;
         COMMIT;"
    );
    returned(client, &sql).await
}

async fn returned(client: &Client, sql: &str) -> Result<Vec<EndpointKey>> {
    let messages = match client.simple_query(sql).await {
        Ok(messages) => messages,
        Err(error) => {
            if !client.is_closed() {
                client.batch_execute("ROLLBACK").await?;
            }
            return Err(error.into());
        }
    };
    let endpoint = |message: &SimpleQueryMessage| match message {
        SimpleQueryMessage::Row(row) => row.try_get("endpoint").ok().flatten().map(str::parse::<i64>),
        _ => None,
    };
    let keys: std::result::Result<Vec<i64>, _> = messages.iter().filter_map(endpoint).collect();
    let keys = keys.map_err(|error| StoreError::Broken(format!("an endpoint's key: {error}")))?;
    Ok(keys.into_iter().map(EndpointKey).collect())
}
