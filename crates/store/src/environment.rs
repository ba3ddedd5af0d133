//! Contract: environments.

use crate::error::Result;
use async_trait::async_trait;
use domain::environment::{Environment, EnvironmentSettings, SignatureHeaders};
use domain::id::EnvironmentKey;

/// What the store does with environments.
#[async_trait]
pub trait Environments: Send + Sync {
    /// The environment of this wire id, made when first seen.
    async fn environment_ensure(&self, id: &str, signature_headers: SignatureHeaders) -> Result<Environment>;
    /// Changes its headers and settings. `NotFound`.
    async fn environment_update(
        &self,
        key: EnvironmentKey,
        signature_headers: SignatureHeaders,
        settings: EnvironmentSettings,
    ) -> Result<Environment>;
    /// The environment of this key.
    async fn environment_get(&self, key: EnvironmentKey) -> Result<Environment>;
}
