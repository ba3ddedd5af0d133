//! What the tasks of one node share.

use super::book::{Book, Validity};
use super::connection::Server;
use super::partition::Partitions;
use super::time::DatabaseClock;
use crate::error::{Result, StoreError};
use crate::seal::Sealer;
use crate::shared::Shared;
use domain::clock::{Clock, Timestamp};
use parking_lot::Mutex;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What the tasks of one node share.
pub(super) struct Node {
    pub(super) shared: Arc<Shared>,
    pub(super) book: Mutex<Book>,
    pub(super) validity: Validity,
    pub(super) time: Arc<DatabaseClock>,
    pub(super) sealer: Sealer,
    /// Known once the store is open.
    pub(super) wire_id_key: OnceLock<[u8; 32]>,
    pub(super) server: Server,
    pub(super) lease_ttl: Duration,
    pub(super) retention_days: u32,
    /// Leases that are alive in the whole store, as the last heartbeat found.
    pub(super) live_leases: AtomicU32,
    pub(super) partitions: Partitions,
    /// Every task and every connection's driver.
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
    /// Asks for a heartbeat at once.
    pub(super) beat: mpsc::Sender<oneshot::Sender<()>>,
    /// A drained lease may be ready to be settled.
    pub(super) drained: Notify,
    /// What is configured may have changed.
    pub(super) configured: Arc<Notify>,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Node")
    }
}

impl Node {
    pub(super) fn now(&self) -> Timestamp {
        self.time.now()
    }

    pub(super) fn learn_wire_id_key(&self, key: [u8; 32]) {
        self.wire_id_key.get_or_init(|| key);
    }

    pub(super) fn wire_id_key(&self) -> [u8; 32] {
        self.wire_id_key.get().copied().unwrap_or_else(|| self.sealer.first_wire_id_key(None))
    }

    /// Waits for a heartbeat that is sent from now on.
    pub(super) async fn beat(&self) -> Result<()> {
        let (answer, answered) = oneshot::channel();
        let away = || StoreError::Unavailable("the lease cannot be renewed".into());
        self.beat.try_send(answer).map_err(|_| away())?;
        answered.await.map_err(|_| away())
    }

    /// Changes the book and shows what that means for requests.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Book) -> T) -> T {
        let mut book = self.book.lock();
        let value = change(&mut book);
        book.show(&self.validity);
        value
    }
}
