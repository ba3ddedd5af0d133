//! What the writer shares with readers and callers, and how they hear of trouble.

use crate::message::{Admission, NewMessage};
use crate::metrics::StoreMetrics;
use crate::routing::Routing;
use crate::wake::Wakes;
use domain::clock::Timestamp;
use domain::id::MessageId;
use domain::message::Message;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// What the writer shares with readers and callers.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) routing: Routing,
    pub(crate) wakes: Wakes,
    pub(crate) metrics: Arc<StoreMetrics>,
    /// Why commits do not work at present.
    trouble: Mutex<Option<Trouble>>,
    /// Set when the writer has ended for good after a failed commit.
    failed: AtomicBool,
    failing: Notify,
}

/// Why commits do not work, and when that was last met.
#[derive(Debug)]
struct Trouble {
    why: String,
    at: Instant,
}

/// Trouble that was not met again for so long is not told any more: whoever goes by the health sends nothing meanwhile, so
/// that no commit could show that it has passed.
const TROUBLE_TOLD: Duration = Duration::from_secs(3);

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

    /// Tells wakes, metrics, the checkpoint (`held`: how many first attempts dispatch gets) and dispatch of a message that
    /// was just committed, in this order (PROTOCOL rule 9). Called by the committing writer.
    pub(crate) fn announce(
        &self,
        new: NewMessage,
        id: MessageId,
        now: Timestamp,
        held: impl FnOnce(usize),
    ) -> Arc<Message> {
        let due_at = new.deliver_at.unwrap_or(now);
        let (mut fresh, mut parked) = (Vec::new(), 0);
        for (endpoint, admission) in &new.deliveries {
            match admission {
                Admission::Handoff => fresh.push(*endpoint),
                Admission::Park | Admission::Order => {
                    parked += 1;
                    self.wakes.note(*endpoint, due_at);
                }
                Admission::Cancel => {}
            }
        }
        self.metrics.accepted.fetch_add(1, Ordering::Relaxed);
        self.metrics.parked.fetch_add(parked, Ordering::Relaxed);
        held(fresh.len());
        let message = Arc::new(Message {
            id,
            application: new.application,
            event_type: new.event_type,
            event_id: new.event_id,
            channels: new.channels,
            tags: new.tags,
            payload: Some(new.payload),
            payload_expires_at: new.payload_expires_at,
            deliver_at: new.deliver_at,
            overrides: new.overrides,
            endpoints: new.deliveries.into_iter().map(|(endpoint, _)| endpoint).collect(),
        });
        if let Some(slot) = new.slot {
            slot.fill(Arc::clone(&message), fresh);
        }
        message
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
        let mut trouble = self.trouble.lock();
        // What ended the store stands.
        if self.has_failed() && trouble.is_some() {
            return false;
        }
        let last = trouble.replace(Trouble { why: why.to_owned(), at: Instant::now() });
        last.is_none_or(|last| last.why != why)
    }

    /// Notes that commits work; true when they did not before.
    pub(crate) fn mended(&self) -> bool {
        let mut trouble = self.trouble.lock();
        !self.has_failed() && trouble.take().is_some()
    }

    /// Notes that the store cannot be gone on with: the process must end.
    pub(crate) fn fail_for(&self, why: &str) {
        // The reason stands before anybody hears of the failure, and no commit takes it away.
        let mut trouble = self.trouble.lock();
        *trouble = Some(Trouble { why: why.to_owned(), at: Instant::now() });
        self.fail();
    }

    fn fail(&self) {
        self.failed.store(true, Ordering::Release);
        self.failing.notify_waiters();
    }

    pub(crate) fn health(&self) -> std::result::Result<(), String> {
        let trouble = self.trouble.lock();
        let told = |trouble: &&Trouble| self.has_failed() || trouble.at.elapsed() < TROUBLE_TOLD;
        trouble.as_ref().filter(told).map_or(Ok(()), |trouble| Err(trouble.why.clone()))
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
