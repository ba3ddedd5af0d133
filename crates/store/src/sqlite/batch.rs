//! What the commands of one commit share: the moment, and the two statements of the happy path, looked up once.

use crate::error::Result;
use domain::clock::Timestamp;
use rusqlite::{CachedStatement, Connection};

/// A statement that nearly every commit runs many times.
#[derive(Clone, Copy)]
pub(super) enum Hot {
    InsertMessage,
    InsertAttempt,
}

/// One commit under way.
pub(super) struct Batch<'c> {
    pub(super) connection: &'c Connection,
    /// The moment at which all of its commands happen.
    pub(super) now: Timestamp,
    held: [Option<CachedStatement<'c>>; 2],
}

impl<'c> Batch<'c> {
    pub(super) const fn new(connection: &'c Connection, now: Timestamp) -> Self {
        Self { connection, now, held: [None, None] }
    }

    /// The statement, prepared as `sql`.
    pub(super) fn statement(&mut self, hot: Hot, sql: &str) -> Result<&mut CachedStatement<'c>> {
        let held = &mut self.held[hot as usize];
        match held {
            Some(statement) => Ok(statement),
            None => Ok(held.insert(self.connection.prepare_cached(sql)?)),
        }
    }
}
