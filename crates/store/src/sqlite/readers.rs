//! Read connections: lists and look-ups see the last commit and never wait for the writer.

use super::{Probe, connect};
use crate::error::{Result, StoreError};
use parking_lot::Mutex;
use rusqlite::Connection;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// The pool of read connections.
#[derive(Debug)]
pub(super) struct Readers {
    idle: Arc<Mutex<Vec<Connection>>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    /// Opens so many, each used by one caller at a time.
    pub(super) fn open(path: &Path, connections: usize, probe: Option<&dyn Probe>) -> Result<Self> {
        let mut idle = Vec::with_capacity(connections);
        for _ in 0..connections {
            let connection = connect(path, probe)?;
            connection.pragma_update(None, "query_only", true)?;
            idle.push(connection);
        }
        Ok(Self { idle: Arc::new(Mutex::new(idle)), permits: Arc::new(Semaphore::new(connections)) })
    }

    /// Runs `work` on a read connection, in one read transaction, away from the async threads.
    pub(super) async fn read<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let closed = || StoreError::Unavailable("the store is closing".into());
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| closed())?;
        let idle = Arc::clone(&self.idle);
        let reading = tokio::task::spawn_blocking(move || {
            let connection = idle.lock().pop();
            let lent = Lent { connection, idle };
            let connection = lent.connection.as_ref().ok_or_else(closed)?;
            let answer = (|| {
                let transaction = connection.unchecked_transaction()?;
                let answer = work(&transaction)?;
                transaction.commit()?;
                Ok(answer)
            })();
            drop(lent);
            drop(permit);
            answer
        });
        reading.await.map_err(|e| StoreError::Broken(format!("a read ended early: {e}")))?
    }
}

/// A connection that goes back when its reader is done, or panics.
struct Lent {
    connection: Option<Connection>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.idle.lock().extend(self.connection.take());
    }
}
