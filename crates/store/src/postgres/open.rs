//! Opening and closing: the thread on which the tasks of a node run.

use super::Postgres;
use super::book::{Book, Validity};
use super::commit::Loop;
use super::connection::{Purpose, connect, parse};
use super::node::Node;
use super::partition::Partitions;
use super::readers::Readers;
use super::session::Session;
use super::sync::Sync;
use super::time::DatabaseClock;
use super::writer::{QUEUE, Writer};
use super::{copy, heartbeat, lease, maintenance, schema, seal_check, sync};
use crate::error::{Result, StoreError};
use crate::metrics::StoreMetrics;
use crate::routing::Routing;
use crate::seal::Sealer;
use crate::shared::{EndsBadly, Shared};
use crate::wake::Wakes;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Read connections for lists and changes.
const LIST_CONNECTIONS: usize = 4;
/// Read connections for claimed messages, due endpoints and idempotency keys.
const OWN_CONNECTIONS: usize = 3;
/// Callers that wait for a heartbeat.
const BEATS_ASKED_MAX: usize = 1_024;
/// How long the release of the lease may take when the store is closed. What is not released expires.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);

/// How a database is opened.
pub struct Options {
    /// Seals secrets; the wire ids' key is derived from it too. The same on every node, for the life of the database.
    pub encryption_key: Vec<u8>,
    /// Keys that they had before, newest first: they open, and seal nothing.
    pub old_encryption_keys: Vec<Vec<u8>>,
    /// The time that all nodes share. Whoever opens the store goes by it too.
    pub time: Arc<DatabaseClock>,
    /// How long a lease lives that is not renewed: a dead process's work is taken over after it.
    pub lease_ttl: Duration,
    /// Days that messages are kept, and so their payloads that have no shorter time of their own.
    pub retention_days: u32,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Options(…)")
    }
}

type Asked = mpsc::Receiver<oneshot::Sender<()>>;

impl Postgres {
    /// Connects, brings the schema up to date, loads the routing table, takes a lease and starts the tasks. It waits for
    /// all of that on this thread.
    ///
    /// # Errors
    /// `Unavailable` when PostgreSQL does not answer; `Broken` when the address does not read, the schema is newer than
    /// this program, or the secrets were sealed with another encryption key.
    pub fn open(url: &str, options: Options) -> Result<Arc<Self>> {
        let server = parse(url)?;
        let (readers, own_readers) =
            (Readers::new(&server, LIST_CONNECTIONS)?, Readers::new(&server, OWN_CONNECTIONS)?);
        let (beat, asked) = mpsc::channel(BEATS_ASKED_MAX);
        let (sender, commands) = mpsc::channel(QUEUE);
        let node = Arc::new(Node {
            shared: Arc::new(Shared::new(
                Routing::default(),
                Wakes::default(),
                Arc::new(StoreMetrics::default()),
            )),
            book: Mutex::new(Book::new(options.lease_ttl)),
            validity: Validity::default(),
            time: options.time,
            sealer: Sealer::new(&options.encryption_key, &options.old_encryption_keys),
            wire_id_key: std::sync::OnceLock::new(),
            server,
            lease_ttl: options.lease_ttl,
            retention_days: options.retention_days,
            live_leases: AtomicU32::new(1),
            partitions: Partitions::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            beat,
            drained: Notify::new(),
            configured: Arc::new(Notify::new()),
        });
        let sync = Arc::new(Sync::default());
        let (told, opened) = sync_channel(1);
        let thread = {
            let (node, sync) = (Arc::clone(&node), Arc::clone(&sync));
            std::thread::Builder::new()
                .name("store".into())
                .spawn(move || run(&node, &sync, (commands, asked), &told))
                .map_err(|error| StoreError::Unavailable(format!("no thread for the store: {error}")))?
        };
        let gone = || StoreError::Broken("the store's thread ended while it opened".into());
        opened.recv().map_err(|_| gone())??;
        let writer = Writer::new(sender, Arc::clone(&node));
        let thread = Mutex::new(Some(thread));
        Ok(Arc::new(Self { node, writer, sync, readers, own_readers, thread }))
    }
}

/// Brings the schema of a database up to date and answers its version.
///
/// # Errors
/// As [`Postgres::open`].
pub fn migrate(url: &str) -> Result<usize> {
    let (config, tasks) = (parse(url)?, TaskTracker::new());
    runtime()?.block_on(async {
        let client = connect(&config, Purpose::Other, &tasks, None).await?;
        schema::migrate(&client).await
    })
}

fn runtime() -> Result<Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| StoreError::Unavailable(format!("no runtime for the store: {error}")))
}

/// The thread: opens, tells so, runs the tasks until the writer has ended, and releases the lease.
fn run(
    node: &Arc<Node>,
    sync: &Arc<Sync>,
    (commands, asked): (mpsc::Receiver<super::command::Command>, Asked),
    told: &SyncSender<Result<()>>,
) {
    let mut ends_badly = EndsBadly::new(&node.shared);
    // Whoever opens waits for what is told; it cannot have gone away.
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = told.send(Err(error));
            return;
        }
    };
    runtime.block_on(async {
        let session = match prepare(node, sync).await {
            Ok(session) => session,
            Err(error) => {
                let _ = told.send(Err(error));
                return;
            }
        };
        let _ = told.send(Ok(()));
        node.tasks.spawn(heartbeat::run(Arc::clone(node), asked));
        node.tasks.spawn(sync::run(Arc::clone(node), Arc::clone(sync)));
        node.tasks.spawn(maintenance::run(Arc::clone(node)));
        match Loop::new(Arc::clone(node), commands, session).run().await {
            Ok(()) => ends_badly.all_is_well(),
            Err(error) => tracing::error!(%error, "the store ends, so that a restart reads what is stored"),
        }
        node.stop.cancel();
        match timeout(RELEASE_TIMEOUT, maintenance::release(node)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the lease could not be released: it expires"),
            Err(_) => tracing::warn!("the lease could not be released in time: it expires"),
        }
        node.tasks.close();
    });
}

async fn prepare(node: &Arc<Node>, sync: &Sync) -> Result<Session> {
    let client = connect(&node.server, Purpose::Other, &node.tasks, None).await?;
    schema::migrate(&client).await?;
    copy::check_whole(&client).await?;
    node.learn_wire_id_key(seal_check::check(&client, &node.sealer).await?);
    sync.catch_up(&client, node).await?;
    let mut session = Session::open(node).await?;
    let lease = lease::acquire(&session.client, node).await?;
    session.name(&[lease]).await?;
    maintenance::make_ahead(node, &client).await?;
    Ok(session)
}
