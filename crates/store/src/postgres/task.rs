//! Background tasks on PostgreSQL.

use super::Postgres;
use super::delivery::SKEW;
use super::notice::{as_json, told_with};
use super::query::Conditions;
use crate::error::{Result, StoreError};
use crate::task::{COLUMNS, Recoverable, Stored, TaskFilter, Tasks, plan_column, trigger_of};
use async_trait::async_trait;
use domain::attempt::Trigger;
use domain::id::EnvironmentKey;
use domain::notice::NewNotice;
use domain::page::{Page, Slice};
use domain::task::{Step, Task, TaskKind, TaskStatus};
use domain::word::Worded;
use tokio_postgres::Row;

fn read(row: &Row) -> Result<Task> {
    Stored {
        id: row.get(0),
        environment: row.get(1),
        application: row.get(2),
        endpoint: row.get(3),
        kind: row.get(4),
        plan: row.get(5),
        status: row.get(6),
        position: row.get(7),
        looked: row.get(8),
        queued: row.get(9),
        error: row.get(10),
        created_at: row.get(11),
        updated_at: row.get(12),
    }
    .read()
}

/// Whether the delivery that `of` names is at its end: undelivered, not waiting, without a later run, its payload there. One that
/// was canceled while its last attempt was under way has both a failed attempt and a row: the attempt stands for it.
fn at_its_end(of: &str) -> String {
    let stood_for =
        if of == "delivery" { "OR (other.run = delivery.run AND other.disposition = 2)" } else { "" };
    format!(
        "NOT EXISTS (SELECT FROM attempt AS other WHERE other.endpoint = {of}.endpoint AND other.message = {of}.message
                     AND other.id > {of}.message - $6 AND (other.disposition = 0 OR other.run > {of}.run {stood_for}))
         AND NOT EXISTS (SELECT FROM delivery AS waits WHERE waits.endpoint = {of}.endpoint AND waits.message = {of}.message
                         AND (waits.state = 0 OR waits.run > {of}.run))
         AND EXISTS (SELECT FROM message JOIN payload ON payload.day = message.payload_day AND payload.message = message.id
                     WHERE message.id = {of}.message)"
    )
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[async_trait]
impl Tasks for Postgres {
    async fn task_create(&self, task: Task) -> Result<()> {
        let sql = format!(
            "INSERT INTO task ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, 0, NULL, $9, $9)"
        );
        let values: &[super::readers::Parameter<'_>] = &[
            &task.id,
            &task.environment.0,
            &task.application.0,
            &task.endpoint.0,
            &task.kind.word(),
            &plan_column(&task),
            &task.status.word(),
            &task.position,
            &task.created_at.0,
        ];
        self.readers.execute(&sql, values).await.map(|_| ())
    }

    async fn task_get(&self, environment: EnvironmentKey, id: &str) -> Result<Task> {
        let sql = format!("SELECT {COLUMNS} FROM task WHERE id = $1 AND environment = $2");
        let row = self.readers.row(&sql, &[&id, &environment.0]).await?;
        row.as_ref().map_or(Err(StoreError::NotFound), read)
    }

    async fn task_list(
        &self,
        environment: EnvironmentKey,
        filter: TaskFilter,
        page: Page<String>,
    ) -> Result<Slice<Task>> {
        let mut conditions = Conditions::default();
        conditions.with("environment = ?", environment.0).page("id", &page);
        if let Some(application) = filter.application {
            conditions.with("application = ?", application.0);
        }
        if let Some(status) = filter.status {
            conditions.with("status = ?", status.word());
        }
        if let Some(kind) = filter.kind {
            conditions.with("kind = ?", kind.word());
        }
        let sql = format!("SELECT {COLUMNS} FROM task {}", conditions.tail("id", &page));
        let rows = self.readers.rows(&sql, &conditions.parameters()).await?;
        let found: Result<Vec<_>> = rows.iter().map(read).collect();
        Ok(page.slice(found?))
    }

    async fn recoverable(&self, task: &Task, (after, before): (i64, i64), limit: u32) -> Result<Recoverable> {
        let sql = format!(
            "SELECT id, message, good FROM (
                 (SELECT attempt.id, attempt.message, {} AS good FROM attempt
                  WHERE attempt.endpoint = $1 AND attempt.disposition = 2 AND attempt.trigger <> $5
                    AND attempt.id > $2 AND attempt.id < $3 ORDER BY attempt.id LIMIT $4)
                 UNION ALL
                 (SELECT delivery.message AS id, delivery.message, {} AS good FROM delivery
                  WHERE delivery.endpoint = $1 AND delivery.state = 1 AND delivery.trigger <> $5
                    AND delivery.message > $2 AND delivery.message < $3
                    -- One row a message, so that no page ends between two of them.
                    AND NOT EXISTS (SELECT FROM delivery AS later WHERE later.endpoint = delivery.endpoint
                                    AND later.message = delivery.message AND later.run > delivery.run)
                  ORDER BY delivery.message LIMIT $4)) AS ended
             ORDER BY id LIMIT $4",
            at_its_end("attempt"),
            at_its_end("delivery")
        );
        let test = i16::try_from(Trigger::Test.code()).unwrap_or_default();
        let values: &[super::readers::Parameter<'_>] =
            &[&task.endpoint.0, &after, &before, &i64::from(limit), &test, &SKEW];
        let rows = self.own_readers.rows(&sql, values).await?;
        let rows: Vec<_> = rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
        Ok(Recoverable::of(&rows, (task, limit)))
    }

    async fn tasks_running(&self, limit: u32) -> Result<Vec<Task>> {
        let sql = format!("SELECT {COLUMNS} FROM task WHERE status = 'running' ORDER BY updated_at LIMIT $1");
        self.own_readers.rows(&sql, &[&i64::from(limit)]).await?.iter().map(read).collect()
    }

    async fn task_step(&self, task: &Task, step: Step, told: Option<NewNotice>) -> Result<Option<Task>> {
        let now = self.node.now();
        let (status, error) = &step.status;
        // A run that somebody else takes at the same moment is sent anyway.
        let sql = format!(
            "WITH sent AS MATERIALIZED (
                 SELECT message, (SELECT max(run) FROM attempt WHERE endpoint = $11 AND message = asked.message
                                                                 AND id > asked.message - $10) AS attempted,
                        (SELECT max(run) FROM delivery WHERE endpoint = $11 AND message = asked.message) AS waiting
                 FROM unnest($8::bigint[]) AS asked (message)),
             fresh AS MATERIALIZED (
                 SELECT message, 1 + greatest(attempted, waiting, 0) AS run FROM sent
                 WHERE NOT $12 OR (attempted IS NULL AND waiting IS NULL)),
             moved AS (
                 UPDATE task SET position = $3, looked = looked + $4, status = $5, error = $6, updated_at = $7,
                        queued = queued + (SELECT count(*) FROM fresh)
                 WHERE id = $1 AND position = $2 AND status = 'running' RETURNING {COLUMNS}),
             put AS (
                 INSERT INTO delivery (endpoint, message, run, state, due_at, attempts, trigger)
                 SELECT moved.endpoint, fresh.message, fresh.run, 0, moved.created_at, 0, $9
                 FROM moved, fresh ORDER BY fresh.message
                 ON CONFLICT DO NOTHING),
             ended AS (SELECT endpoint AS key FROM moved){}
             SELECT {COLUMNS} FROM moved",
            told_with(13, "ended")
        );
        let mut send: Vec<i64> = step.send.iter().map(|message| message.0).collect();
        send.sort_unstable();
        let trigger = i16::try_from(trigger_of(task.kind).code()).unwrap_or_default();
        let values: &[super::readers::Parameter<'_>] = &[
            &task.id,
            &step.from,
            &step.position,
            &count(step.looked),
            &status.word(),
            error,
            &now.0,
            &send,
            &trigger,
            &SKEW,
            &task.endpoint.0,
            &(task.kind == TaskKind::Replay),
            &as_json(told.as_slice()),
        ];
        let moved = self.own_readers.row(&sql, values).await?.as_ref().map(read).transpose()?;
        self.node.shared.wakes.note(task.endpoint, now);
        Ok(moved)
    }

    async fn task_cancel(&self, task: &Task, reason: &str, told: Option<NewNotice>) -> Result<Task> {
        let sql = format!(
            "WITH canceled AS (
                 UPDATE task SET status = $3, error = $4, updated_at = $5
                 WHERE id = $1 AND environment = $2 AND status = 'running' RETURNING endpoint AS key){}
             SELECT key FROM canceled",
            told_with(6, "canceled")
        );
        let values: &[super::readers::Parameter<'_>] = &[
            &task.id,
            &task.environment.0,
            &TaskStatus::Failed.word(),
            &reason,
            &self.node.now().0,
            &as_json(told.as_slice()),
        ];
        self.readers.execute(&sql, values).await?;
        self.task_get(task.environment, &task.id).await
    }
}
