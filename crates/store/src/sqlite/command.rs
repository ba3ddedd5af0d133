//! What the writer is asked to do, what it answers, and what it keeps in memory meanwhile.

use super::SharedClock;
use super::lease::Lease;
use super::shared::Shared;
use crate::delivery::{Claims, Parked, Record};
use crate::error::{Result, StoreError};
use crate::message::NewMessage;
use crate::seal::Sealer;
use domain::checkpoint::Outstanding;
use domain::clock::Timestamp;
use domain::delivery::DeliveryKey;
use domain::id::{AttemptId, ClaimId, EndpointKey, IdClock};
use domain::message::Message;
use foldhash::HashMap;
use rusqlite::Connection;
use std::sync::Arc;
use tokio::sync::oneshot;

/// A hot command's outcome: its [`After`], and what went wrong with the disk or the SQL.
pub(super) type Applied = std::result::Result<After, (After, StoreError)>;
/// What a command answers once its commit is decided.
pub(super) type After = Box<dyn FnOnce(&mut Memory, Result<()>) + Send>;
/// A command that is not on the path of a message: it runs in a savepoint of its own.
pub(super) type Cold = Box<dyn FnOnce(&Connection, &mut Memory) -> After + Send>;

/// What the writer is asked to do.
pub(super) enum Command {
    Accept(Box<NewMessage>, oneshot::Sender<Result<Arc<Message>>>),
    Record(Arc<Vec<Record>>, oneshot::Sender<Result<Vec<AttemptId>>>),
    Park(Vec<Parked>, oneshot::Sender<Result<()>>),
    Claim(Vec<(EndpointKey, u32)>, Timestamp, oneshot::Sender<Result<Vec<Claims>>>),
    Cold(Cold),
    FinishCheckpoint(oneshot::Sender<()>),
    Close,
}

/// What the writer keeps in memory about its lease.
pub(super) struct Memory {
    pub(super) shared: Arc<Shared>,
    pub(super) ids: IdClock,
    pub(super) lease: Lease,
    pub(super) outstanding: Outstanding,
    /// Rows that are held by dispatch, with their tokens; on SQLite a claim needs no write (PROTOCOL rule 19).
    pub(super) claims: HashMap<DeliveryKey, ClaimId>,
    pub(super) next_claim: i64,
    pub(super) sealer: Arc<Sealer>,
    pub(super) clock: SharedClock,
}

impl Memory {
    pub(super) fn now(&self) -> Timestamp {
        self.clock.0.now()
    }
}

/// Runs a cold command so that what it refuses leaves nothing behind.
pub(super) fn in_savepoint<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Result<T>,
) -> Result<T> {
    connection.execute_batch("SAVEPOINT command")?;
    let result = work(connection);
    if result.is_err() {
        connection.execute_batch("ROLLBACK TO command")?;
    }
    connection.execute_batch("RELEASE command")?;
    result
}
