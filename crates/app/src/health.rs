//! Health: whether this process can take messages and send them.

use crate::App;
use std::sync::atomic::Ordering;

/// The states that make up readiness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Whether commits work; a sentence when they do not.
    pub store: Result<(), String>,
    /// Whether this process may send under its lease.
    pub lease: bool,
    /// Whether it is on its way down.
    pub stopping: bool,
}

impl Health {
    /// Whether requests should be sent here.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        self.store.is_ok() && self.lease && !self.stopping
    }
}

impl App {
    /// How this process is.
    #[must_use]
    pub fn health(&self) -> Health {
        Health {
            store: self.store().health(),
            lease: self.store().lease_is_valid(),
            stopping: self.inner.stopping.load(Ordering::Relaxed),
        }
    }

    /// Notes that the process is stopping: it is not ready from now on, and goes on answering.
    pub fn stop_soon(&self) {
        self.inner.stopping.store(true, Ordering::Relaxed);
    }

    /// Waits until the work that goes on after its answer, or whose client went away, has ended. Called after the last request.
    pub async fn finish(&self) {
        self.inner.idempotency.flights.finish().await;
        self.inner.aside.close();
        self.inner.aside.wait().await;
    }
}
