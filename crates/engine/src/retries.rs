//! Which schedule holds for an endpoint that says nothing itself: its event type's, its environment's, or the setting's.
//!
//! Asked only when an attempt has failed. Event types are read from the store and kept for some seconds, so that a storm of
//! failures costs a query for each of them now and then.

use domain::clock::{Clock, Timestamp};
use domain::environment::Environment;
use domain::id::EnvironmentKey;
use domain::retry::{RetryPolicy, Schedule};
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
    /// The schedule of an event type's messages.
    pub(crate) async fn schedule(
        &self,
        (store, clock): (&Arc<dyn Store>, &dyn Clock),
        (environment, event_type): (&Environment, &str),
        otherwise: &Schedule,
    ) -> Schedule {
        let own = self.event_type(store, clock.now(), (environment.key, event_type)).await;
        RetryPolicy::resolve([&own, &environment.settings.retries], otherwise)
    }

    async fn event_type(
        &self,
        store: &Arc<dyn Store>,
        now: Timestamp,
        (environment, name): (EnvironmentKey, &str),
    ) -> RetryPolicy {
        let key = (environment, name.to_owned());
        if let Some((read_at, policy)) = self.0.lock().get(&key)
            && (0..KEPT_MS).contains(&now.since(*read_at))
        {
            return policy.clone();
        }
        let policy = match store.event_type_get(environment, name).await {
            Ok(found) => found.fields.retries,
            // It need not be in the catalogue.
            Err(StoreError::NotFound) => RetryPolicy::default(),
            Err(error) => {
                tracing::warn!(%error, name, "an event type could not be read: it is retried as if it said nothing");
                return RetryPolicy::default();
            }
        };
        let mut kept = self.0.lock();
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(key, (now, policy.clone()));
        policy
    }
}
