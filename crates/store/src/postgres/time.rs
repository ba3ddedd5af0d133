//! The time that all nodes share: the database's (PROTOCOL rules 2 and 7).
//!
//! A heartbeat learns by how much the database's clock differs from this machine's CLOCK_BOOTTIME, which runs through
//! suspension and which nobody sets. The machine's wall clock may be wrong by hours: nothing here looks at it.

use domain::clock::{Clock, Timestamp};
use rustix::time::{ClockId, clock_gettime};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Milliseconds since this machine started, suspension included.
pub(super) fn boot_ms() -> i64 {
    let time = clock_gettime(ClockId::Boottime);
    time.tv_sec * 1_000 + time.tv_nsec / 1_000_000
}

/// The clock that is handed to everything on a node that shares its store with others.
pub struct DatabaseClock(Source);

enum Source {
    /// The database's time less the boot time, in milliseconds.
    Database(AtomicI64),
    Handed(Arc<dyn Clock>),
}

impl std::fmt::Debug for DatabaseClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DatabaseClock")
    }
}

impl DatabaseClock {
    /// A clock that shows the database's time once a store is open that was given it.
    #[must_use]
    pub fn following() -> Arc<Self> {
        Arc::new(Self(Source::Database(AtomicI64::new(0))))
    }

    /// A clock that shows what `clock` does: for tests that hold the time.
    #[must_use]
    pub fn handed(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self(Source::Handed(clock)))
    }

    /// Learns that the database read `database_ms` between two boot times.
    pub(super) fn learn(&self, database_ms: i64, sent: i64, received: i64) {
        if let Source::Database(offset) = &self.0 {
            offset.store(database_ms - i64::midpoint(sent, received), Ordering::Relaxed);
        }
    }
}

impl Clock for DatabaseClock {
    fn now(&self) -> Timestamp {
        match &self.0 {
            Source::Database(offset) => Timestamp(boot_ms() + offset.load(Ordering::Relaxed)),
            Source::Handed(clock) => clock.now(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_shows_the_databases_time_whatever_the_machine_believes() {
        let clock = DatabaseClock::following();
        let boot = boot_ms();
        clock.learn(1_800_000_000_000, boot - 2, boot + 2);
        let shown = clock.now().0 - 1_800_000_000_000;
        assert!((0..60_000).contains(&shown), "{shown} ms later");
    }
}
