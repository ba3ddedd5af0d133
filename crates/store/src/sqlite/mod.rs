//! The embedded engine: one SQLite file, one writer thread with group commit, a few read connections.
//!
//! WAL with `synchronous=FULL`: a commit returns when its frames are fsynced. The writer drains its queue into one
//! transaction, commits, and only then answers, hands messages to dispatch and changes the routing table. A lock file
//! keeps a second process out; start-up settles what the last process left (PROTOCOL rule 19).

mod api_key;
mod application;
mod attempt;
mod audit;
mod batch;
mod browser;
mod checkpoint;
mod claim;
mod command;
mod commit;
pub(crate) mod copy;
mod delivery;
mod delivery_list;
mod endpoint;
mod environment;
mod event_type;
mod health;
mod idempotency;
mod identity;
mod lease;
mod lock;
mod message;
mod notice;
mod notify;
mod portal;
mod prune;
mod query;
mod readers;
mod reseal;
mod row;
mod schema;
mod seal_check;
mod statistics;
mod task;
mod user;
mod writer;

use crate::delivery::Held;
use crate::error::{Result, StoreError};
use crate::metrics::StoreMetrics;
use crate::routing::Routing;
use crate::seal::Sealer;
use crate::shared;
use crate::wake::Wakes;
use async_trait::async_trait;
pub use commit::Probe;
use domain::clock::Clock;
use domain::delivery::DeliveryKey;
use lock::FileLock;
pub use lock::is_open;
use parking_lot::Mutex;
use readers::Readers;
use rusqlite::Connection;
use shared::Shared;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use writer::Writer;

/// Read connections for lists.
const LIST_CONNECTIONS: usize = 4;
/// Read connections for claimed messages, due endpoints and idempotency keys.
const OWN_CONNECTIONS: usize = 2;

/// How a store file is opened.
pub struct Options {
    /// Seals secrets; the wire ids' key is derived from it too. Must stay the same for the life of the file.
    pub encryption_key: Vec<u8>,
    /// Keys that it had before, newest first: they open, and seal nothing.
    pub old_encryption_keys: Vec<Vec<u8>>,
    /// Where the present comes from.
    pub clock: Arc<dyn Clock>,
    /// Sees every commit and can stop it: for simulations of crashes.
    pub probe: Option<Arc<dyn Probe>>,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Options(…)")
    }
}

/// An open SQLite store.
#[derive(Debug)]
pub struct Sqlite {
    shared: Arc<Shared>,
    writer: Writer,
    checkpointer: Mutex<Option<checkpoint::Checkpointer>>,
    /// For lists that clients ask for.
    readers: Readers,
    /// For what dispatch and ingest need: no client's list keeps these waiting.
    own_readers: Readers,
    sealer: Arc<Sealer>,
    wire_id_key: [u8; 32],
    clock: SharedClock,
    _lock: FileLock,
}

/// A clock that can stand in a `Debug` struct.
#[derive(Clone)]
pub(crate) struct SharedClock(Arc<dyn Clock>);

impl std::fmt::Debug for SharedClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

impl Sqlite {
    /// Opens or creates the file, brings its schema up to date, settles what the last process left, loads the routing
    /// table and starts the writer.
    ///
    /// # Errors
    /// `Unavailable` when another process has the file open, or the folder cannot be written; `Broken` when the file
    /// is of a newer schema, or was sealed with another encryption key.
    pub fn open(path: &Path, options: Options) -> Result<Arc<Self>> {
        let lock = FileLock::take(path)?;
        let path = lock.path();
        let probe = options.probe.as_deref();
        let mut connection = connect(path, probe)?;
        schema::migrate(&mut connection)?;
        let sealer = Arc::new(Sealer::new(&options.encryption_key, &options.old_encryption_keys));
        let routing = Routing::default();
        load_routing(&connection, &routing, &sealer)?;
        let wire_id_key = seal_check::check(&connection, &sealer)?;
        let wakes = Wakes::default();
        let start = lease::acquire(&mut connection, options.clock.now(), &wakes)?;
        let shared = Arc::new(Shared::new(routing, wakes, Arc::new(StoreMetrics::default())));
        let clock = SharedClock(options.clock);
        let frames = checkpoint::watch(&mut connection)?;
        let parts = writer::Parts {
            start,
            shared: Arc::clone(&shared),
            clock: clock.clone(),
            probe: options.probe.clone(),
            sealer: Arc::clone(&sealer),
        };
        let writer = Writer::start(connection, parts)?;
        let checkpointer = checkpoint::Checkpointer::start(connect(path, probe)?, frames, writer.sender())?;
        let readers = Readers::open(path, LIST_CONNECTIONS, probe)?;
        let own_readers = Readers::open(path, OWN_CONNECTIONS, probe)?;
        let checkpointer = Mutex::new(Some(checkpointer));
        Ok(Arc::new(Self {
            shared,
            writer,
            checkpointer,
            readers,
            own_readers,
            sealer,
            wire_id_key,
            clock,
            _lock: lock,
        }))
    }
}

/// A connection with our settings.
fn connect(path: &Path, probe: Option<&dyn Probe>) -> Result<Connection> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.set_prepared_statement_cache_capacity(256);
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // Checkpoints are the checkpointer's: one inside a commit would show in the latency.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "journal_size_limit", checkpoint::WAL_BYTES_KEPT)?;
    connection.pragma_update(None, "cache_size", -32_768)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    if let Some(probe) = probe {
        probe.opened(&mut connection);
    }
    Ok(connection)
}

fn load_routing(connection: &Connection, routing: &Routing, sealer: &Sealer) -> Result<()> {
    for environment in environment::load_all(connection)? {
        routing.put_environment(environment);
    }
    for application in application::load_all(connection)? {
        let endpoints = endpoint::load_all(connection, application.key, sealer)?;
        let key = application.key;
        routing.put_application(application);
        routing.put_endpoints(key, endpoints);
    }
    Ok(())
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{
            CannotOpen, DatabaseBusy, DiskFull, PermissionDenied, ReadOnly, SystemIoFailure,
        };
        match error.sqlite_error_code() {
            Some(DiskFull) => Self::Unavailable("the disk is full".into()),
            Some(SystemIoFailure) => Self::Unavailable(format!("the disk answered with an error ({error})")),
            Some(CannotOpen | PermissionDenied | ReadOnly) => {
                Self::Unavailable(format!("the file cannot be opened for writing ({error})"))
            }
            Some(DatabaseBusy) => Self::Unavailable("the file is locked by another program".into()),
            _ => Self::Broken(error.to_string()),
        }
    }
}

#[async_trait]
impl crate::Store for Sqlite {
    fn routing(&self) -> &Routing {
        &self.shared.routing
    }

    fn metrics(&self) -> &Arc<StoreMetrics> {
        &self.shared.metrics
    }

    fn wakes(&self) -> &Wakes {
        &self.shared.wakes
    }

    /// The lock file makes this process the only one, so its lease does not expire.
    fn lease_is_valid(&self) -> bool {
        !self.shared.has_failed()
    }

    fn may_send(&self, _key: DeliveryKey, _held: Held) -> bool {
        self.lease_is_valid()
    }

    fn health(&self) -> std::result::Result<(), String> {
        self.shared.health()
    }

    async fn failed(&self) -> String {
        self.shared.until_failed().await
    }

    fn close(&self) {
        if let Some(checkpointer) = self.checkpointer.lock().take() {
            checkpointer.stop();
        }
        self.writer.close();
    }
}
