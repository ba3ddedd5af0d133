//! Contract: applications.

use crate::error::Result;
use async_trait::async_trait;
use domain::application::{Application, ApplicationFields};
use domain::id::{ApplicationKey, EnvironmentKey};
use domain::page::{Page, Slice};

/// Which applications a list shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ApplicationFilter {
    /// Leaves out those without an endpoint.
    pub with_endpoints: bool,
    /// Leaves out those that have a disabled endpoint.
    pub without_disabled_endpoints: bool,
}

/// What the store does with applications. An `id` argument is a wire id or a uid.
#[async_trait]
pub trait Applications: Send + Sync {
    /// Creates one under the wire id `id`. `Taken("uid")` when another has its uid.
    async fn application_create(
        &self,
        environment: EnvironmentKey,
        id: String,
        fields: ApplicationFields,
    ) -> Result<Application>;
    /// Reads it, lets `change` decide its fields, writes them, all in one transaction, so that two changes at once both
    /// hold. `Taken("uid")`, `NotFound`.
    async fn application_update(&self, key: ApplicationKey, change: ChangeApplication)
    -> Result<Application>;
    /// Deletes it with its endpoints and revokes its API keys; deliveries still pending are canceled.
    async fn application_delete(&self, key: ApplicationKey) -> Result<()>;
    /// The application of this wire id or uid.
    async fn application_find(&self, environment: EnvironmentKey, id: &str) -> Result<Application>;
    /// A page ordered by wire id.
    async fn application_list(
        &self,
        environment: EnvironmentKey,
        filter: ApplicationFilter,
        page: Page<String>,
    ) -> Result<Slice<Application>>;
}

/// Decides, on the application as it is in the transaction, what its fields become; asked again when it has changed
/// meanwhile.
pub type ChangeApplication = Box<dyn FnMut(&Application) -> ApplicationFields + Send>;
