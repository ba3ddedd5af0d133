//! The table of exceptions on SQLite: record, park, resend, and what waits.

use super::Sqlite;
use super::batch::{Batch, Hot};
use super::command::{After, Applied, Command, Memory};
use super::row::collect;
use crate::delivery::{Claims, Deliveries, Held, Parked, Record};
use crate::error::{Result, StoreError};
use async_trait::async_trait;
use domain::attempt::Trigger;
use domain::clock::Timestamp;
use domain::delivery::{DeliveryKey, Next, RowState};
use domain::id::{AttemptId, EndpointKey, MessageId};
use rusqlite::{Connection, OptionalExtension, params};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::oneshot;

/// What a record or park changes in memory once it is committed.
struct Left {
    key: DeliveryKey,
    held: Held,
    /// When its row is due; none when it has no pending row.
    due_at: Option<Timestamp>,
    /// When it left.
    at: Timestamp,
}

/// Applies a batch of attempts.
pub(super) fn record(
    batch: &mut Batch<'_>,
    memory: &mut Memory,
    records: Arc<Vec<Record>>,
    answer: oneshot::Sender<Result<Vec<AttemptId>>>,
) -> Applied {
    let mut ids = Vec::with_capacity(records.len());
    let mut left = Vec::with_capacity(records.len());
    for record in records.iter() {
        let id = AttemptId(memory.ids.next(batch.now));
        let inserted = insert_attempt(batch, id, record);
        if let Err(error) = inserted.and_then(|()| settle(batch.connection, memory, record)) {
            return refuse(answer, error);
        }
        ids.push(id);
        let due_at = match record.next {
            Next::Retry(due_at) => Some(due_at),
            Next::Succeeded | Next::Failed => None,
        };
        left.push(Left { key: key_of(record), held: record.held, due_at, at: batch.now });
    }
    Ok(Box::new(move |memory, committed| {
        // The caller may have gone away; what was recorded stays recorded.
        let _ = answer.send(committed.map(|()| {
            left.into_iter().for_each(|one| leave(memory, one));
            ids
        }));
    }))
}

/// Puts held deliveries back into rows (PROTOCOL rule 15).
pub(super) fn park(
    connection: &Connection,
    memory: &mut Memory,
    parked: Vec<Parked>,
    answer: oneshot::Sender<Result<()>>,
) -> Applied {
    for one in &parked {
        let written = match one.held {
            Held::Fresh => put_row(connection, one.key, one.state, (one.due_at, 0)),
            Held::Claimed(claim) if memory.claims.get(&one.key) == Some(&claim) => connection
                .prepare_cached(
                    "UPDATE delivery SET due_at = ?4, state = ?5
                     WHERE endpoint = ?1 AND message = ?2 AND run = ?3 AND state = 0",
                )
                .and_then(|mut s| {
                    let DeliveryKey { endpoint, message, run } = one.key;
                    s.execute(params![endpoint.0, message.0, run, one.due_at.0, one.state.code()])
                })
                .map(|_| ())
                .map_err(StoreError::from),
            Held::Claimed(_) => Ok(()),
        };
        if let Err(error) = written {
            return refuse(answer, error);
        }
    }
    Ok(Box::new(move |memory, committed| {
        let _ = answer.send(committed.map(|()| {
            for one in parked {
                let waits = one.state == RowState::Pending;
                if one.held == Held::Fresh && waits {
                    memory.shared.metrics.parked.fetch_add(1, Ordering::Relaxed);
                }
                let due_at = waits.then_some(one.due_at);
                leave(memory, Left { key: one.key, held: one.held, due_at, at: one.due_at });
            }
        }));
    }))
}

/// An answer to a command that the disk or SQL refused.
pub(super) fn refuse<T: Send + 'static>(answer: oneshot::Sender<Result<T>>, error: StoreError) -> Applied {
    let told = error.clone();
    let after: After = Box::new(move |_, _| {
        let _ = answer.send(Err(told));
    });
    Err((after, error))
}

/// Tells the checkpoint, the claims and the wakes, right after the commit.
fn leave(memory: &mut Memory, left: Left) {
    match left.held {
        Held::Fresh => memory.outstanding.confirmed(left.key.message),
        Held::Claimed(claim) => {
            if memory.claims.get(&left.key) == Some(&claim) {
                memory.claims.remove(&left.key);
            }
        }
    }
    let endpoint = left.key.endpoint;
    if let Some(due_at) = left.due_at {
        memory.shared.wakes.note(endpoint, due_at);
    } else if left.held != Held::Fresh && memory.shared.routing.is_ordered(endpoint) {
        // It is the next one's turn (PROTOCOL rule 16).
        memory.shared.wakes.note(endpoint, left.at);
    }
}

const fn key_of(record: &Record) -> DeliveryKey {
    DeliveryKey {
        message: record.attempt.message,
        endpoint: record.attempt.endpoint,
        run: record.attempt.run,
    }
}

const INSERT: &str =
    "INSERT INTO attempt (id, message, endpoint, run, number, trigger, outcome, disposition, started_at,
                          duration_ms, status, url, response)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";

fn insert_attempt(batch: &mut Batch<'_>, id: AttemptId, record: &Record) -> Result<()> {
    let a = &record.attempt;
    batch.statement(Hot::InsertAttempt, INSERT)?.execute(params![
        id.0,
        a.message.0,
        a.endpoint.0,
        a.run,
        a.number,
        a.trigger.code(),
        a.outcome.code(),
        a.disposition.code(),
        a.started_at.0,
        a.duration_ms,
        a.status,
        a.url,
        &a.response[..],
    ])?;
    Ok(())
}

/// What an attempt means for its row. A row that was canceled meanwhile stays canceled (PROTOCOL rule 10); a first
/// failure never overwrites a row that is there.
fn settle(connection: &Connection, memory: &Memory, record: &Record) -> Result<()> {
    let key = key_of(record);
    match (record.held, record.next) {
        (Held::Fresh, Next::Retry(due_at)) => {
            put_row(connection, key, RowState::Pending, (due_at, record.attempt.number))
        }
        (Held::Fresh, Next::Succeeded | Next::Failed) => Ok(()),
        (Held::Claimed(claim), _) if memory.claims.get(&key) != Some(&claim) => Ok(()),
        (Held::Claimed(_), Next::Retry(due_at)) => {
            // Rule 14: the number is written as an absolute value.
            connection
                .prepare_cached(
                    "UPDATE delivery SET attempts = ?4, due_at = ?5
                     WHERE endpoint = ?1 AND message = ?2 AND run = ?3 AND state = 0",
                )?
                .execute(params![key.endpoint.0, key.message.0, key.run, record.attempt.number, due_at.0])?;
            Ok(())
        }
        (Held::Claimed(_), Next::Succeeded | Next::Failed) => {
            connection
                .prepare_cached(
                    "DELETE FROM delivery WHERE endpoint = ?1 AND message = ?2 AND run = ?3 AND state = 0",
                )?
                .execute(params![key.endpoint.0, key.message.0, key.run])?;
            Ok(())
        }
    }
}

fn put_row(
    connection: &Connection,
    key: DeliveryKey,
    state: RowState,
    (due_at, attempts): (Timestamp, u32),
) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO delivery (endpoint, message, run, state, due_at, attempts, trigger)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            key.endpoint.0,
            key.message.0,
            key.run,
            state.code(),
            due_at.0,
            attempts,
            Trigger::Message.code()
        ])?;
    Ok(())
}

fn add_run(
    connection: &Connection,
    (message, endpoint): (MessageId, EndpointKey),
    trigger: Trigger,
    now: Timestamp,
) -> Result<i64> {
    let run: i64 = connection
        .prepare_cached(
            "SELECT 1 + max(coalesce((SELECT max(run) FROM attempt WHERE endpoint = ?1 AND message = ?2), 0),
                            coalesce((SELECT max(run) FROM delivery WHERE endpoint = ?1 AND message = ?2), 0))",
        )?
        .query_row(params![endpoint.0, message.0], |row| row.get(0))?;
    connection
        .prepare_cached(
            "INSERT INTO delivery (endpoint, message, run, state, due_at, attempts, trigger)
             VALUES (?1, ?2, ?3, 0, ?4, 0, ?5)",
        )?
        .execute(params![endpoint.0, message.0, run, now.0, trigger.code()])?;
    Ok(run)
}

#[async_trait]
impl Deliveries for Sqlite {
    async fn claim(&self, wanted: Vec<(EndpointKey, u32)>, now: Timestamp) -> Result<Vec<Claims>> {
        self.writer.ask(|answer| Command::Claim(wanted, now, answer)).await
    }

    async fn record(&self, records: Arc<Vec<Record>>) -> Result<Vec<AttemptId>> {
        self.writer.ask(|answer| Command::Record(records, answer)).await
    }

    async fn park(&self, parked: Vec<Parked>) -> Result<()> {
        self.writer.ask(|answer| Command::Park(parked, answer)).await
    }

    async fn resend_to(
        &self,
        message: MessageId,
        mut endpoints: Vec<EndpointKey>,
        trigger: Trigger,
    ) -> Result<Vec<(EndpointKey, i64)>> {
        let now = self.clock.0.now();
        endpoints.sort_unstable();
        endpoints.dedup();
        let add = move |c: &Connection| {
            let run = |endpoint| Ok((endpoint, add_run(c, (message, endpoint), trigger, now)?));
            endpoints.into_iter().map(run).collect::<Result<Vec<_>>>()
        };
        self.writer
            .write(
                move |c, _| add(c),
                move |memory, runs| {
                    runs.iter().for_each(|(endpoint, _)| memory.shared.wakes.note(*endpoint, now))
                },
            )
            .await
    }

    async fn due_endpoints(&self, until: Timestamp) -> Result<Vec<(EndpointKey, Timestamp)>> {
        self.own_readers
            .read(move |c| {
                // A skip scan: one look into the index an endpoint, however many rows each has.
                let mut statement = c.prepare_cached(
                    "WITH RECURSIVE waiting (endpoint) AS (
                         SELECT min(endpoint) FROM delivery WHERE state = 0
                         UNION ALL
                         SELECT (SELECT min(d.endpoint) FROM delivery d WHERE d.state = 0 AND d.endpoint > waiting.endpoint)
                         FROM waiting WHERE waiting.endpoint IS NOT NULL)
                     SELECT endpoint, (SELECT min(due_at) FROM delivery d WHERE d.state = 0 AND d.endpoint = waiting.endpoint)
                     FROM waiting WHERE endpoint IS NOT NULL",
                )?;
                let found = collect(statement.query([])?, |row| Ok((EndpointKey(row.get(0)?), Timestamp(row.get(1)?))))?;
                Ok(found.into_iter().filter(|(_, due_at)| *due_at < until).collect())
            })
            .await
    }

    async fn waiting_since(&self, endpoints: Vec<EndpointKey>) -> Result<Vec<(EndpointKey, Timestamp)>> {
        let look = move |c: &Connection| {
            let mut oldest = c.prepare_cached(
                "SELECT due_at FROM delivery WHERE endpoint = ?1 AND state = 0 ORDER BY due_at LIMIT 1",
            )?;
            let mut found = Vec::new();
            for endpoint in endpoints {
                let due_at: Option<i64> = oldest.query_row([endpoint.0], |row| row.get(0)).optional()?;
                found.extend(due_at.map(|due_at| (endpoint, Timestamp(due_at))));
            }
            Ok(found)
        };
        self.readers.read(look).await
    }

    async fn waiting_count(&self, endpoint: EndpointKey) -> Result<u64> {
        let count = move |c: &Connection| {
            let rows: i64 = c
                .prepare_cached("SELECT count(*) FROM delivery WHERE endpoint = ?1 AND state = 0")?
                .query_row([endpoint.0], |row| row.get(0))?;
            Ok(rows.unsigned_abs())
        };
        self.readers.read(count).await
    }

    async fn backlog(&self) -> Result<(u64, Option<Timestamp>)> {
        let oldest =
            self.due_endpoints(Timestamp(i64::MAX)).await?.into_iter().map(|(_, due_at)| due_at).min();
        let rows = self
            .readers
            .read(|c| {
                let rows: i64 = c
                    .prepare_cached("SELECT count(*) FROM delivery WHERE state = 0")?
                    .query_row([], |row| row.get(0))?;
                Ok(rows.unsigned_abs())
            })
            .await?;
        Ok((rows, oldest))
    }
}
