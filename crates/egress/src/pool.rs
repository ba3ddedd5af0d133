//! Idle connections, kept for the next request to the same scheme, host and port.
//!
//! The last one used is the first one taken again, so a host that needs fewer lets the others grow old. Nothing runs
//! in the background: the old ones are thrown out while another is put back, or when the owner asks.

use std::{collections::VecDeque, time::Duration};

use foldhash::{HashMap, HashMapExt};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{Limits, connect::Target, connection::Connection};

/// How often putting a connection back also looks through all the others.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

pub(crate) struct Pool {
    shelf: Mutex<Shelf>,
    limits: Limits,
}

struct Shelf {
    /// For each host the oldest in front.
    hosts: HashMap<Target, VecDeque<Idle>>,
    total: usize,
    swept_at: Instant,
}

struct Idle {
    connection: Box<Connection>,
    since: Instant,
}

impl Pool {
    pub(crate) fn new(limits: Limits, now: Instant) -> Pool {
        Pool { shelf: Mutex::new(Shelf { hosts: HashMap::new(), total: 0, swept_at: now }), limits }
    }

    /// The connection used last, unless it has lain too long. It may have been closed by the other side meanwhile.
    pub(crate) fn take(&self, target: &Target, now: Instant) -> Option<Box<Connection>> {
        let mut shelf = self.shelf.lock();
        let idle = shelf.hosts.get_mut(target)?.pop_back()?;
        shelf.total -= 1;
        drop(shelf);
        (!self.is_old(&idle, now)).then_some(idle.connection)
    }

    /// Keeps a connection, if there is room.
    pub(crate) fn put(&self, target: &Target, connection: Box<Connection>, now: Instant) {
        if now.duration_since(self.shelf.lock().swept_at) >= SWEEP_EVERY {
            self.sweep(now);
        }
        let mut shelf = self.shelf.lock();
        if shelf.total >= self.limits.idle_total_max {
            return;
        }
        let idle = match shelf.hosts.get_mut(target) {
            Some(idle) => idle,
            None => shelf.hosts.entry(target.clone()).or_default(),
        };
        if idle.len() >= self.limits.idle_per_host_max {
            return;
        }
        idle.push_back(Idle { connection, since: now });
        shelf.total += 1;
    }

    /// Closes what has lain too long.
    pub(crate) fn sweep(&self, now: Instant) {
        let mut shelf = self.shelf.lock();
        shelf.swept_at = now;
        let mut old = Vec::new();
        shelf.hosts.retain(|_, idle| {
            while idle.front().is_some_and(|first| self.is_old(first, now)) {
                old.extend(idle.pop_front());
            }
            !idle.is_empty()
        });
        shelf.total -= old.len();
        // Closing sockets takes time that the lock need not be held for.
        drop(shelf);
    }

    fn is_old(&self, idle: &Idle, now: Instant) -> bool {
        now.duration_since(idle.since) >= self.limits.idle_timeout
            || now.duration_since(idle.connection.opened_at) >= self.limits.connection_age_max
    }
}
