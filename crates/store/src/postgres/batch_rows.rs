//! What a commit's statement does to deliveries: attempts with their effects, rows that are new, and rows that go back.
//!
//! Rows are locked in the order of their key (PROTOCOL rule 18), and every write joins the fence of `batch.rs`.

use super::batch::{Sql, Value};
use super::command::Batch;
use super::node::Node;
use crate::delivery::{Held, Record};
use crate::message::Admission;
use domain::clock::Timestamp;
use domain::delivery::{DeliveryKey, MAIN_RUN, Next, RowState};
use domain::id::{AttemptId, LeaseId};

/// A row that goes into `delivery` as it is.
pub(super) struct NewRow {
    lease: LeaseId,
    key: DeliveryKey,
    state: RowState,
    due_at: Timestamp,
    /// Whether it takes the next place in its endpoint's order.
    ordered: bool,
}

/// A held row, or none, that a record or a park changes.
pub(super) struct Effect {
    lease: LeaseId,
    key: DeliveryKey,
    claim: Option<i64>,
    attempt: AttemptId,
    due_at: Option<Timestamp>,
    number: u32,
    state: RowState,
}

/// Rows that are written when their message is accepted: parked, scheduled or canceled.
pub(super) fn accepted_rows(batch: &Batch, lease: LeaseId, now: Timestamp) -> Vec<NewRow> {
    let mut rows = Vec::new();
    for one in &batch.accepting {
        for (endpoint, admission) in &one.new.deliveries {
            let state = match admission {
                Admission::Handoff => continue,
                Admission::Park | Admission::Order => RowState::Pending,
                Admission::Cancel => RowState::Canceled,
            };
            let key = DeliveryKey { message: one.id, endpoint: *endpoint, run: MAIN_RUN };
            let (due_at, ordered) = (one.new.deliver_at.unwrap_or(now), *admission == Admission::Order);
            rows.push(NewRow { lease, key, state, due_at, ordered });
        }
    }
    rows
}

/// Fresh deliveries become rows; claimed ones change theirs.
pub(super) fn split_parks(batch: &Batch, node: &Node, rows: &mut Vec<NewRow>, parks: &mut Vec<Effect>) {
    let book = node.book.lock();
    for one in batch.parking.iter().flat_map(|parking| &parking.parked) {
        // What is held under a lease that is lost is dropped.
        let Some(lease) = book.lease_of(one.key, one.held) else { continue };
        match one.held {
            Held::Fresh => {
                let (state, due_at) = (one.state, one.due_at);
                rows.push(NewRow { lease, key: one.key, state, due_at, ordered: false });
            }
            Held::Claimed(claim) => parks.push(Effect {
                lease,
                key: one.key,
                claim: Some(claim.0),
                attempt: AttemptId(0),
                due_at: Some(one.due_at),
                number: 0,
                state: one.state,
            }),
        }
    }
}

pub(super) fn add_rows(sql: &mut Sql<'_>, rows: &[NewRow], refused: &str) {
    let (ordered, rows): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.ordered);
    if !rows.is_empty() {
        let text = format!(
            ", put AS (
                 INSERT INTO delivery (endpoint, message, run, state, due_at, attempts, trigger)
                 SELECT new.endpoint, new.message, 0, new.state, new.due_at, 0, 0
                 FROM {NEW_ROWS}
                 JOIN fence ON fence.id = new.lease
                 WHERE true{refused}
                 ON CONFLICT DO NOTHING)"
        );
        sql.part(&text, row_columns(&rows));
    }
    if !ordered.is_empty() {
        add_ordered(sql, &ordered, refused);
    }
}

const NEW_ROWS: &str = "unnest(?::bigint[], ?::bigint[], ?::bigint[], ?::smallint[], ?::bigint[])
                     AS new (lease, endpoint, message, state, due_at)";

fn row_columns<'a>(rows: &[&NewRow]) -> Vec<Value<'a>> {
    vec![
        Box::new(rows.iter().map(|row| row.lease.0).collect::<Vec<_>>()),
        Box::new(rows.iter().map(|row| row.key.endpoint.0).collect::<Vec<_>>()),
        Box::new(rows.iter().map(|row| row.key.message.0).collect::<Vec<_>>()),
        Box::new(rows.iter().map(|row| small(row.state.code())).collect::<Vec<_>>()),
        Box::new(rows.iter().map(|row| row.due_at.0).collect::<Vec<_>>()),
    ]
}

/// Rule 16: each row takes the next place of its endpoint. The counters' rows are locked in their order (rule 18), after the
/// message keys, and until the commit: places become visible in their order, also between nodes. Rows meet their counter by
/// sorting: the writer joins by loops alone, and both may be thousands.
fn add_ordered(sql: &mut Sql<'_>, rows: &[&NewRow], refused: &str) {
    let after_keys = if refused.is_empty() { "" } else { " AND (SELECT count(*) FROM taken) >= 0" };
    let text = format!(
        ", in_line AS MATERIALIZED (
             SELECT new.*, row_number() OVER (PARTITION BY new.endpoint ORDER BY new.message) AS nth
             FROM {NEW_ROWS}
             JOIN fence ON fence.id = new.lease
             WHERE true{refused}{after_keys}),
         counted AS (
             INSERT INTO ordered (endpoint, next)
             SELECT endpoint, count(*) FROM in_line GROUP BY endpoint ORDER BY endpoint
             ON CONFLICT (endpoint) DO UPDATE SET next = ordered.next + excluded.next
             RETURNING endpoint, next),
         placed AS (
             INSERT INTO delivery (endpoint, message, run, state, due_at, attempts, trigger, position)
             SELECT endpoint, message, 0, state, due_at, 0, 0, last - size + nth
             FROM (
                 SELECT *, max(next) OVER (PARTITION BY endpoint) AS last, count(message) OVER (PARTITION BY endpoint) AS size
                 FROM (
                     SELECT endpoint, message, state, due_at, nth, NULL::bigint AS next FROM in_line
                     UNION ALL
                     SELECT endpoint, NULL, NULL, NULL, NULL, next FROM counted) AS lines) AS numbered
             WHERE message IS NOT NULL
             ON CONFLICT DO NOTHING)"
    );
    sql.part(&text, row_columns(rows));
}

fn small(code: i64) -> i16 {
    i16::try_from(code).unwrap_or(i16::MAX)
}

/// Attempts, and what they mean for their rows: only for those that this very statement inserts (rule 8).
pub(super) fn add_attempts<'a>(sql: &mut Sql<'a>, batch: &'a Batch, node: &Node) {
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
                let (number, state) = (attempt.number, RowState::Pending);
                effects.push(Effect { lease, key, claim, attempt: *id, due_at, number, state });
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
    } else {
        columns.push(Box::new(effects.iter().map(|e| small(e.state.code())).collect::<Vec<_>>()));
    }
    columns
}

pub(super) fn add_parks(sql: &mut Sql<'_>, parks: &mut [Effect]) {
    parks.sort_unstable_by_key(|park| (park.key.endpoint, park.key.message, park.key.run));
    sql.part(
        ", parked AS (
             UPDATE delivery SET due_at = park.due_at, state = park.state, lease = NULL, claim = NULL
             FROM unnest(?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::smallint[])
                 AS park (lease, endpoint, message, run, claim, due_at, state)
             JOIN fence ON fence.id = park.lease
             WHERE delivery.endpoint = park.endpoint AND delivery.message = park.message
               AND delivery.run = park.run AND delivery.claim = park.claim AND delivery.lease = park.lease
               AND delivery.state = 0)",
        effect_columns(parks, false),
    );
}
