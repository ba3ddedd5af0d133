//! Messages on PostgreSQL: what an accept means once it is committed, and the lists. (`batch.rs` writes them.)

use super::Postgres;
use super::batch::{EVENT_ID, IDEMPOTENCY};
use super::command::Command;
use super::node::Node;
use super::query::{Conditions, bounded};
use super::row::{self, MESSAGE, MESSAGE_FROM};
use crate::error::{Result, StoreError};
use crate::list::rekey;
use crate::message::{MessageFilter, Messages, NewMessage};
use async_trait::async_trait;
use domain::clock::Timestamp;
use domain::id::{ApplicationKey, MessageId, floor_of};
use domain::message::Message;
use domain::page::{Page, Slice};
use std::collections::HashMap;
use std::sync::Arc;
use tokio_postgres::Row;

/// Automatic keys that are read back after a restart: what the memory of them holds.
const KEYS_MAX: i64 = 500_000;

/// Who has the keys that accepts asked for, by the message that was refused and the kind of key.
pub(super) type Refusals = HashMap<(i64, i16), (MessageId, [u8; 16])>;

/// Reads who has which key from the answer of a commit.
pub(super) fn refusals(row: &Row) -> Refusals {
    if row.len() < 5 {
        return HashMap::new();
    }
    let wanted_by: Vec<i64> = row.get::<_, Option<_>>(1).unwrap_or_default();
    let kinds: Vec<i16> = row.get::<_, Option<_>>(2).unwrap_or_default();
    let messages: Vec<i64> = row.get::<_, Option<_>>(3).unwrap_or_default();
    let hashes: Vec<Option<Vec<u8>>> = row.get::<_, Option<_>>(4).unwrap_or_default();
    let keys = wanted_by.into_iter().zip(kinds);
    let owners = messages.into_iter().zip(hashes).map(|(message, hash)| (MessageId(message), hash16(hash)));
    keys.zip(owners).collect()
}

fn hash16(bytes: Option<Vec<u8>>) -> [u8; 16] {
    bytes.and_then(|bytes| bytes.try_into().ok()).unwrap_or_default()
}

/// Why this message was not accepted: the idempotency key counts before the event id.
pub(super) fn refusal(refusals: &Refusals, id: MessageId, new: &NewMessage) -> Option<StoreError> {
    if let (Some((message, body_hash)), Some(key)) = (refusals.get(&(id.0, IDEMPOTENCY)), new.key) {
        return Some(StoreError::Repeated { message: *message, same_body: *body_hash == key.body_hash });
    }
    refusals.get(&(id.0, EVENT_ID)).map(|_| StoreError::Taken("eventId"))
}

/// Tells the checkpoint, the wakes and dispatch of a committed message (PROTOCOL rule 9).
pub(super) fn announce(node: &Node, new: NewMessage, id: MessageId) -> Arc<Message> {
    node.shared.announce(new, id, node.now(), |fresh| node.book.lock().accepted(id, fresh))
}

/// Adds what a list filters messages by.
pub(super) fn filter_labels(
    conditions: &mut Conditions,
    event_types: &[String],
    channel: Option<&String>,
    tag: Option<&String>,
) {
    if !event_types.is_empty() {
        conditions.with("message.event_type = ANY(?::text[])", event_types.to_vec());
    }
    for (column, wanted) in [("channels", channel), ("tags", tag)] {
        if let Some(wanted) = wanted {
            conditions.with(&format!("jsonb_exists(message.{column}, ?)"), wanted.clone());
        }
    }
}

/// Adds the bounds in time of a list over the id column `key`.
pub(super) fn filter_time(
    conditions: &mut Conditions,
    key: &str,
    before: Option<Timestamp>,
    after: Option<Timestamp>,
) {
    if let Some(time) = before {
        conditions.with(&format!("{key} < ?"), floor_of(time));
    }
    if let Some(time) = after {
        conditions.with(&format!("{key} >= ?"), floor_of(time.plus_ms(1)));
    }
}

impl Postgres {
    async fn key(
        &self,
        (application, kind, key): (i64, i16, &[u8]),
    ) -> Result<Option<(MessageId, [u8; 16])>> {
        let now = self.node.now().0;
        let row = self
            .own_readers
            .row(
                "SELECT message, body_hash FROM message_key
                 WHERE application = $1 AND kind = $2 AND key = $3 AND expires_at > $4",
                &[&application, &kind, &key, &now],
            )
            .await?;
        Ok(row.map(|row| (MessageId(row.get(0)), hash16(row.get(1)))))
    }

    /// The message that an explicit idempotency key made.
    pub(super) async fn by_key(&self, hash: &[u8; 16]) -> Result<Option<(MessageId, [u8; 16])>> {
        self.key((0, IDEMPOTENCY, hash)).await
    }
}

#[async_trait]
impl Messages for Postgres {
    async fn accept(&self, new: NewMessage) -> Result<Arc<Message>> {
        self.writer.ask(|answer| Command::Accept(Box::new(new), answer)).await
    }

    async fn message_get(&self, application: ApplicationKey, id: MessageId) -> Result<Message> {
        let sql = format!(
            "SELECT {MESSAGE} FROM {MESSAGE_FROM} WHERE message.id = $1 AND message.application = $2"
        );
        let row = self.readers.row(&sql, &[&id.0, &application.0]).await?;
        row.map_or(Err(StoreError::NotFound), |row| row::message(&row, &self.node))
    }

    async fn message_by_event_id(&self, application: ApplicationKey, event_id: &str) -> Result<Message> {
        let (id, _) =
            self.key((application.0, EVENT_ID, event_id.as_bytes())).await?.ok_or(StoreError::NotFound)?;
        self.message_get(application, id).await
    }

    async fn messages_load(&self, ids: Vec<MessageId>) -> Result<Vec<Arc<Message>>> {
        // Joined one by one, so that each id opens its own partition alone.
        let sql = format!(
            "SELECT {MESSAGE} FROM unnest($1::bigint[]) AS wanted (id) CROSS JOIN LATERAL (
                 SELECT * FROM message WHERE message.id = wanted.id) AS message
             LEFT JOIN LATERAL (
                 SELECT * FROM payload WHERE payload.day = message.payload_day AND payload.message = message.id) AS payload ON true"
        );
        let ids: Vec<i64> = ids.into_iter().map(|id| id.0).collect();
        let rows = self.own_readers.rows(&sql, &[&ids]).await?;
        // One that does not read must not hold up the others: its delivery goes back.
        let read = |row| match row::message(row, &self.node) {
            Ok(message) => Some(Arc::new(message)),
            Err(error) => {
                tracing::error!(%error, "a message cannot be read: it is not sent");
                None
            }
        };
        Ok(rows.iter().filter_map(read).collect())
    }

    async fn message_behind(
        &self,
        application: ApplicationKey,
        from: Option<MessageId>,
        many: u32,
    ) -> Result<Option<MessageId>> {
        let sql =
            "SELECT id FROM message WHERE application = $1 AND id < $2 ORDER BY id DESC LIMIT 1 OFFSET $3";
        let from = from.map_or(i64::MAX, |from| from.0);
        let skipped = i64::from(many.saturating_sub(1));
        Ok(self.readers.row(sql, &[&application.0, &from, &skipped]).await?.map(|row| MessageId(row.get(0))))
    }

    async fn message_list(
        &self,
        application: ApplicationKey,
        filter: MessageFilter,
        page: Page<MessageId>,
    ) -> Result<Slice<Message>> {
        let page = rekey(&page, |id| id.0);
        let mut conditions = Conditions::default();
        conditions.with("message.application = ?", application.0).page("message.id", &page);
        filter_time(&mut conditions, "message.id", filter.before, filter.after);
        if let Some(floor) = filter.floor {
            conditions.with("message.id >= ?", floor.0);
        }
        if let Some(text) = filter.text {
            let has = "EXISTS (SELECT FROM payload WHERE payload.day = message.payload_day AND payload.message = message.id
                                 AND position(?::bytea IN payload.bytes) > 0)";
            conditions.with(has, text.into_bytes());
            // What has expired is gone, also while its partition still stands.
            conditions.with("coalesce(message.payload_expires_at > ?, true)", self.node.now().0);
        }
        filter_labels(&mut conditions, &filter.event_types, filter.channel.as_ref(), filter.tag.as_ref());
        // The page is found first, so that payloads are read for its messages alone.
        let sql = format!(
            "SELECT {MESSAGE}, message.found FROM {}
             LEFT JOIN LATERAL (
                 SELECT * FROM payload WHERE payload.day = message.payload_day AND payload.message = message.id) AS payload ON true
             ORDER BY message.id {}",
            bounded(("message", "id", "payload_bytes"), &mut conditions, &page),
            if page.walks_up() { "ASC" } else { "DESC" }
        );
        let rows = self.readers.rows(&sql, &conditions.parameters()).await?;
        let cut = rows.first().is_some_and(|row| row.get::<_, i64>(11) > rows.len() as i64);
        let found: Result<Vec<_>> = rows.iter().map(|row| row::message(row, &self.node)).collect();
        Ok(page.slice_of(found?, cut))
    }

    async fn message_keys_since(&self, since: Timestamp) -> Result<Vec<([u8; 16], MessageId)>> {
        let rows = self
            .own_readers
            .rows(
                "SELECT id, key_hash FROM message WHERE id >= $1 AND key_hash IS NOT NULL
                 ORDER BY id DESC LIMIT $2",
                &[&floor_of(since), &KEYS_MAX],
            )
            .await?;
        let read = |row: &Row| (hash16(row.get(1)), MessageId(row.get(0)));
        Ok(rows.iter().map(read).collect())
    }

    async fn message_expunge(&self, application: ApplicationKey, id: MessageId) -> Result<()> {
        let row = self
            .readers
            .row(
                "WITH there AS (
                     UPDATE message SET sealed_overrides = NULL WHERE id = $1 AND application = $2
                     RETURNING id, payload_day),
                 gone AS (
                     DELETE FROM payload USING there
                     WHERE payload.day = there.payload_day AND payload.message = there.id)
                 SELECT count(*) FROM there",
                &[&id.0, &application.0],
            )
            .await?;
        if row.is_some_and(|row| row.get::<_, i64>(0) > 0) { Ok(()) } else { Err(StoreError::NotFound) }
    }
}
