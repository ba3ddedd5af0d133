//! Contract: links that open the console for one application.

use crate::error::{Result, StoreError};
use async_trait::async_trait;
use domain::clock::Timestamp;
use domain::id::ApplicationKey;
use domain::portal::{Capability, Portal};
use domain::word::Worded;

/// What the store does with portal links.
#[async_trait]
pub trait Portals: Send + Sync {
    /// Keeps a link under the SHA-256 of what it holds. `NotFound` for an application that is gone.
    async fn portal_create(&self, sha256: [u8; 32], portal: Portal) -> Result<()>;
    /// The link under this SHA-256, while it holds. `NotFound`.
    async fn portal_find(&self, sha256: [u8; 32]) -> Result<Portal>;
    /// Ends an application's links at this moment, if they do not end before: those of these sessions, or all.
    async fn portals_end(
        &self,
        application: ApplicationKey,
        session_ids: Option<Vec<String>>,
        at: Timestamp,
    ) -> Result<()>;
    /// Forgets links that have ended.
    async fn portals_prune(&self) -> Result<()>;
}

/// Words in a column.
pub(crate) fn pack(capabilities: &[Capability]) -> String {
    let words: Vec<_> = capabilities.iter().map(|one| one.word()).collect();
    words.join(" ")
}

/// Reads [`pack`] back.
pub(crate) fn unpack(words: &str) -> Result<Vec<Capability>> {
    let read = |word: &str| {
        Capability::from_word(word).ok_or_else(|| StoreError::Broken(format!("unknown capability `{word}`")))
    };
    words.split_whitespace().map(read).collect()
}
