//! Idempotency keys of requests other than messages, on PostgreSQL.

use super::Postgres;
use crate::error::Result;
use crate::idempotency::{IdempotencyKeys, REPLAY_PLACE, Replay};
use async_trait::async_trait;
use bytes::Bytes;
use domain::clock::Timestamp;
use domain::id::MessageId;

#[async_trait]
impl IdempotencyKeys for Postgres {
    async fn replay_put(&self, hash: [u8; 16], replay: Replay) -> Result<()> {
        let sealed = self.node.sealer.seal(REPLAY_PLACE, &replay.body)?;
        self.own_readers
            .execute(
                "INSERT INTO replay (hash, body_hash, status, sealed_body, expires_at) VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (hash) DO UPDATE SET body_hash = excluded.body_hash, status = excluded.status,
                     sealed_body = excluded.sealed_body, expires_at = excluded.expires_at",
                &[
                    &&hash[..],
                    &&replay.body_hash[..],
                    &i32::from(replay.status),
                    &sealed,
                    &replay.expires_at.0,
                ],
            )
            .await?;
        Ok(())
    }

    async fn replay_get(&self, hash: [u8; 16]) -> Result<Option<Replay>> {
        let now = self.node.now().0;
        let row = self
            .own_readers
            .row(
                "SELECT body_hash, status, sealed_body, expires_at FROM replay WHERE hash = $1 AND expires_at > $2",
                &[&&hash[..], &now],
            )
            .await?;
        let Some(row) = row else { return Ok(None) };
        let (body_hash, status): (Vec<u8>, i32) = (row.get(0), row.get(1));
        Ok(Some(Replay {
            body_hash: body_hash.try_into().unwrap_or_default(),
            status: u16::try_from(status).unwrap_or_default(),
            body: Bytes::from(self.node.sealer.open(REPLAY_PLACE, row.get(2))?),
            expires_at: Timestamp(row.get(3)),
        }))
    }

    async fn message_key_get(&self, hash: [u8; 16]) -> Result<Option<(MessageId, [u8; 16])>> {
        self.by_key(&hash).await
    }
}
