//! The shared engine: one PostgreSQL, any number of processes, no leader and no other service.
//!
//! | task | connection | does |
//! |---|---|---|
//! | `commit` | one, fenced | accept, record, park, claim: one statement a commit |
//! | `heartbeat` | its own | renews the lease, writes its checkpoint and ceiling, learns the database's time |
//! | `sync` | its own, listening | keeps the routing table in step with what every node changes |
//! | `maintenance` | its own | partitions ahead, rescue of leases that ended |
//! | callers | two pools | lists, look-ups, changes of what is configured |
//!
//! A process owns what it accepts: there is no coordination on the hot path. What it leaves when it dies is found by its
//! lease and becomes due for whoever is free. The rules are the protocol's; comments carry their numbers.
//!
//! The tasks run on a thread of their own, so that no handler's work delays a heartbeat.

mod api_key;
mod application;
mod attempt;
mod audit;
mod batch;
mod batch_rows;
mod book;
mod browser;
mod claim;
mod command;
mod commit;
mod connection;
pub(crate) mod copy;
mod delivery;
mod delivery_list;
mod endpoint;
mod environment;
mod event_type;
mod health;
mod heartbeat;
mod idempotency;
mod identity;
mod lease;
mod maintenance;
mod message;
mod node;
mod notice;
mod notify;
mod open;
mod outcome;
mod partition;
mod portal;
mod prune;
mod query;
mod readers;
mod rescue;
mod reseal;
mod row;
mod schema;
mod seal_check;
mod session;
mod statistics;
mod sync;
mod task;
mod time;
mod tls;
mod user;
mod writer;

use crate::delivery::Held;
use crate::metrics::StoreMetrics;
use crate::routing::Routing;
use crate::wake::Wakes;
use async_trait::async_trait;
use domain::delivery::DeliveryKey;
use node::Node;
pub use open::{Options, migrate};
use parking_lot::Mutex;
use readers::Readers;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
pub use time::DatabaseClock;
use writer::Writer;

/// An open PostgreSQL store.
#[derive(Debug)]
pub struct Postgres {
    node: Arc<Node>,
    writer: Writer,
    sync: Arc<sync::Sync>,
    /// For lists that clients ask for, and for what they change.
    readers: Readers,
    /// For what dispatch and ingest need: no client's list keeps these waiting.
    own_readers: Readers,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[async_trait]
impl crate::Store for Postgres {
    fn routing(&self) -> &Routing {
        &self.node.shared.routing
    }

    fn metrics(&self) -> &Arc<StoreMetrics> {
        &self.node.shared.metrics
    }

    fn wakes(&self) -> &Wakes {
        &self.node.shared.wakes
    }

    fn lease_is_valid(&self) -> bool {
        self.node.validity.holds(time::boot_ms()) && !self.node.shared.has_failed()
    }

    /// Rule 2: by the lease under which this one is in memory, and the clock that runs while the machine sleeps.
    fn may_send(&self, key: DeliveryKey, held: Held) -> bool {
        self.node.book.lock().may_send((key, held), time::boot_ms()) && !self.node.shared.has_failed()
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn live_leases(&self) -> u32 {
        self.node.live_leases.load(Ordering::Relaxed)
    }

    fn health(&self) -> Result<(), String> {
        self.node.shared.health()
    }

    async fn failed(&self) -> String {
        self.node.shared.until_failed().await
    }

    fn close(&self) {
        let Some(thread) = self.thread.lock().take() else { return };
        self.writer.close();
        if thread.join().is_err() {
            tracing::error!("the store's thread had panicked");
        }
        self.readers.close();
        self.own_readers.close();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        crate::Store::close(self);
    }
}
