//! Read connections: lists and look-ups see the last commit and never wait for the writer.

use super::{Probe, connect};
use crate::error::{Result, StoreError};
use parking_lot::Mutex;
use rusqlite::Connection;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Read connections, each used by one caller at a time.
const CONNECTIONS: usize = 4;

/// The pool of read connections.
#[derive(Debug)]
pub(super) struct Readers {
    idle: Arc<Mutex<Vec<Connection>>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn open(path: &Path, probe: Option<&dyn Probe>) -> Result<Self> {
        let mut idle = Vec::with_capacity(CONNECTIONS);
        for _ in 0..CONNECTIONS {
            let connection = connect(path, probe)?;
            connection.pragma_update(None, "query_only", true)?;
            idle.push(connection);
        }
        Ok(Self { idle: Arc::new(Mutex::new(idle)), permits: Arc::new(Semaphore::new(CONNECTIONS)) })
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
            let connection = idle.lock().pop().ok_or_else(closed)?;
            let answer = (|| {
                let transaction = connection.unchecked_transaction()?;
                let answer = work(&transaction)?;
                transaction.commit()?;
                Ok(answer)
            })();
            idle.lock().push(connection);
            drop(permit);
            answer
        });
        reading.await.map_err(|e| StoreError::Broken(format!("a read ended early: {e}")))?
    }
}
