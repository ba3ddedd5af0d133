//! Claiming due rows (PROTOCOL rules 3, 10 and 12).
//!
//! One statement, fenced: rows are locked FOR UPDATE SKIP LOCKED, so that two nodes never get the same one, and carry a
//! fresh token afterwards. Payloads are read later, outside of it (rule 4). A second statement, with a snapshot of its
//! own, tells when each endpoint has more.

use super::node::Node;
use super::row::coded;
use super::session::{Session, Trouble};
use crate::delivery::{Claimed, Claims};
use crate::error::StoreError;
use domain::attempt::Trigger;
use domain::clock::Timestamp;
use domain::delivery::DeliveryKey;
use domain::id::{ClaimId, EndpointKey, MessageId};
use std::collections::HashMap;
use tokio_postgres::Row;

/// Rows of a deleted or disabled endpoint that one claim cancels.
const CANCELED_ROWS_MAX: i64 = 2_000;
/// Payload bytes of the messages that one claim takes (16 MiB): the row that passes the limit is the last one.
const CLAIM_BYTES_MAX: i64 = 16 << 20;
/// A row that was held at so many deaths of processes, with no try recorded since, is claimed by itself: when it is not what kills
/// them, its try is soon recorded and it is like any other again; when it is, the others are not given up with it (rule 14).
const SUSPECT_RESCUES: i16 = 5;

/// Endpoint state is read from its row and not from this node's memory: a change that another node made counts at once.
const CLAIM: &str = "
    WITH fence AS MATERIALIZED (
        SELECT id FROM lease WHERE id = $1::bigint AND state = 'live' FOR KEY SHARE),
    wanted AS MATERIALIZED (
        SELECT w.endpoint, w.room, w.place,
               coalesce(endpoint.deleted_at IS NULL AND NOT endpoint.disabled AND application.deleted_at IS NULL, false) AS alive,
               coalesce(endpoint.paused, false) AS paused, coalesce(endpoint.ordered, false) AS ordered
        FROM unnest($2::bigint[], $3::int[]) WITH ORDINALITY AS w (endpoint, room, place)
        CROSS JOIN fence
        LEFT JOIN endpoint ON endpoint.key = w.endpoint
        LEFT JOIN application ON application.key = endpoint.application),
    due AS MATERIALIZED (
        SELECT wanted.place, d.*
        FROM wanted CROSS JOIN LATERAL (
            SELECT delivery.endpoint, delivery.message, delivery.run, delivery.due_at, delivery.attempts, delivery.trigger,
                   delivery.rescued >= $8::smallint AS suspect
            FROM delivery
            WHERE delivery.endpoint = wanted.endpoint AND delivery.state = 0 AND delivery.lease IS NULL
              AND delivery.due_at <= $4::bigint
            ORDER BY delivery.due_at, delivery.message LIMIT wanted.room
            FOR UPDATE SKIP LOCKED) AS d
        WHERE wanted.alive AND NOT wanted.paused AND NOT wanted.ordered),
    -- What goes beside an ordered endpoint's order: resends and the like.
    again AS MATERIALIZED (
        SELECT wanted.place, d.*
        FROM wanted CROSS JOIN LATERAL (
            SELECT delivery.endpoint, delivery.message, delivery.run, delivery.due_at, delivery.attempts, delivery.trigger,
                   delivery.rescued >= $8::smallint AS suspect
            FROM delivery
            WHERE delivery.endpoint = wanted.endpoint AND delivery.state = 0 AND delivery.lease IS NULL AND delivery.run > 0
              AND delivery.due_at <= $4::bigint
            ORDER BY delivery.due_at, delivery.message LIMIT wanted.room
            FOR UPDATE SKIP LOCKED) AS d
        WHERE wanted.alive AND NOT wanted.paused AND wanted.ordered),
    -- Rule 16: of an ordered endpoint only the first one in its order, whatever its due time. It is found without a lock, for
    -- skipping a locked one would take the next; then that very row is locked, if it still is free.
    head AS MATERIALIZED (
        SELECT wanted.place, d.endpoint, d.message, d.run
        FROM wanted CROSS JOIN LATERAL (
            SELECT delivery.* FROM delivery
            WHERE delivery.endpoint = wanted.endpoint AND delivery.state = 0 AND delivery.run = 0
            ORDER BY delivery.position NULLS FIRST, delivery.message LIMIT 1) AS d
        WHERE wanted.alive AND NOT wanted.paused AND wanted.ordered AND d.lease IS NULL AND d.due_at <= $4::bigint),
    first AS MATERIALIZED (
        SELECT head.place, delivery.endpoint, delivery.message, delivery.run, delivery.due_at, delivery.attempts, delivery.trigger,
               delivery.rescued >= $8::smallint AS suspect
        FROM head JOIN delivery USING (endpoint, message, run)
        WHERE delivery.state = 0 AND delivery.lease IS NULL AND delivery.due_at <= $4::bigint
        FOR UPDATE OF delivery SKIP LOCKED),
    sized AS MATERIALIZED (
        SELECT due.*, message.id IS NULL AS missing,
               count(*) FILTER (WHERE due.suspect) OVER (ORDER BY due.place, due.due_at, due.message, due.run) AS suspects,
               sum(coalesce(message.payload_bytes, 0)) OVER (ORDER BY due.place, due.due_at, due.message, due.run)
                   - coalesce(message.payload_bytes, 0) AS before
        FROM (SELECT * FROM due UNION ALL SELECT * FROM first UNION ALL SELECT * FROM again) AS due LEFT JOIN message ON message.id = due.message),
    claimed AS (
        UPDATE delivery SET lease = $1::bigint, claim = $5::bigint
        FROM sized
        WHERE delivery.endpoint = sized.endpoint AND delivery.message = sized.message AND delivery.run = sized.run
          AND NOT sized.missing AND sized.before < $6::bigint AND (NOT sized.suspect OR sized.suspects = 1)
          AND delivery.state = 0 AND delivery.lease IS NULL
        RETURNING delivery.endpoint, delivery.message, delivery.run, delivery.due_at, delivery.attempts, delivery.trigger),
    -- The message is gone, so that nothing can ever ask for this row again.
    dropped AS (
        DELETE FROM delivery USING sized
        WHERE delivery.endpoint = sized.endpoint AND delivery.message = sized.message AND delivery.run = sized.run
          AND sized.missing),
    dead AS MATERIALIZED (
        SELECT d.* FROM wanted CROSS JOIN LATERAL (
            SELECT delivery.endpoint, delivery.message, delivery.run FROM delivery
            WHERE delivery.endpoint = wanted.endpoint AND delivery.state = 0 AND delivery.lease IS NULL
            ORDER BY delivery.due_at, delivery.message LIMIT $7::bigint
            FOR UPDATE SKIP LOCKED) AS d
        WHERE NOT wanted.alive),
    -- Held rows too: their holder then finds nothing to change.
    held AS MATERIALIZED (
        SELECT d.* FROM wanted CROSS JOIN lease CROSS JOIN LATERAL (
            SELECT delivery.endpoint, delivery.message, delivery.run FROM delivery
            WHERE delivery.lease = lease.id AND delivery.endpoint = wanted.endpoint AND delivery.state = 0
            LIMIT $7::bigint
            FOR UPDATE SKIP LOCKED) AS d
        WHERE NOT wanted.alive),
    canceled AS (
        UPDATE delivery SET state = 1, lease = NULL, claim = NULL
        FROM (SELECT * FROM dead UNION ALL SELECT * FROM held) AS doomed
        WHERE delivery.endpoint = doomed.endpoint AND delivery.message = doomed.message AND delivery.run = doomed.run
        RETURNING 1)
    SELECT (SELECT count(*) FROM fence), claimed.*, (SELECT count(*) FROM canceled)
    FROM (SELECT) AS always LEFT JOIN claimed ON true";

/// Rows of paused endpoints are not due: resuming notes a wake, and the sweep comes by.
const NEXT_DUE: &str = "
    SELECT w.endpoint, next.due_at
    FROM unnest($1::bigint[]) AS w (endpoint)
    LEFT JOIN endpoint ON endpoint.key = w.endpoint
    CROSS JOIN LATERAL (
        SELECT free.due_at FROM (
            SELECT delivery.due_at FROM delivery
            WHERE NOT coalesce(endpoint.ordered, false)
              AND delivery.endpoint = w.endpoint AND delivery.state = 0 AND delivery.lease IS NULL
            ORDER BY delivery.due_at, delivery.message LIMIT 1) AS free
        UNION ALL
        SELECT first.due_at FROM (
            SELECT delivery.due_at, delivery.lease FROM delivery
            WHERE endpoint.ordered AND delivery.endpoint = w.endpoint AND delivery.state = 0 AND delivery.run = 0
            ORDER BY delivery.position NULLS FIRST, delivery.message LIMIT 1) AS first
        WHERE first.lease IS NULL
        UNION ALL
        SELECT again.due_at FROM (
            SELECT delivery.due_at FROM delivery
            WHERE endpoint.ordered AND delivery.endpoint = w.endpoint AND delivery.state = 0 AND delivery.lease IS NULL
              AND delivery.run > 0
            ORDER BY delivery.due_at, delivery.message LIMIT 1) AS again) AS next
    WHERE NOT coalesce(endpoint.paused AND NOT endpoint.disabled AND endpoint.deleted_at IS NULL, false)";

/// Claims due rows under the current lease with the fresh token `claim`, up to so many for each endpoint.
pub(super) async fn claim(
    node: &Node,
    session: &mut Session,
    claim: i64,
    (wanted, now): (&[(EndpointKey, u32)], Timestamp),
) -> Result<Vec<Claims>, Trouble> {
    let lease = node.book.lock().current().map(|own| own.id);
    let Some(lease) = lease else { return Err(Trouble::Refused(lost())) };
    let endpoints: Vec<i64> = wanted.iter().map(|(endpoint, _)| endpoint.0).collect();
    let rooms: Vec<i32> = wanted.iter().map(|(_, room)| i32::try_from(*room).unwrap_or(i32::MAX)).collect();
    let rows = session
        .run(
            CLAIM,
            &[
                &lease.0,
                &endpoints,
                &rooms,
                &now.0,
                &claim,
                &CLAIM_BYTES_MAX,
                &CANCELED_ROWS_MAX,
                &SUSPECT_RESCUES,
            ],
        )
        .await?;
    if rows.first().is_none_or(|row| row.get::<_, i64>(0) == 0) {
        node.change(|book| book.lose(lease));
        return Err(Trouble::Refused(lost()));
    }
    let mut by_endpoint = claimed(&rows, ClaimId(claim)).map_err(Trouble::Refused)?;
    // The claim is committed: when this fails, the sweep tells of the rest.
    let later = session.run(NEXT_DUE, &[&endpoints]).await.unwrap_or_default();
    let mut next: HashMap<i64, i64> = HashMap::new();
    for row in &later {
        let due_at: i64 = row.get(1);
        next.entry(row.get(0)).and_modify(|earliest| *earliest = due_at.min(*earliest)).or_insert(due_at);
    }
    let answer = wanted.iter().map(|(endpoint, _)| Claims {
        endpoint: *endpoint,
        rows: by_endpoint.remove(endpoint).unwrap_or_default(),
        next_due: next.get(&endpoint.0).map(|due_at| Timestamp(*due_at)),
    });
    Ok(answer.collect())
}

fn lost() -> StoreError {
    StoreError::Unavailable("this node's lease was lost; it takes another".into())
}

fn claimed(rows: &[Row], claim: ClaimId) -> Result<HashMap<EndpointKey, Vec<Claimed>>, StoreError> {
    let mut found: HashMap<_, Vec<_>> = HashMap::new();
    for row in rows {
        let Some(endpoint) = row.get::<_, Option<i64>>(1).map(EndpointKey) else { continue };
        let key = DeliveryKey { message: MessageId(row.get(2)), endpoint, run: row.get(3) };
        let attempts: i32 = row.get(5);
        found.entry(endpoint).or_default().push(Claimed {
            key,
            claim,
            attempts: attempts.unsigned_abs(),
            trigger: coded(row.get(6), Trigger::from_code)?,
            due_at: Timestamp(row.get(4)),
        });
    }
    found.values_mut().for_each(|rows| rows.sort_by_key(|row| (row.due_at, row.key.message, row.key.run)));
    Ok(found)
}
