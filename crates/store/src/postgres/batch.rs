//! The one statement of a commit: accepted messages, recorded attempts and parked deliveries, each kind from arrays.
//!
//! It begins with the fence (PROTOCOL rule 3): the leases' rows, locked FOR KEY SHARE while they are live. Every write
//! joins it, so that under a lease that was settled nothing is written, and a rescuer waits for what is on its way. KEY
//! SHARE does not hold up the heartbeat, whose update touches no key. Kinds that a batch does not have are left out.

use super::batch_rows::{accepted_rows, add_attempts, add_parks, add_rows, split_parks};
use super::command::Batch;
use super::lease::day_of;
use super::node::Node;
use super::partition::day_of_id;
use crate::error::Result;
use crate::message::{NewMessage, OVERRIDES_PLACE};
use domain::clock::Timestamp;
use domain::id::{LeaseId, MessageId};
use domain::limit::{EVENT_ID_MS, IDEMPOTENCY_MS};
use tokio_postgres::types::ToSql;

/// `message_key.kind` of event ids.
pub(super) const EVENT_ID: i16 = 0;
/// `message_key.kind` of explicit idempotency keys.
pub(super) const IDEMPOTENCY: i16 = 1;

/// A parameter that is sent with a statement.
pub(super) type Value<'a> = Box<dyn ToSql + Sync + Send + 'a>;

/// A statement and its parameters.
#[derive(Default)]
pub(super) struct Sql<'a> {
    pub(super) text: String,
    values: Vec<Value<'a>>,
}

impl<'a> Sql<'a> {
    /// Adds a part whose `?` stand for these parameters.
    pub(super) fn part(&mut self, text: &str, values: Vec<Value<'a>>) {
        let mut pieces = text.split('?');
        self.text.push_str(pieces.next().unwrap_or_default());
        for (piece, value) in pieces.zip(values) {
            self.values.push(value);
            self.text.push_str(&format!("${}", self.values.len()));
            self.text.push_str(piece);
        }
    }

    pub(super) fn parameters(&self) -> Vec<&(dyn ToSql + Sync)> {
        self.values.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect()
    }
}

/// The day on which a message's payload goes.
pub(super) fn payload_day(id: MessageId, new: &NewMessage, retention_days: u32) -> i64 {
    new.payload_expires_at.map_or(day_of_id(id.0) + i64::from(retention_days) + 1, day_of)
}

/// Builds the statement of a batch. `lease` is the one of new work, `leases` all that may write.
pub(super) fn build<'a>(
    batch: &'a Batch,
    node: &Node,
    lease: LeaseId,
    leases: &[LeaseId],
) -> Result<Sql<'a>> {
    let mut sql = Sql::default();
    let ids: Vec<i64> = leases.iter().map(|lease| lease.0).collect();
    sql.part(
        "WITH fence AS MATERIALIZED (
             SELECT id FROM lease WHERE id = ANY(?::bigint[]) AND state = 'live' ORDER BY id FOR KEY SHARE)",
        vec![Box::new(ids)],
    );
    let keyed = add_keys(&mut sql, batch, lease, node.now());
    // Rule 18: message keys come before delivery rows.
    let refused = if keyed {
        " AND NOT EXISTS (SELECT FROM refused WHERE refused.wanted_by = new.message)"
    } else {
        ""
    };
    if !batch.accepting.is_empty() {
        add_messages(&mut sql, batch, node, lease, refused)?;
    }
    let (mut rows, mut parks) = (accepted_rows(batch, lease, node.now()), Vec::new());
    split_parks(batch, node, &mut rows, &mut parks);
    if !rows.is_empty() {
        add_rows(&mut sql, &rows, refused);
    }
    if !batch.recording.is_empty() {
        add_attempts(&mut sql, batch, node);
    }
    if !parks.is_empty() {
        add_parks(&mut sql, &mut parks);
    }
    sql.text.push_str(" SELECT (SELECT array_agg(id) FROM fence)");
    if keyed {
        sql.text.push_str(KEYS_ANSWER);
    }
    Ok(sql)
}

/// What the statement tells of keys. A key that was free in the snapshot and is not any more was taken by another node
/// at the same moment: dividing by zero takes the whole statement back, and it is sent again with a newer snapshot.
const KEYS_ANSWER: &str = ",
    (SELECT array_agg(wanted_by ORDER BY wanted_by, kind) FROM refused),
    (SELECT array_agg(kind ORDER BY wanted_by, kind) FROM refused),
    (SELECT array_agg(message ORDER BY wanted_by, kind) FROM refused),
    (SELECT array_agg(body_hash ORDER BY wanted_by, kind) FROM refused),
    (SELECT 1 / (1 - (lost.keys > 0)::int) FROM (
        SELECT count(*) - (SELECT count(*) FROM taken) AS keys FROM wanted, fence
        WHERE fence.id = wanted.lease
          AND NOT EXISTS (SELECT FROM refused WHERE refused.wanted_by = wanted.message)) AS lost)";

/// A key that a message asks for: application, kind, key, message, hash of the body, until when.
type NewKey = (i64, i16, Vec<u8>, i64, Vec<u8>, i64);

/// Takes event ids and explicit idempotency keys, or tells who has them. True when the batch has any.
fn add_keys(sql: &mut Sql<'_>, batch: &Batch, lease: LeaseId, now: Timestamp) -> bool {
    let mut keys: Vec<NewKey> = Vec::new();
    for one in &batch.accepting {
        if let Some(event_id) = &one.new.event_id {
            let until = now.plus_ms(EVENT_ID_MS).0;
            let application = one.new.application.0;
            keys.push((application, EVENT_ID, event_id.as_bytes().to_vec(), one.id.0, Vec::new(), until));
        }
        if let Some(key) = one.new.key.filter(|key| key.explicit) {
            let until = now.plus_ms(IDEMPOTENCY_MS).0;
            keys.push((0, IDEMPOTENCY, key.hash.to_vec(), one.id.0, key.body_hash.to_vec(), until));
        }
    }
    if keys.is_empty() {
        return false;
    }
    // Rule 18: sorted, so that two nodes never wait for each other's keys.
    keys.sort_unstable();
    sql.part(
        ", wanted AS MATERIALIZED (
             SELECT ?::bigint AS lease, w.* FROM unnest(?::bigint[], ?::smallint[], ?::bytea[], ?::bigint[], ?::bytea[], ?::bigint[])
                 AS w (application, kind, key, message, body_hash, expires_at)),
         refused AS MATERIALIZED (
             SELECT wanted.message AS wanted_by, there.kind, there.message, there.body_hash
             FROM wanted JOIN message_key AS there
               ON there.application = wanted.application AND there.kind = wanted.kind AND there.key = wanted.key
             WHERE there.expires_at > ?::bigint),
         taken AS (
             INSERT INTO message_key AS there (application, kind, key, message, body_hash, expires_at)
             SELECT wanted.application, wanted.kind, wanted.key, wanted.message, wanted.body_hash, wanted.expires_at
             FROM wanted JOIN fence ON fence.id = wanted.lease
             WHERE NOT EXISTS (SELECT FROM refused WHERE refused.wanted_by = wanted.message)
             ON CONFLICT (application, kind, key) DO UPDATE
                 SET message = excluded.message, body_hash = excluded.body_hash, expires_at = excluded.expires_at
                 WHERE there.expires_at <= ?::bigint
             RETURNING message)",
        vec![
            Box::new(lease.0),
            Box::new(keys.iter().map(|k| k.0).collect::<Vec<_>>()),
            Box::new(keys.iter().map(|k| k.1).collect::<Vec<_>>()),
            Box::new(keys.iter().map(|k| k.2.clone()).collect::<Vec<_>>()),
            Box::new(keys.iter().map(|k| k.3).collect::<Vec<_>>()),
            Box::new(keys.iter().map(|k| k.4.clone()).collect::<Vec<_>>()),
            Box::new(keys.iter().map(|k| k.5).collect::<Vec<_>>()),
            Box::new(now.0),
            Box::new(now.0),
        ],
    );
    true
}

fn texts(list: &[String]) -> Option<String> {
    (!list.is_empty()).then(|| serde_json::to_string(list).unwrap_or_default())
}

fn keys(new: &NewMessage) -> String {
    let keys: Vec<String> = new.deliveries.iter().map(|(endpoint, _)| endpoint.0.to_string()).collect();
    format!("{{{}}}", keys.join(","))
}

fn sealed(new: &NewMessage, node: &Node) -> Result<Option<Vec<u8>>> {
    let plain = (!new.overrides.is_empty()).then(|| serde_json::to_vec(&new.overrides).unwrap_or_default());
    plain.map(|plain| node.sealer.seal(OVERRIDES_PLACE, &plain)).transpose()
}

fn add_messages<'a>(
    sql: &mut Sql<'a>,
    batch: &'a Batch,
    node: &Node,
    lease: LeaseId,
    refused: &str,
) -> Result<()> {
    let all = || batch.accepting.iter();
    let hash = |new: &'a NewMessage| new.key.as_ref().filter(|key| !key.explicit);
    let overrides: Vec<Option<Vec<u8>>> = all().map(|one| sealed(&one.new, node)).collect::<Result<_>>()?;
    let days: Vec<i32> = all()
        .map(|one| i32::try_from(payload_day(one.id, &one.new, node.retention_days)).unwrap_or(i32::MAX))
        .collect();
    let ids: Vec<i64> = all().map(|one| one.id.0).collect();
    let text = format!(
        ", posted AS (
             INSERT INTO message (id, application, lease, event_type, event_id, channels, tags, endpoints, payload_day,
                                  payload_bytes, payload_expires_at, deliver_at, sealed_overrides, key_hash)
             SELECT new.message, new.application, fence.id, new.event_type, new.event_id, new.channels::jsonb,
                    new.tags::jsonb, new.endpoints::bigint[], new.payload_day, new.payload_bytes,
                    new.payload_expires_at, new.deliver_at, new.sealed_overrides, new.key_hash
             FROM unnest(?::bigint[], ?::bigint[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::int[],
                         ?::int[], ?::bigint[], ?::bigint[], ?::bytea[], ?::bytea[])
                 AS new (message, application, event_type, event_id, channels, tags, endpoints, payload_day,
                         payload_bytes, payload_expires_at, deliver_at, sealed_overrides, key_hash)
             JOIN fence ON fence.id = ?::bigint
             WHERE true{refused})"
    );
    sql.part(
        &text,
        vec![
            Box::new(ids.clone()),
            Box::new(all().map(|one| one.new.application.0).collect::<Vec<_>>()),
            Box::new(all().map(|one| &*one.new.event_type).collect::<Vec<_>>()),
            Box::new(all().map(|one| one.new.event_id.as_deref()).collect::<Vec<_>>()),
            Box::new(all().map(|one| texts(&one.new.channels)).collect::<Vec<_>>()),
            Box::new(all().map(|one| texts(&one.new.tags)).collect::<Vec<_>>()),
            Box::new(all().map(|one| keys(&one.new)).collect::<Vec<_>>()),
            Box::new(days.clone()),
            Box::new(
                all().map(|one| i32::try_from(one.new.payload.len()).unwrap_or(i32::MAX)).collect::<Vec<_>>(),
            ),
            Box::new(all().map(|one| one.new.payload_expires_at.map(|t| t.0)).collect::<Vec<_>>()),
            Box::new(all().map(|one| one.new.deliver_at.map(|t| t.0)).collect::<Vec<_>>()),
            Box::new(overrides),
            Box::new(all().map(|one| hash(&one.new).map(|key| &key.hash[..])).collect::<Vec<_>>()),
            Box::new(lease.0),
        ],
    );
    let text = format!(
        ", bodies AS (
             INSERT INTO payload (day, message, bytes)
             SELECT new.day, new.message, new.bytes
             FROM unnest(?::int[], ?::bigint[], ?::bytea[]) AS new (day, message, bytes)
             JOIN fence ON fence.id = ?::bigint
             WHERE true{refused})"
    );
    let bytes: Vec<&[u8]> = all().map(|one| &one.new.payload[..]).collect();
    sql.part(&text, vec![Box::new(days), Box::new(ids), Box::new(bytes), Box::new(lease.0)]);
    Ok(())
}
