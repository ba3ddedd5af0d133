//! Messages on SQLite: accept, and the lists.

use super::Sqlite;
use super::batch::{Batch, Hot};
use super::command::{Applied, Command, Memory};
use super::query::{Conditions, keys_column, texts_column};
use super::row::{self, collect, collect_page};
use crate::error::{Result, StoreError};
use crate::list::rekey;
use crate::message::{Admission, MessageFilter, Messages, NewMessage, OVERRIDES_PLACE};
use crate::seal::Sealer;
use async_trait::async_trait;
use domain::attempt::Trigger;
use domain::clock::Timestamp;
use domain::delivery::{MAIN_RUN, RowState};
use domain::id::{ApplicationKey, MessageId, floor_of};
use domain::limit::{EVENT_ID_MS, IDEMPOTENCY_MS};
use domain::message::Message;
use domain::page::{Page, Slice};
use rusqlite::{Connection, OptionalExtension, params};
use std::sync::Arc;
use tokio::sync::oneshot;

/// Automatic keys that are read back after a restart: what the memory of them holds.
const KEYS_MAX: i64 = 500_000;
/// `message_key.kind` of event ids.
const EVENT_ID: i64 = 0;
/// `message_key.kind` of explicit idempotency keys.
const IDEMPOTENCY: i64 = 1;

/// Applies one accept. What it means is told after the commit: to the checkpoint, to dispatch, to the caller.
pub(super) fn accept(
    batch: &mut Batch<'_>,
    memory: &mut Memory,
    new: NewMessage,
    answer: oneshot::Sender<Result<Arc<Message>>>,
) -> Applied {
    let now = batch.now;
    let id = MessageId(memory.ids.next(now));
    let written = reserve_keys(batch.connection, &new, id, now)
        .and_then(|()| insert(batch, &new, id, memory))
        .and_then(|()| insert_rows(batch.connection, &new, id, now));
    match written {
        Ok(()) => Ok(Box::new(move |memory, committed| {
            // The caller may have gone away; the message is accepted all the same.
            let _ = answer.send(committed.map(|()| {
                let Memory { shared, outstanding, .. } = memory;
                shared.announce(new, id, now, |fresh| {
                    outstanding.accepted(id, u32::try_from(fresh).unwrap_or(u32::MAX));
                })
            }));
        })),
        Err(refusal @ (StoreError::Taken(_) | StoreError::Repeated { .. })) => {
            Ok(Box::new(move |_, committed| {
                let _ = answer.send(committed.and(Err(refusal)));
            }))
        }
        Err(error) => {
            let told = error.clone();
            let after = move |_: &mut Memory, _| {
                let _ = answer.send(Err(told));
            };
            Err((Box::new(after), error))
        }
    }
}

/// Takes the event id and the explicit idempotency key, or refuses because they are taken.
fn reserve_keys(connection: &Connection, new: &NewMessage, id: MessageId, now: Timestamp) -> Result<()> {
    if let Some(key) = new.key.filter(|k| k.explicit) {
        let earlier = message_key(connection, 0, IDEMPOTENCY, &key.hash, now)?;
        if let Some((message, body_hash)) = earlier {
            return Err(StoreError::Repeated { message, same_body: body_hash == key.body_hash });
        }
    }
    if let Some(event_id) = &new.event_id {
        if message_key(connection, new.application.0, EVENT_ID, event_id.as_bytes(), now)?.is_some() {
            return Err(StoreError::Taken("eventId"));
        }
        put_key(
            connection,
            (new.application.0, EVENT_ID, event_id.as_bytes(), &[]),
            id,
            now.plus_ms(EVENT_ID_MS),
        )?;
    }
    if let Some(key) = new.key.filter(|k| k.explicit) {
        put_key(connection, (0, IDEMPOTENCY, &key.hash, &key.body_hash), id, now.plus_ms(IDEMPOTENCY_MS))?;
    }
    Ok(())
}

fn message_key(
    connection: &Connection,
    application: i64,
    kind: i64,
    key: &[u8],
    now: Timestamp,
) -> Result<Option<(MessageId, [u8; 16])>> {
    let found: Option<(i64, Vec<u8>)> = connection
        .prepare_cached(
            "SELECT message, body_hash FROM message_key WHERE application = ?1 AND kind = ?2 AND key = ?3 AND expires_at > ?4",
        )?
        .query_row(params![application, kind, key, now.0], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(found.map(|(message, hash)| (MessageId(message), hash.try_into().unwrap_or_default())))
}

fn put_key(
    connection: &Connection,
    (application, kind, key, body_hash): (i64, i64, &[u8], &[u8]),
    id: MessageId,
    expires_at: Timestamp,
) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO message_key (application, kind, key, message, body_hash, expires_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![application, kind, key, id.0, body_hash, expires_at.0])?;
    Ok(())
}

/// `body_hash` stays NULL: nobody compares the bodies of automatic keys, and explicit ones have rows of their own.
const INSERT: &str =
    "INSERT INTO message (id, application, lease, event_type, event_id, channels, tags, endpoints, payload,
                          payload_expires_at, deliver_at, sealed_overrides, key_hash)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";

fn insert(batch: &mut Batch<'_>, new: &NewMessage, id: MessageId, memory: &Memory) -> Result<()> {
    let plain = (!new.overrides.is_empty()).then(|| serde_json::to_vec(&new.overrides).unwrap_or_default());
    let overrides = plain.map(|plain| memory.sealer.seal(OVERRIDES_PLACE, &plain)).transpose()?;
    let key = new.key.as_ref().filter(|k| !k.explicit);
    batch.statement(Hot::InsertMessage, INSERT)?.execute(params![
        id.0,
        new.application.0,
        memory.lease.id,
        new.event_type,
        new.event_id,
        texts_column(&new.channels),
        texts_column(&new.tags),
        keys_column(new.deliveries.iter().map(|(endpoint, _)| *endpoint)),
        &new.payload[..],
        new.payload_expires_at.map(|t| t.0),
        new.deliver_at.map(|t| t.0),
        overrides,
        key.map(|k| &k.hash[..]),
    ])?;
    Ok(())
}

fn insert_rows(connection: &Connection, new: &NewMessage, id: MessageId, now: Timestamp) -> Result<()> {
    for (endpoint, admission) in &new.deliveries {
        let state = match admission {
            Admission::Handoff => continue,
            // Its place is its id, which one writer gives.
            Admission::Park | Admission::Order => RowState::Pending,
            Admission::Cancel => RowState::Canceled,
        };
        connection
            .prepare_cached(
                "INSERT INTO delivery (endpoint, message, run, state, due_at, attempts, trigger)
                 VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6)",
            )?
            .execute(params![
                endpoint.0,
                id.0,
                MAIN_RUN,
                state.code(),
                new.deliver_at.unwrap_or(now).0,
                Trigger::Message.code()
            ])?;
    }
    Ok(())
}

/// Reads one message of an application.
pub(super) fn get(
    connection: &Connection,
    application: ApplicationKey,
    id: MessageId,
    sealer: &Sealer,
) -> Result<Message> {
    let sql = format!("SELECT {} FROM message WHERE id = ?1 AND application = ?2", row::MESSAGE);
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![id.0, application.0])?;
    rows.next()?.map_or(Err(StoreError::NotFound), |row| row::message(row, sealer))
}

/// Adds what a list filters messages by.
pub(super) fn filter_labels(
    conditions: &mut Conditions,
    event_types: &[String],
    channel: Option<&String>,
    tag: Option<&String>,
) {
    if !event_types.is_empty() {
        let types = serde_json::to_string(event_types).unwrap_or_default();
        conditions.with("message.event_type IN (SELECT value FROM json_each(?))", types);
    }
    for (column, wanted) in [("channels", channel), ("tags", tag)] {
        if let Some(wanted) = wanted {
            let sql = format!("EXISTS (SELECT 1 FROM json_each(message.{column}) WHERE value = ?)");
            conditions.with(&sql, wanted.clone());
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

#[async_trait]
impl Messages for Sqlite {
    async fn accept(&self, new: NewMessage) -> Result<Arc<Message>> {
        self.writer.ask(|answer| Command::Accept(Box::new(new), answer)).await
    }

    async fn message_get(&self, application: ApplicationKey, id: MessageId) -> Result<Message> {
        let sealer = Arc::clone(&self.sealer);
        self.readers.read(move |c| get(c, application, id, &sealer)).await
    }

    async fn message_by_event_id(&self, application: ApplicationKey, event_id: &str) -> Result<Message> {
        let event_id = event_id.to_owned();
        let (now, sealer) = (self.clock.0.now(), Arc::clone(&self.sealer));
        self.readers
            .read(move |c| {
                let (id, _) = message_key(c, application.0, EVENT_ID, event_id.as_bytes(), now)?
                    .ok_or(StoreError::NotFound)?;
                get(c, application, id, &sealer)
            })
            .await
    }

    async fn messages_load(&self, ids: Vec<MessageId>) -> Result<Vec<Arc<Message>>> {
        let sealer = Arc::clone(&self.sealer);
        self.own_readers
            .read(move |c| {
                let sql = format!("SELECT {} FROM message WHERE id = ?1", row::MESSAGE);
                let mut statement = c.prepare_cached(&sql)?;
                let mut found = Vec::with_capacity(ids.len());
                for id in ids {
                    if let Some(row) = statement.query([id.0])?.next()? {
                        found.push(Arc::new(row::message(row, &sealer)?));
                    }
                }
                Ok(found)
            })
            .await
    }

    async fn message_behind(
        &self,
        application: ApplicationKey,
        from: Option<MessageId>,
        many: u32,
    ) -> Result<Option<MessageId>> {
        let look = move |c: &Connection| {
            let mut statement = c.prepare_cached(
                "SELECT id FROM message WHERE application = ?1 AND id < ?2 ORDER BY id DESC LIMIT 1 OFFSET ?3",
            )?;
            let from = from.map_or(i64::MAX, |from| from.0);
            let skipped = many.saturating_sub(1);
            Ok(statement
                .query_row(params![application.0, from, skipped], |row| row.get(0))
                .optional()?
                .map(MessageId))
        };
        self.readers.read(look).await
    }

    async fn message_list(
        &self,
        application: ApplicationKey,
        filter: MessageFilter,
        page: Page<MessageId>,
    ) -> Result<Slice<Message>> {
        let sealer = Arc::clone(&self.sealer);
        self.readers
            .read(move |c| {
                let page = rekey(&page, |id| id.0);
                let mut conditions = Conditions::default();
                conditions.with("message.application = ?", application.0).page("message.id", &page);
                filter_time(&mut conditions, "message.id", filter.before, filter.after);
                if let Some(floor) = filter.floor {
                    conditions.with("message.id >= ?", floor.0);
                }
                if let Some(text) = filter.text {
                    conditions.with("instr(message.payload, ?) > 0", text.into_bytes());
                }
                filter_labels(
                    &mut conditions,
                    &filter.event_types,
                    filter.channel.as_ref(),
                    filter.tag.as_ref(),
                );
                let sql =
                    format!("SELECT {} FROM message {}", row::MESSAGE, conditions.tail("message.id", &page));
                let mut statement = c.prepare_cached(&sql)?;
                let rows = statement.query(rusqlite::params_from_iter(&conditions.values))?;
                let (found, cut) = collect_page(rows, |row| {
                    let message = row::message(row, &sealer)?;
                    let bytes = message.payload_bytes();
                    Ok((message, bytes))
                })?;
                Ok(page.slice_of(found, cut))
            })
            .await
    }

    async fn message_keys_since(&self, since: Timestamp) -> Result<Vec<([u8; 16], MessageId)>> {
        self.own_readers
            .read(move |c| {
                let mut statement = c.prepare_cached(
                    "SELECT id, key_hash FROM message WHERE id >= ?1 AND key_hash IS NOT NULL ORDER BY id DESC LIMIT ?2",
                )?;
                let rows = statement.query([floor_of(since), KEYS_MAX])?;
                collect(rows, |row| {
                    let hash = row.get::<_, Vec<u8>>(1)?.try_into().unwrap_or_default();
                    Ok((hash, MessageId(row.get(0)?)))
                })
            })
            .await
    }

    async fn message_expunge(&self, application: ApplicationKey, id: MessageId) -> Result<()> {
        self.writer
            .write(
                move |c, _| {
                    let changed = c
                        .prepare_cached(
                            "UPDATE message SET payload = NULL, sealed_overrides = NULL WHERE id = ?1 AND application = ?2",
                        )?
                        .execute(params![id.0, application.0])?;
                    if changed == 0 { Err(StoreError::NotFound) } else { Ok(()) }
                },
                |_, ()| {},
            )
            .await
    }
}

/// The message that an explicit idempotency key made.
pub(super) fn by_key(
    connection: &Connection,
    hash: &[u8; 16],
    now: Timestamp,
) -> Result<Option<(MessageId, [u8; 16])>> {
    message_key(connection, 0, IDEMPOTENCY, hash, now)
}
