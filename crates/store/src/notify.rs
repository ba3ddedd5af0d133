//! Contract: who hears of endpoints that fail.

use crate::error::{Result, StoreError};
use crate::seal::{Sealer, derive};
use async_trait::async_trait;
use domain::clock::Timestamp;
use domain::id::ApplicationKey;
use domain::limit::PUSH_SUBSCRIPTIONS_MAX;
use domain::notify::{Notify, Recipients, Subscription};

/// A browser that is told by push, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSubscription {
    /// Its id.
    pub id: String,
    /// Where and how it is reached.
    pub subscription: Subscription,
    /// When it was added.
    pub created_at: Timestamp,
}

/// What the store does with preferences.
#[async_trait]
pub trait Notifies: Send + Sync {
    /// Who hears of an application's endpoints.
    async fn notify_get(&self, application: ApplicationKey) -> Result<Notify>;
    /// Changes that.
    async fn notify_put(&self, application: ApplicationKey, notify: Notify) -> Result<()>;
    /// Keeps a browser's subscription under its id, in the place of the same one before. `Limit` at 100 an application.
    async fn subscription_put(
        &self,
        application: ApplicationKey,
        id: String,
        subscription: Subscription,
    ) -> Result<()>;
    /// An application's subscriptions, by id.
    async fn subscriptions(&self, application: ApplicationKey) -> Result<Vec<StoredSubscription>>;
    /// Forgets a subscription. `NotFound`.
    async fn subscription_delete(&self, application: ApplicationKey, id: &str) -> Result<()>;
    /// Keeps in mind that the recipient of this fingerprint wants no e-mails of the application, or wants them again.
    async fn unsubscribe(&self, application: ApplicationKey, recipient: &str, wants_none: bool)
    -> Result<()>;
    /// The fingerprints of those who want none.
    async fn unsubscribed(&self, application: ApplicationKey) -> Result<Vec<String>>;
}

/// The fingerprints of recipients, and the links in their e-mails, under a store's own key.
#[must_use]
pub fn recipients(wire_id_key: &[u8; 32]) -> Recipients {
    Recipients::new(&derive(wire_id_key, "recipients"))
}

/// What the sealed columns are bound to.
pub(crate) const NOTIFY_PLACE: &str = "notify.value";
pub(crate) const SUBSCRIPTION_PLACE: &str = "push_subscription.value";

/// Preferences as they are stored.
pub(crate) fn seal_notify(notify: &Notify, sealer: &Sealer) -> Result<Vec<u8>> {
    sealer.seal(NOTIFY_PLACE, &serde_json::to_vec(notify).unwrap_or_default())
}

/// Reads [`seal_notify`] back; the defaults where there is nothing.
pub(crate) fn open_notify(sealed: Option<&[u8]>, sealer: &Sealer) -> Result<Notify> {
    let Some(sealed) = sealed else { return Ok(Notify::default()) };
    read(&sealer.open(NOTIFY_PLACE, sealed)?)
}

/// A subscription as it is stored.
pub(crate) fn seal_subscription(subscription: &Subscription, sealer: &Sealer) -> Result<Vec<u8>> {
    sealer.seal(SUBSCRIPTION_PLACE, &serde_json::to_vec(subscription).unwrap_or_default())
}

/// Reads [`seal_subscription`] back.
pub(crate) fn open_subscription(sealed: &[u8], sealer: &Sealer) -> Result<Subscription> {
    read(&sealer.open(SUBSCRIPTION_PLACE, sealed)?)
}

fn read<T: serde::de::DeserializeOwned>(plain: &[u8]) -> Result<T> {
    serde_json::from_slice(plain)
        .map_err(|error| StoreError::Broken(format!("stored preferences do not read back: {error}")))
}

/// No browser more.
pub(crate) fn full() -> StoreError {
    StoreError::Limit(format!(
        "{PUSH_SUBSCRIPTIONS_MAX} browsers are told already (push_subscriptions_max): remove one first"
    ))
}
