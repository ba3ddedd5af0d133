//! What event types say about retries.
//!
//! Asked only when an attempt has failed and its endpoint does not say it all. They are read from the store and kept for some
//! seconds, so that a storm of failures costs a query for each of them now and then.

use domain::clock::{Clock, Timestamp};
use domain::id::EnvironmentKey;
use domain::retry::RetryPolicy;
use foldhash::HashMap;
use parking_lot::Mutex;
use std::sync::Arc;
use store::{Store, StoreError};

/// How long an event type is kept, in milliseconds.
const KEPT_MS: i64 = 2_000;
/// Event types that are kept.
const KEPT_MAX: usize = 10_000;

/// The event types that were read, and when.
#[derive(Debug, Default)]
pub(crate) struct Retries(Mutex<HashMap<(EnvironmentKey, String), (Timestamp, RetryPolicy)>>);

impl Retries {
    /// What an event type says, or said when it could be read last; none when it never could.
    pub(crate) async fn of_event_type(
        &self,
        (store, clock): (&Arc<dyn Store>, &dyn Clock),
        (environment, name): (EnvironmentKey, &str),
    ) -> Option<RetryPolicy> {
        let (key, now) = ((environment, name.to_owned()), clock.now());
        if let Some((read_at, policy)) = self.0.lock().get(&key)
            && (0..KEPT_MS).contains(&now.since(*read_at))
        {
            return Some(policy.clone());
        }
        let policy = match store.event_type_get(environment, name).await {
            Ok(found) => found.fields.retries,
            // It need not be in the catalogue.
            Err(StoreError::NotFound) => RetryPolicy::default(),
            Err(error) => {
                tracing::warn!(%error, name, "what an event type says about retries could not be read");
                return self.0.lock().get(&key).map(|(_, policy)| policy.clone());
            }
        };
        let mut kept = self.0.lock();
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(key, (now, policy.clone()));
        Some(policy)
    }
}
