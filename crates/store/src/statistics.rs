//! Contract: what each hour brought, counted behind the log in small steps (docs/decisions/0016).
//!
//! A step reads the rows of the log after the position, adds them to their hours, and moves the position in the same transaction. Hours
//! are written as absolute values: they were read after the position, and whoever else makes a step moves it first.

use crate::error::{Result, StoreError};
use async_trait::async_trait;
use domain::attempt::Disposition;
use domain::id::{ApplicationKey, EnvironmentKey};
use domain::operational::is_operational;
use domain::statistics::Tally;
use foldhash::HashMap;

/// Whose hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whose {
    /// The environment.
    pub environment: EnvironmentKey,
    /// One of its applications; none is all of it, applications that were deleted since included.
    pub application: Option<ApplicationKey>,
}

impl Whose {
    /// The application as it is stored.
    pub(crate) fn application(self) -> i64 {
        self.application.map_or(WHOLE, |key| key.0)
    }
}

/// An hour, in hours since 1970, and what it brought.
pub type Hour = (i64, Tally);

/// What a step did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stepped {
    /// Rows of the log that it counted; 0 also when another process made this step.
    pub rows: u64,
    /// Whether there is more to count right now.
    pub is_behind: bool,
}

/// What the store does with statistics.
#[async_trait]
pub trait Statistics: Send + Sync {
    /// Counts up to so many messages and so many attempts that were not counted yet: each once, whichever process does it. Operational
    /// webhooks, and what is of applications that are not there any more, are passed over.
    async fn statistics_step(&self, rows_max: u32) -> Result<Stepped>;
    /// The hours from the first to the last, both included, that brought anything; in their order.
    async fn statistics(&self, whose: Whose, hours: (i64, i64)) -> Result<Vec<Hour>>;
}

/// What stands for all applications of an environment.
const WHOLE: i64 = 0;

/// The last message and the last attempt that were counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) message: i64,
    pub(crate) attempt: i64,
}

/// An application and its environment.
pub(crate) type Home = (i64, i64);

/// Whose row it is: application, environment, hour.
pub(crate) type Key = (i64, i64, i64);

/// Of which application something is; none when it is not counted.
pub(crate) fn home(application: i64, environment: i64, id: &str) -> Option<Home> {
    (!is_operational(id)).then_some((application, environment))
}

/// What a step found.
#[derive(Debug, Default)]
pub(crate) struct Counting {
    tallies: HashMap<Key, Tally>,
    /// Rows that were looked at.
    pub(crate) rows: u64,
}

impl Counting {
    /// Adds to the hour of an application, and to that of its environment.
    fn add(&mut self, (application, environment): Home, hour: i64, add: impl Fn(&mut Tally)) {
        for whose in [application, WHOLE] {
            add(self.tallies.entry((whose, environment, hour)).or_default());
        }
    }

    /// Adds so many messages.
    pub(crate) fn messages(&mut self, home: Home, hour: i64, count: u64) {
        self.add(home, hour, |tally| tally.accepted += count);
    }

    /// Adds so many attempts that ended so, and whose duration is of this class.
    pub(crate) fn attempts(&mut self, home: Home, hour: i64, (disposition, class, count): (i64, usize, u64)) {
        self.add(home, hour, |tally| match Disposition::from_code(disposition) {
            Some(Disposition::Succeeded) => {
                tally.delivered += count;
                tally.durations.add(class, count);
            }
            Some(Disposition::Failed) => {
                tally.failed += count;
                tally.given_up += count;
            }
            _ => tally.failed += count,
        });
    }

    /// Rows that are to be written.
    pub(crate) fn len(&self) -> usize {
        self.tallies.len()
    }

    /// Adds what is stored for a row already.
    pub(crate) fn join(&mut self, key: Key, stored: &Tally) {
        if let Some(tally) = self.tallies.get_mut(&key) {
            tally.join(stored);
        }
    }

    /// The keys, in their order: that is how every process locks them.
    pub(crate) fn keys(&self) -> Vec<Key> {
        let mut keys: Vec<_> = self.tallies.keys().copied().collect();
        keys.sort_unstable();
        keys
    }

    /// The rows, in the order of their keys.
    pub(crate) fn into_rows(self) -> Vec<(Key, Tally)> {
        let mut rows: Vec<_> = self.tallies.into_iter().collect();
        rows.sort_unstable_by_key(|(key, _)| *key);
        rows
    }
}

/// The columns of an hour.
pub(crate) const COLUMNS: &str = "accepted, delivered, failed, given_up, durations";

/// Reads the columns of an hour.
pub(crate) fn tally([accepted, delivered, failed, given_up]: [i64; 4], durations: &str) -> Result<Tally> {
    let read = domain::statistics::Durations::from_text(durations);
    let durations = read.ok_or_else(|| StoreError::Broken("stored durations do not read back".into()))?;
    let [accepted, delivered, failed, given_up] =
        [accepted, delivered, failed, given_up].map(i64::unsigned_abs);
    Ok(Tally { accepted, delivered, failed, given_up, durations })
}

/// The numbers of an hour as they are stored.
pub(crate) fn numbers(tally: &Tally) -> [i64; 4] {
    [tally.accepted, tally.delivered, tally.failed, tally.given_up]
        .map(|number| i64::try_from(number).unwrap_or(i64::MAX))
}
