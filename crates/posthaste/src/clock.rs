//! The system's clock: the one place where the present is read.

use domain::clock::{Clock, Timestamp};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// The clock that is handed to everything that needs the present.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// Whose present a server goes by.
#[derive(Clone)]
pub enum Present {
    /// The store's: this machine's with SQLite; the database's with PostgreSQL, so that all nodes agree.
    OfStore,
    /// That of whoever starts it: a test.
    Handed(Arc<dyn Clock>),
}
