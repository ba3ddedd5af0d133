//! The one statement of a commit: accepted messages, recorded attempts and parked deliveries, each kind from arrays.
//!
//! It begins with the fence (PROTOCOL rule 3): the leases' rows, locked FOR KEY SHARE while they are live. Every write
//! joins it, so that under a lease that was settled nothing is written, and a rescuer waits for what is on its way. KEY
//! SHARE does not hold up the heartbeat, whose update touches no key. Kinds that a batch does not have are left out.

use super::command::Batch;
use super::lease::day_of;
use super::node::Node;
use super::partition::day_of_id;
use super::row::OVERRIDES_PLACE;
use crate::delivery::{Held, Record};
use crate::error::Result;
use crate::message::{Admission, NewMessage};
use domain::clock::Timestamp;
use domain::delivery::{DeliveryKey, MAIN_RUN, Next, RowState};
use domain::id::{AttemptId, LeaseId, MessageId};
use domain::limit::{EVENT_ID_MS, IDEMPOTENCY_MS};
use tokio_postgres::types::ToSql;

/// `message_key.kind` of event ids.
pub(super) const EVENT_ID: i16 = 0;
/// `message_key.kind` of explicit idempotency keys.
pub(super) const IDEMPOTENCY: i16 = 1;

/// A parameter that is sent with a statement.
type Value<'a> = Box<dyn ToSql + Sync + Send + 'a>;

/// A statement and its parameters.
#[derive(Default)]
pub(super) struct Sql<'a> {
    pub(super) text: String,
    values: Vec<Value<'a>>,
}

impl<'a> Sql<'a> {
    /// Adds a part whose `?` stand for these parameters.
    fn part(&mut self, text: &str, values: Vec<Value<'a>>) {
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

/// A row that goes into `delivery` as it is.
struct NewRow {
    lease: LeaseId,
    key: DeliveryKey,
    state: RowState,
    due_at: Timestamp,
}

/// A held row, or none, that a record or a park changes.
struct Effect {
    lease: LeaseId,
    key: DeliveryKey,
    claim: Option<i64>,
    attempt: AttemptId,
    due_at: Option<Timestamp>,
    number: u32,
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

/// Rows that are written when their message is accepted: parked, scheduled or canceled.
fn accepted_rows(batch: &Batch, lease: LeaseId, now: Timestamp) -> Vec<NewRow> {
    let mut rows = Vec::new();
    for one in &batch.accepting {
        for (endpoint, admission) in &one.new.deliveries {
            let state = match admission {
                Admission::Handoff => continue,
                Admission::Park => RowState::Pending,
                Admission::Cancel => RowState::Canceled,
            };
            let key = DeliveryKey { message: one.id, endpoint: *endpoint, run: MAIN_RUN };
            rows.push(NewRow { lease, key, state, due_at: one.new.deliver_at.unwrap_or(now) });
        }
    }
    rows
}

/// Fresh deliveries become rows; claimed ones change theirs.
fn split_parks(batch: &Batch, node: &Node, rows: &mut Vec<NewRow>, parks: &mut Vec<Effect>) {
    let book = node.book.lock();
    for one in batch.parking.iter().flat_map(|parking| &parking.parked) {
        // What is held under a lease that is lost is dropped.
        let Some(lease) = book.lease_of(one.key, one.held) else { continue };
        match one.held {
            Held::Fresh => {
                rows.push(NewRow { lease, key: one.key, state: RowState::Pending, due_at: one.due_at });
            }
            Held::Claimed(claim) => parks.push(Effect {
                lease,
                key: one.key,
                claim: Some(claim.0),
                attempt: AttemptId(0),
                due_at: Some(one.due_at),
                number: 0,
            }),
        }
    }
}

fn add_rows(sql: &mut Sql<'_>, rows: &[NewRow], refused: &str) {
    let text = format!(
        ", put AS (
             INSERT INTO delivery (endpoint, message, run, state, due_at, attempts, trigger)
             SELECT new.endpoint, new.message, 0, new.state, new.due_at, 0, 0
             FROM unnest(?::bigint[], ?::bigint[], ?::bigint[], ?::smallint[], ?::bigint[])
                 AS new (lease, endpoint, message, state, due_at)
             JOIN fence ON fence.id = new.lease
             WHERE true{refused}
             ON CONFLICT DO NOTHING)"
    );
    sql.part(
        &text,
        vec![
            Box::new(rows.iter().map(|row| row.lease.0).collect::<Vec<_>>()),
            Box::new(rows.iter().map(|row| row.key.endpoint.0).collect::<Vec<_>>()),
            Box::new(rows.iter().map(|row| row.key.message.0).collect::<Vec<_>>()),
            Box::new(rows.iter().map(|row| small(row.state.code())).collect::<Vec<_>>()),
            Box::new(rows.iter().map(|row| row.due_at.0).collect::<Vec<_>>()),
        ],
    );
}

fn small(code: i64) -> i16 {
    i16::try_from(code).unwrap_or(i16::MAX)
}

/// Attempts, and what they mean for their rows: only for those that this very statement inserts (rule 8).
fn add_attempts<'a>(sql: &mut Sql<'a>, batch: &'a Batch, node: &Node) {
    let mut attempts: Vec<(LeaseId, AttemptId, &Record)> = Vec::new();
    let mut effects = Vec::new();
    let book = node.book.lock();
    for recording in &batch.recording {
        for (record, id) in recording.records.iter().zip(&recording.ids) {
            let attempt = &record.attempt;
            let key = DeliveryKey { message: attempt.message, endpoint: attempt.endpoint, run: attempt.run };
            let Some(lease) = book.lease_of(key, record.held) else { continue };
            attempts.push((lease, *id, record));
            let claim = match record.held {
                Held::Fresh => None,
                Held::Claimed(claim) => Some(claim.0),
            };
            let due_at = match record.next {
                Next::Retry(due_at) => Some(due_at),
                Next::Succeeded | Next::Failed => None,
            };
            if claim.is_some() || due_at.is_some() {
                effects.push(Effect { lease, key, claim, attempt: *id, due_at, number: attempt.number });
            }
        }
    }
    drop(book);
    let all = || attempts.iter().map(|(_, _, record)| &record.attempt);
    sql.part(
        ", attempted AS (
             INSERT INTO attempt (id, message, endpoint, run, number, trigger, outcome, disposition, started_at,
                                  duration_ms, status, url, response)
             SELECT new.id, new.message, new.endpoint, new.run, new.number, new.trigger, new.outcome, new.disposition,
                    new.started_at, new.duration_ms, new.status, new.url, new.response
             FROM unnest(?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::int[], ?::smallint[],
                         ?::smallint[], ?::smallint[], ?::bigint[], ?::bigint[], ?::int[], ?::text[], ?::bytea[])
                 AS new (lease, id, message, endpoint, run, number, trigger, outcome, disposition, started_at,
                         duration_ms, status, url, response)
             JOIN fence ON fence.id = new.lease
             ON CONFLICT DO NOTHING
             RETURNING id)",
        vec![
            Box::new(attempts.iter().map(|(lease, _, _)| lease.0).collect::<Vec<_>>()),
            Box::new(attempts.iter().map(|(_, id, _)| id.0).collect::<Vec<_>>()),
            Box::new(all().map(|a| a.message.0).collect::<Vec<_>>()),
            Box::new(all().map(|a| a.endpoint.0).collect::<Vec<_>>()),
            Box::new(all().map(|a| a.run).collect::<Vec<_>>()),
            Box::new(all().map(|a| i32::try_from(a.number).unwrap_or(i32::MAX)).collect::<Vec<_>>()),
            Box::new(all().map(|a| small(a.trigger.code())).collect::<Vec<_>>()),
            Box::new(all().map(|a| small(a.outcome.code())).collect::<Vec<_>>()),
            Box::new(all().map(|a| small(a.disposition.code())).collect::<Vec<_>>()),
            Box::new(all().map(|a| a.started_at.0).collect::<Vec<_>>()),
            Box::new(all().map(|a| i64::from(a.duration_ms)).collect::<Vec<_>>()),
            Box::new(all().map(|a| i32::from(a.status)).collect::<Vec<_>>()),
            Box::new(all().map(|a| &*a.url).collect::<Vec<_>>()),
            Box::new(all().map(|a| &a.response[..]).collect::<Vec<_>>()),
        ],
    );
    if !effects.is_empty() {
        add_effects(sql, &mut effects);
    }
}

/// Rule 10: a row is changed only with its claim and its lease; what was canceled meanwhile stays canceled. A first
/// failure never overwrites a row that is there. Rule 14: the number is written as an absolute value.
fn add_effects(sql: &mut Sql<'_>, effects: &mut [Effect]) {
    effects.sort_unstable_by_key(|effect| (effect.key.endpoint, effect.key.message, effect.key.run));
    sql.part(
        ", effect AS MATERIALIZED (
             SELECT e.* FROM unnest(?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[],
                                    ?::bigint[], ?::int[])
                 AS e (lease, attempt, endpoint, message, run, claim, due_at, number)
             JOIN attempted ON attempted.id = e.attempt),
         failed AS (
             INSERT INTO delivery (endpoint, message, run, state, due_at, attempts, trigger)
             SELECT effect.endpoint, effect.message, effect.run, 0, effect.due_at, effect.number, 0
             FROM effect WHERE effect.claim IS NULL
             ON CONFLICT DO NOTHING),
         retried AS (
             UPDATE delivery SET attempts = effect.number, due_at = effect.due_at, rescued = 0, lease = NULL, claim = NULL
             FROM effect
             WHERE delivery.endpoint = effect.endpoint AND delivery.message = effect.message
               AND delivery.run = effect.run AND delivery.claim = effect.claim AND delivery.lease = effect.lease
               AND delivery.state = 0 AND effect.due_at IS NOT NULL),
         settled AS (
             DELETE FROM delivery USING effect
             WHERE delivery.endpoint = effect.endpoint AND delivery.message = effect.message
               AND delivery.run = effect.run AND delivery.claim = effect.claim AND delivery.lease = effect.lease
               AND delivery.state = 0 AND effect.due_at IS NULL)",
        effect_columns(effects, true),
    );
}

fn effect_columns<'a>(effects: &[Effect], numbered: bool) -> Vec<Value<'a>> {
    let mut columns: Vec<Value<'a>> = vec![Box::new(effects.iter().map(|e| e.lease.0).collect::<Vec<_>>())];
    if numbered {
        columns.push(Box::new(effects.iter().map(|e| e.attempt.0).collect::<Vec<_>>()));
    }
    columns.push(Box::new(effects.iter().map(|e| e.key.endpoint.0).collect::<Vec<_>>()));
    columns.push(Box::new(effects.iter().map(|e| e.key.message.0).collect::<Vec<_>>()));
    columns.push(Box::new(effects.iter().map(|e| e.key.run).collect::<Vec<_>>()));
    columns.push(Box::new(effects.iter().map(|e| e.claim).collect::<Vec<_>>()));
    columns.push(Box::new(effects.iter().map(|e| e.due_at.map(|time| time.0)).collect::<Vec<_>>()));
    if numbered {
        columns.push(Box::new(
            effects.iter().map(|e| i32::try_from(e.number).unwrap_or(i32::MAX)).collect::<Vec<_>>(),
        ));
    }
    columns
}

fn add_parks(sql: &mut Sql<'_>, parks: &mut [Effect]) {
    parks.sort_unstable_by_key(|park| (park.key.endpoint, park.key.message, park.key.run));
    sql.part(
        ", parked AS (
             UPDATE delivery SET due_at = park.due_at, lease = NULL, claim = NULL
             FROM unnest(?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[])
                 AS park (lease, endpoint, message, run, claim, due_at)
             JOIN fence ON fence.id = park.lease
             WHERE delivery.endpoint = park.endpoint AND delivery.message = park.message
               AND delivery.run = park.run AND delivery.claim = park.claim AND delivery.lease = park.lease
               AND delivery.state = 0)",
        effect_columns(parks, false),
    );
}
