//! Idempotency keys of requests other than messages, on SQLite.

use super::{Sqlite, message};
use crate::error::Result;
use crate::idempotency::{IdempotencyKeys, REPLAY_PLACE, Replay};
use async_trait::async_trait;
use bytes::Bytes;
use domain::clock::Timestamp;
use domain::id::MessageId;
use rusqlite::{OptionalExtension, params};
use std::sync::Arc;

#[async_trait]
impl IdempotencyKeys for Sqlite {
    async fn replay_put(&self, hash: [u8; 16], replay: Replay) -> Result<()> {
        let sealed = self.sealer.seal(REPLAY_PLACE, &replay.body)?;
        self.writer
            .write(
                move |c, _| {
                    c.prepare_cached(
                        "INSERT OR REPLACE INTO replay (hash, body_hash, status, sealed_body, expires_at)
                         VALUES (?1, ?2, ?3, ?4, ?5)",
                    )?
                    .execute(params![
                        &hash[..],
                        &replay.body_hash[..],
                        replay.status,
                        sealed,
                        replay.expires_at.0
                    ])?;
                    Ok(())
                },
                |_, ()| {},
            )
            .await
    }

    async fn replay_get(&self, hash: [u8; 16]) -> Result<Option<Replay>> {
        let now = self.clock.0.now();
        let sealer = Arc::clone(&self.sealer);
        self.own_readers
            .read(move |c| {
                let found: Option<(Vec<u8>, u16, Vec<u8>, i64)> = c
                    .prepare_cached(
                        "SELECT body_hash, status, sealed_body, expires_at FROM replay WHERE hash = ?1 AND expires_at > ?2",
                    )?
                    .query_row(params![&hash[..], now.0], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?)))
                    .optional()?;
                let Some((body_hash, status, sealed, expires_at)) = found else { return Ok(None) };
                let body = Bytes::from(sealer.open(REPLAY_PLACE, &sealed)?);
                let body_hash = body_hash.try_into().unwrap_or_default();
                Ok(Some(Replay { body_hash, status, body, expires_at: Timestamp(expires_at) }))
            })
            .await
    }

    async fn message_key_get(&self, hash: [u8; 16]) -> Result<Option<(MessageId, [u8; 16])>> {
        let now = self.clock.0.now();
        self.own_readers.read(move |c| message::by_key(c, &hash, now)).await
    }
}
