//! The lease of this process, and what it settles at start (PROTOCOL rules 5, 6 and 19).
//!
//! One transaction, before accept, claim or prune: every message above an old lease's checkpoint whose endpoint has
//! neither a main-run attempt nor a main-run row becomes a due row, the old lease goes, the new one comes.

use super::query::keys;
use crate::error::Result;
use crate::wake::Wakes;
use domain::checkpoint::Outstanding;
use domain::clock::Timestamp;
use domain::id::{EndpointKey, IdClock};
use rusqlite::{Connection, TransactionBehavior, params};

/// The node slot of the only process that a SQLite file has.
const NODE: u16 = 0;

/// The lease of this process.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) id: i64,
    /// Every id below this was assigned in a transaction whose commit was answered.
    committed_below: i64,
}

/// What a start begins with.
pub(super) struct Start {
    pub(super) lease: Lease,
    pub(super) ids: IdClock,
}

impl Lease {
    /// All commits so far are answered; the next id is at least `floor`.
    pub(super) const fn committed_below(&mut self, floor: i64) {
        self.committed_below = floor;
    }

    /// The checkpoint as of the last answered commit.
    pub(super) fn checkpoint(&self, outstanding: &Outstanding) -> i64 {
        outstanding.checkpoint(self.committed_below)
    }

    pub(super) fn write(&self, connection: &Connection, checkpoint: i64) -> Result<()> {
        connection
            .prepare_cached("UPDATE lease SET checkpoint = ?2 WHERE id = ?1 AND checkpoint < ?2")?
            .execute(params![self.id, checkpoint])?;
        Ok(())
    }
}

/// Settles all old leases and takes a new one.
pub(super) fn acquire(connection: &mut Connection, now: Timestamp, wakes: &Wakes) -> Result<Start> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let checkpoint: Option<i64> =
        transaction.query_row("SELECT min(checkpoint) FROM lease", [], |r| r.get(0))?;
    let mut rescued = Vec::new();
    if let Some(checkpoint) = checkpoint {
        rescued = rescue(&transaction, checkpoint, now)?;
    }
    transaction.execute("DELETE FROM lease", [])?;
    let highest: i64 = transaction.query_row(
        "SELECT max(coalesce((SELECT max(id) FROM message), 0), coalesce((SELECT max(id) FROM attempt), 0))",
        [],
        |r| r.get(0),
    )?;
    let mut ids = IdClock::new(NODE, highest);
    let floor = ids.next(now);
    transaction.execute(
        "INSERT INTO lease (node, state, checkpoint) VALUES (?1, 'live', ?2)",
        params![NODE, floor - 1],
    )?;
    let id = transaction.last_insert_rowid();
    transaction.commit()?;
    if !rescued.is_empty() {
        tracing::info!(deliveries = rescued.len(), "what the last process had in memory is due again");
    }
    rescued.into_iter().for_each(|endpoint| wakes.note(endpoint, now));
    Ok(Start { lease: Lease { id, committed_below: floor }, ids })
}

fn rescue(connection: &Connection, checkpoint: i64, now: Timestamp) -> Result<Vec<EndpointKey>> {
    let mut messages =
        connection.prepare("SELECT id, endpoints, deliver_at FROM message WHERE id > ?1 ORDER BY id")?;
    let mut settle = connection.prepare(
        "INSERT INTO delivery (endpoint, message, run, state, due_at, attempts, trigger)
         SELECT ?1, ?2, 0, 0, ?3, 0, 0
         WHERE NOT EXISTS (SELECT 1 FROM attempt WHERE endpoint = ?1 AND message = ?2 AND run = 0)
         ON CONFLICT DO NOTHING",
    )?;
    let mut rescued = Vec::new();
    let mut rows = messages.query([checkpoint])?;
    while let Some(row) = rows.next()? {
        let (message, due_at): (i64, Option<i64>) = (row.get(0)?, row.get(2)?);
        for endpoint in keys(&row.get::<_, String>(1)?)? {
            if settle.execute(params![endpoint.0, message, due_at.unwrap_or(now.0)])? > 0 {
                rescued.push(endpoint);
            }
        }
    }
    Ok(rescued)
}
