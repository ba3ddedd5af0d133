//! What the writer shares with readers and callers, and how they hear of trouble.

use crate::metrics::StoreMetrics;
use crate::routing::Routing;
use crate::wake::Wakes;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

/// What the writer shares with readers and callers.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) routing: Routing,
    pub(crate) wakes: Wakes,
    pub(crate) metrics: Arc<StoreMetrics>,
    /// Why commits do not work at present.
    trouble: Mutex<Option<String>>,
    /// Set when the writer has ended for good after a failed commit.
    failed: AtomicBool,
    failing: Notify,
}

impl Shared {
    pub(crate) fn new(routing: Routing, wakes: Wakes, metrics: Arc<StoreMetrics>) -> Self {
        Self {
            routing,
            wakes,
            metrics,
            trouble: Mutex::new(None),
            failed: AtomicBool::new(false),
            failing: Notify::new(),
        }
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    pub(crate) async fn until_failed(&self) -> String {
        let failing = self.failing.notified();
        if !self.has_failed() {
            failing.await;
        }
        self.health().err().unwrap_or_default()
    }

    /// Notes that commits do not work; false when that is known already.
    pub(crate) fn troubled(&self, why: &str) -> bool {
        self.trouble.lock().replace(why.to_owned()).as_deref() != Some(why)
    }

    /// Notes that commits work; true when they did not before.
    pub(crate) fn mended(&self) -> bool {
        self.trouble.lock().take().is_some()
    }

    fn fail(&self) {
        self.failed.store(true, Ordering::Release);
        self.failing.notify_waiters();
    }

    pub(crate) fn health(&self) -> std::result::Result<(), String> {
        self.trouble.lock().clone().map_or(Ok(()), Err)
    }
}

/// A writer that ends without being closed (a failed disk, a panic) takes the store with it: whoever waits for
/// [`crate::Store::failed`] hears of it.
pub(crate) struct EndsBadly(Option<Arc<Shared>>);

impl EndsBadly {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self(Some(Arc::clone(shared)))
    }

    /// The writer was closed.
    pub(crate) fn all_is_well(&mut self) {
        self.0 = None;
    }
}

impl Drop for EndsBadly {
    fn drop(&mut self) {
        if let Some(shared) = &self.0 {
            shared.fail();
        }
    }
}
