//! Contract: API keys.

use crate::error::Result;
use async_trait::async_trait;
use domain::api_key::ApiKey;
use domain::id::EnvironmentKey;

/// What the store does with API keys.
#[async_trait]
pub trait ApiKeys: Send + Sync {
    /// Keeps a key under the SHA-256 of its text.
    async fn api_key_create(&self, key: ApiKey, sha256: [u8; 32]) -> Result<()>;
    /// The live key with this SHA-256. `NotFound` for unknown and revoked ones.
    async fn api_key_find(&self, sha256: [u8; 32]) -> Result<ApiKey>;
    /// All keys of an environment, revoked ones included, newest first; at most 1,000.
    async fn api_key_list(&self, environment: EnvironmentKey) -> Result<Vec<ApiKey>>;
    /// Notes that a key is used now.
    async fn api_key_used(&self, id: &str) -> Result<()>;
    /// Revokes a key. `NotFound`.
    async fn api_key_revoke(&self, environment: EnvironmentKey, id: &str) -> Result<()>;
}
