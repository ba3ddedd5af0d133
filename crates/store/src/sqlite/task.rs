//! Background tasks on SQLite.

use super::query::Conditions;
use super::row::collect;
use super::{Sqlite, notice};
use crate::error::{Result, StoreError};
use crate::task::{COLUMNS, Recoverable, Stored, TaskFilter, Tasks, plan_column, trigger_of};
use async_trait::async_trait;
use domain::attempt::Trigger;
use domain::clock::Timestamp;
use domain::id::EnvironmentKey;
use domain::notice::NewNotice;
use domain::page::{Page, Slice};
use domain::task::{Step, Task, TaskKind, TaskStatus};
use domain::word::Worded;
use rusqlite::{Connection, Row, params, params_from_iter};

fn read(row: &Row<'_>) -> Result<Task> {
    Stored {
        id: row.get(0)?,
        environment: row.get(1)?,
        application: row.get(2)?,
        endpoint: row.get(3)?,
        kind: row.get(4)?,
        plan: row.get(5)?,
        status: row.get(6)?,
        position: row.get(7)?,
        looked: row.get(8)?,
        queued: row.get(9)?,
        error: row.get(10)?,
        created_at: row.get(11)?,
        updated_at: row.get(12)?,
    }
    .read()
}

/// Whether the delivery that `of` names is at its end: undelivered, not waiting, without a later run, its payload there. One that
/// was canceled while its last attempt was under way has both a failed attempt and a row: the attempt stands for it.
fn at_its_end(of: &str) -> String {
    let stood_for =
        if of == "delivery" { "OR (other.run = delivery.run AND other.disposition = 2)" } else { "" };
    format!(
        "NOT EXISTS (SELECT 1 FROM attempt AS other WHERE other.endpoint = {of}.endpoint AND other.message = {of}.message
                     AND (other.disposition = 0 OR other.run > {of}.run {stood_for}))
         AND NOT EXISTS (SELECT 1 FROM delivery AS row WHERE row.endpoint = {of}.endpoint AND row.message = {of}.message
                         AND (row.state = 0 OR row.run > {of}.run))
         AND EXISTS (SELECT 1 FROM message WHERE message.id = {of}.message AND message.payload IS NOT NULL)"
    )
}

fn recoverable(
    c: &Connection,
    task: &Task,
    (after, before): (i64, i64),
    limit: u32,
) -> Result<Vec<(i64, i64, bool)>> {
    let sql = format!(
        "SELECT id, message, good FROM (
             SELECT * FROM (
                 SELECT attempt.id, attempt.message, {} AS good FROM attempt INDEXED BY attempt_by_disposition
                 WHERE attempt.endpoint = ?1 AND attempt.disposition = 2 AND attempt.trigger <> ?5
                   AND attempt.id > ?2 AND attempt.id < ?3 ORDER BY attempt.id LIMIT ?4)
             UNION ALL
             SELECT * FROM (
                 SELECT delivery.message AS id, delivery.message, {} AS good FROM delivery
                 WHERE delivery.endpoint = ?1 AND delivery.state = 1 AND delivery.trigger <> ?5
                   AND delivery.message > ?2 AND delivery.message < ?3
                   -- One row a message, so that no page ends between two of them.
                   AND NOT EXISTS (SELECT 1 FROM delivery AS later WHERE later.endpoint = delivery.endpoint
                                   AND later.message = delivery.message AND later.run > delivery.run)
                 ORDER BY delivery.message LIMIT ?4))
         LIMIT 2 * ?4",
        at_its_end("attempt"),
        at_its_end("delivery")
    );
    let test = Trigger::Test.code();
    let mut statement = c.prepare_cached(&sql)?;
    let rows = statement.query(params![task.endpoint.0, after, before, limit, test])?;
    let mut found = collect(rows, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    found.sort_unstable();
    found.truncate(limit as usize);
    Ok(found)
}

fn step(
    c: &Connection,
    (task, step): (&Task, &Step),
    told: Option<&NewNotice>,
    now: Timestamp,
) -> Result<Option<Task>> {
    let (status, error) = &step.status;
    let moved = c
        .prepare_cached(
            "UPDATE task SET position = ?3, looked = looked + ?4, status = ?5, error = ?6, updated_at = ?7
             WHERE id = ?1 AND position = ?2 AND status = 'running'",
        )?
        .execute(params![
            task.id,
            step.from,
            step.position,
            count(step.looked),
            status.word(),
            error,
            now.0
        ])?;
    if moved == 0 {
        return Ok(None);
    }
    let (trigger, never_before) = (trigger_of(task.kind).code(), task.kind == TaskKind::Replay);
    let mut queued = 0;
    for message in &step.send {
        queued += c
            .prepare_cached(
                "INSERT INTO delivery (endpoint, message, run, state, due_at, attempts, trigger)
                 SELECT ?1, ?2, 1 + max(coalesce(attempted, 0), coalesce(waiting, 0)), 0, ?3, 0, ?4
                 FROM (SELECT (SELECT max(run) FROM attempt WHERE endpoint = ?1 AND message = ?2) AS attempted,
                              (SELECT max(run) FROM delivery WHERE endpoint = ?1 AND message = ?2) AS waiting)
                 WHERE NOT ?5 OR (attempted IS NULL AND waiting IS NULL)",
            )?
            .execute(params![task.endpoint.0, message.0, task.created_at.0, trigger, never_before])?;
    }
    c.prepare_cached("UPDATE task SET queued = queued + ?2 WHERE id = ?1")?
        .execute(params![task.id, count(queued as u64)])?;
    told.iter().try_for_each(|told| notice::add(c, told))?;
    find(c, task.environment, &task.id).map(Some)
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn find(c: &Connection, environment: EnvironmentKey, id: &str) -> Result<Task> {
    let sql = format!("SELECT {COLUMNS} FROM task WHERE id = ?1 AND environment = ?2");
    let mut statement = c.prepare_cached(&sql)?;
    statement.query(params![id, environment.0])?.next()?.map_or(Err(StoreError::NotFound), read)
}

#[async_trait]
impl Tasks for Sqlite {
    async fn task_create(&self, task: Task) -> Result<()> {
        let create = move |c: &Connection| {
            c.prepare_cached(&format!(
                "INSERT INTO task ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, 0, NULL, ?9, ?9)"
            ))?
            .execute(params![
                task.id,
                task.environment.0,
                task.application.0,
                task.endpoint.0,
                task.kind.word(),
                plan_column(&task),
                task.status.word(),
                task.position,
                task.created_at.0
            ])?;
            Ok(())
        };
        self.writer.write(move |c, _| create(c), |_, ()| {}).await
    }

    async fn task_get(&self, environment: EnvironmentKey, id: &str) -> Result<Task> {
        let id = id.to_owned();
        self.readers.read(move |c| find(c, environment, &id)).await
    }

    async fn task_list(
        &self,
        environment: EnvironmentKey,
        filter: TaskFilter,
        page: Page<String>,
    ) -> Result<Slice<Task>> {
        let list = move |c: &Connection| {
            let mut conditions = Conditions::default();
            conditions.with("environment = ?", environment.0).page("id", &page);
            if let Some(application) = filter.application {
                conditions.with("application = ?", application.0);
            }
            if let Some(status) = filter.status {
                conditions.with("status = ?", status.word().to_owned());
            }
            if let Some(kind) = filter.kind {
                conditions.with("kind = ?", kind.word().to_owned());
            }
            let sql = format!("SELECT {COLUMNS} FROM task {}", conditions.tail("id", &page));
            let mut statement = c.prepare_cached(&sql)?;
            Ok(page.slice(collect(statement.query(params_from_iter(&conditions.values))?, read)?))
        };
        self.readers.read(list).await
    }

    async fn recoverable(&self, task: &Task, between: (i64, i64), limit: u32) -> Result<Recoverable> {
        let asked = task.clone();
        let rows = self.own_readers.read(move |c| recoverable(c, &asked, between, limit)).await?;
        Ok(Recoverable::of(&rows, (task, limit)))
    }

    async fn tasks_running(&self, limit: u32) -> Result<Vec<Task>> {
        let list = move |c: &Connection| {
            let sql =
                format!("SELECT {COLUMNS} FROM task WHERE status = 'running' ORDER BY updated_at LIMIT ?1");
            collect(c.prepare_cached(&sql)?.query([limit])?, read)
        };
        self.own_readers.read(list).await
    }

    async fn task_step(&self, task: &Task, one: Step, told: Option<NewNotice>) -> Result<Option<Task>> {
        let (task, now, endpoint) = (task.clone(), self.clock.0.now(), task.endpoint);
        self.writer
            .write(
                move |c, _| step(c, (&task, &one), told.as_ref(), now),
                move |memory, _| memory.shared.wakes.note(endpoint, now),
            )
            .await
    }

    async fn task_cancel(&self, task: &Task, reason: &str, told: Option<NewNotice>) -> Result<Task> {
        let (id, environment) = (task.id.clone(), task.environment);
        let (reason, now) = (reason.to_owned(), self.clock.0.now());
        let cancel = move |c: &Connection| {
            let canceled = c
                .prepare_cached(
                    "UPDATE task SET status = ?3, error = ?4, updated_at = ?5
                     WHERE id = ?1 AND environment = ?2 AND status = 'running'",
                )?
                .execute(params![id, environment.0, TaskStatus::Failed.word(), reason, now.0])?;
            if canceled > 0 {
                told.iter().try_for_each(|told| notice::add(c, told))?;
            }
            find(c, environment, &id)
        };
        self.writer.write(move |c, _| cancel(c), |_, _| {}).await
    }
}
