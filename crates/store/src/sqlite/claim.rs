//! Claiming due rows on SQLite (PROTOCOL rules 10 and 12).
//!
//! The writer does it between its other commands, so that a row which was just settled is never seen. A claim is a
//! token in memory and needs no write; only rows that can never be sent are changed.

use super::command::{Applied, Memory};
use super::delivery::refuse;
use crate::delivery::{Claimed, Claims};
use crate::error::Result;
use domain::attempt::Trigger;
use domain::clock::Timestamp;
use domain::delivery::DeliveryKey;
use domain::id::{ClaimId, EndpointKey, MessageId};
use rusqlite::{Connection, params};
use tokio::sync::oneshot;

/// Rows of a deleted or disabled endpoint that one claim cancels.
const CANCELED_ROWS_MAX: i64 = 2_000;

/// Payload bytes of the messages that one claim takes (16 MiB): the row that passes the limit is the last one.
const CLAIM_BYTES_MAX: i64 = 16 << 20;

/// Claims due rows, up to so many for each endpoint.
pub(super) fn claim(
    connection: &Connection,
    memory: &mut Memory,
    wanted: Vec<(EndpointKey, u32)>,
    now: Timestamp,
    answer: oneshot::Sender<Result<Vec<Claims>>>,
) -> Applied {
    let mut found: Vec<Claims> = Vec::with_capacity(wanted.len());
    let mut bytes_left = CLAIM_BYTES_MAX;
    for (endpoint, room) in wanted {
        found.push(Claims { endpoint, rows: Vec::new(), next_due: None });
        let claims = found.last_mut().unwrap_or_else(|| unreachable!("one was just pushed"));
        if let Err(error) = claim_one(connection, memory, (claims, room), now, &mut bytes_left) {
            // What was taken on the way to the error is free again, too.
            release(memory, &found);
            return refuse(answer, error);
        }
    }
    Ok(Box::new(move |memory, committed| {
        if committed.is_err() {
            release(memory, &found);
        }
        if let Err(Ok(unheard)) = answer.send(committed.map(|()| found)) {
            // Nobody will carry these claims: they are free at once.
            release(memory, &unheard);
        }
    }))
}

fn release(memory: &mut Memory, found: &[Claims]) {
    for row in found.iter().flat_map(|claims| &claims.rows) {
        memory.claims.remove(&row.key);
    }
}

fn claim_one(
    connection: &Connection,
    memory: &mut Memory,
    (claims, room): (&mut Claims, u32),
    now: Timestamp,
    bytes_left: &mut i64,
) -> Result<()> {
    let endpoint = claims.endpoint;
    let ordered = match memory.shared.routing.route(endpoint) {
        Some(route) if !route.endpoint.fields.disabled => {
            // Resuming notes a wake, and the sweep comes by: nothing to remember for a paused endpoint.
            if route.endpoint.fields.paused {
                return Ok(());
            }
            route.endpoint.fields.options.ordered
        }
        _ => {
            let canceled = cancel_rows(connection, endpoint)?;
            claims.next_due = (canceled == CANCELED_ROWS_MAX).then_some(now);
            return Ok(());
        }
    };
    let mut statement = connection.prepare_cached(if ordered { FIRST_DUE } else { ALL_DUE })?;
    let mut rows = statement.query([endpoint.0])?;
    // The walk passes rows that are held already; those are at most what dispatch keeps for one endpoint.
    while let Some(row) = rows.next()? {
        let key = DeliveryKey { message: MessageId(row.get(0)?), endpoint, run: row.get(1)? };
        let due_at = Timestamp(row.get(2)?);
        // The next one of an ordered endpoint waits until the held one is settled, which notes a wake.
        if memory.claims.contains_key(&key) {
            continue;
        }
        if ordered && due_at > now {
            claims.next_due = claims.next_due.into_iter().chain([due_at]).min();
            continue;
        }
        if due_at > now || claims.rows.len() >= room as usize || *bytes_left <= 0 {
            claims.next_due = Some(due_at);
            break;
        }
        let Some(bytes) = row.get::<_, Option<i64>>(5)? else {
            drop_row(connection, key)?;
            continue;
        };
        *bytes_left -= bytes;
        let trigger = super::row::coded(row.get(4)?, Trigger::from_code)?;
        let claim = ClaimId(memory.next_claim);
        memory.next_claim += 1;
        memory.claims.insert(key, claim);
        claims.rows.push(Claimed { key, claim, attempts: row.get(3)?, trigger, due_at });
    }
    Ok(())
}

/// An endpoint's rows, oldest due first.
const ALL_DUE: &str =
    "SELECT message, run, due_at, attempts, trigger, (SELECT coalesce(length(payload), 0) FROM message WHERE id = delivery.message)
     FROM delivery WHERE endpoint = ?1 AND state = 0 ORDER BY due_at, message";
/// The one of an ordered endpoint whose turn it is, whatever its due time; and what goes beside that order.
const FIRST_DUE: &str =
    "SELECT message, run, due_at, attempts, trigger, (SELECT coalesce(length(payload), 0) FROM message WHERE id = first.message)
     FROM (SELECT * FROM delivery WHERE endpoint = ?1 AND state = 0 AND run = 0 ORDER BY message LIMIT 1) AS first
     UNION ALL
     SELECT message, run, due_at, attempts, trigger, (SELECT coalesce(length(payload), 0) FROM message WHERE id = again.message)
     FROM (SELECT * FROM delivery WHERE endpoint = ?1 AND state = 0 AND run > 0 ORDER BY due_at, message LIMIT 512) AS again";

fn cancel_rows(connection: &Connection, endpoint: EndpointKey) -> Result<i64> {
    let canceled = connection
        .prepare_cached(
            "UPDATE delivery SET state = 1 WHERE endpoint = ?1 AND (message, run) IN
                 (SELECT message, run FROM delivery WHERE endpoint = ?1 AND state = 0 ORDER BY due_at, message LIMIT ?2)",
        )?
        .execute(params![endpoint.0, CANCELED_ROWS_MAX])?;
    Ok(i64::try_from(canceled).unwrap_or(i64::MAX))
}

/// The message is gone, so that nothing can ever ask for this row again.
fn drop_row(connection: &Connection, key: DeliveryKey) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM delivery WHERE endpoint = ?1 AND message = ?2 AND run = ?3")?
        .execute(params![key.endpoint.0, key.message.0, key.run])?;
    Ok(())
}
