//! Endpoints whose rows became due, or will, by commits of this process.
//!
//! Every commit that leaves a pending row notes its endpoint here; dispatch takes the notes and claims when the time
//! has come. What other nodes wrote is found by a periodic sweep ([`crate::delivery::Deliveries::due_endpoints`]).

use domain::clock::Timestamp;
use domain::id::EndpointKey;
use foldhash::HashMap;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// The notes. Bounded by the number of endpoints.
#[derive(Debug, Default)]
pub struct Wakes {
    due: Mutex<HashMap<EndpointKey, Timestamp>>,
    noted: Notify,
}

impl Wakes {
    /// Notes that `endpoint` has a row due at `due_at`.
    pub fn note(&self, endpoint: EndpointKey, due_at: Timestamp) {
        let mut due = self.due.lock();
        let entry = due.entry(endpoint).or_insert(due_at);
        *entry = (*entry).min(due_at);
        drop(due);
        self.noted.notify_one();
    }

    /// Takes all notes.
    #[must_use]
    pub fn take(&self) -> Vec<(EndpointKey, Timestamp)> {
        self.due.lock().drain().collect()
    }

    /// Waits until there is a note.
    pub async fn noted(&self) {
        self.noted.notified().await;
    }
}
