//! Contract: idempotency keys of requests other than messages, which keep theirs with the message.

use crate::error::Result;
use async_trait::async_trait;
use bytes::Bytes;
use domain::clock::Timestamp;

/// What a sealed answer is bound to.
pub(crate) const REPLAY_PLACE: &str = "replay.body";

/// What was answered to a request with an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// Hash of the request's body.
    pub body_hash: [u8; 16],
    /// The answer's status.
    pub status: u16,
    /// The answer's body.
    pub body: Bytes,
    /// Until when it is replayed.
    pub expires_at: Timestamp,
}

/// What the store does with idempotency keys.
#[async_trait]
pub trait IdempotencyKeys: Send + Sync {
    /// Keeps an answer under the hash of credential, method, path and key. The answer is sealed: it may show a secret.
    async fn replay_put(&self, hash: [u8; 16], replay: Replay) -> Result<()>;
    /// The answer kept under this hash, unless it has expired.
    async fn replay_get(&self, hash: [u8; 16]) -> Result<Option<Replay>>;
    /// The message that an explicit idempotency key made, with the hash of its request's body.
    async fn message_key_get(&self, hash: [u8; 16]) -> Result<Option<(domain::id::MessageId, [u8; 16])>>;
}
