//! Contract: background tasks. A step moves the task on and adds what it sends in one transaction, so that a task that is cut
//! short, or taken over by another process, sends nothing twice.

use crate::error::{Result, StoreError};
use async_trait::async_trait;
use domain::attempt::Trigger;
use domain::clock::Timestamp;
use domain::id::{ApplicationKey, EndpointKey, EnvironmentKey, MessageId};
use domain::notice::NewNotice;
use domain::page::{Page, Slice};
use domain::task::{Step, Task, TaskKind, TaskStatus};
use domain::word::Worded;

/// Which tasks a list shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskFilter {
    /// Only of this application.
    pub application: Option<ApplicationKey>,
    /// Only with this status.
    pub status: Option<TaskStatus>,
    /// Only of this kind.
    pub kind: Option<TaskKind>,
}

/// What one look found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recoverable {
    /// The messages.
    pub messages: Vec<MessageId>,
    /// Deliveries that were looked at.
    pub looked: u64,
    /// The last id; none when there are no more.
    pub last: Option<i64>,
}

impl Recoverable {
    /// What rows of (id, message, whether it is to be sent) say, in their order.
    pub(crate) fn of(rows: &[(i64, i64, bool)], (task, limit): (&Task, u32)) -> Self {
        let messages = rows.iter().filter(|(_, _, is_good)| *is_good).map(|(_, id, _)| MessageId(*id));
        let messages = messages.filter(|id| task.plan.covers(*id)).collect();
        let last = rows.last().filter(|_| rows.len() >= limit as usize).map(|(id, _, _)| *id);
        Self { messages, looked: rows.len() as u64, last }
    }
}

/// What the store does with background tasks.
#[async_trait]
pub trait Tasks: Send + Sync {
    /// Keeps a new one.
    async fn task_create(&self, task: Task) -> Result<()>;
    /// The environment's task of this id.
    async fn task_get(&self, environment: EnvironmentKey, id: &str) -> Result<Task>;
    /// A page of an environment's tasks, by id.
    async fn task_list(
        &self,
        environment: EnvironmentKey,
        filter: TaskFilter,
        page: Page<String>,
    ) -> Result<Slice<Task>>;
    /// Looks through up to `limit` deliveries of the endpoint that failed or were canceled under ids between `after` and `before`,
    /// both left out, in their order. Answers which of their messages are to be sent: those of the plan's window
    /// that were not delivered, do not wait, and still have their payload.
    async fn recoverable(&self, task: &Task, between: (i64, i64), limit: u32) -> Result<Recoverable>;
    /// Up to so many tasks that are running, those first that have waited longest for a step.
    async fn tasks_running(&self, limit: u32) -> Result<Vec<Task>>;
    /// Makes a step: what it sends is due as of when the task was asked for, each as a run of its own (PROTOCOL rule 13). Answers
    /// the task after it; none when it does not run any more, or another process made this step. `notice` is written with it.
    async fn task_step(&self, task: &Task, step: Step, notice: Option<NewNotice>) -> Result<Option<Task>>;
    /// Ends this task if it runs, for this reason; answers it as it is now. `notice` is written with it. `NotFound`.
    async fn task_cancel(&self, task: &Task, reason: &str, notice: Option<NewNotice>) -> Result<Task>;
}

/// Why a task's messages are sent.
pub(crate) const fn trigger_of(kind: TaskKind) -> Trigger {
    match kind {
        TaskKind::Recover => Trigger::Recovery,
        TaskKind::Replay | TaskKind::BulkReplay => Trigger::Replay,
    }
}

/// The columns of a task.
pub(crate) const COLUMNS: &str = "id, environment, application, endpoint, kind, plan, status, position, looked, queued, error, created_at, updated_at";

/// A task as it is stored.
pub(crate) struct Stored {
    pub(crate) id: String,
    pub(crate) environment: i64,
    pub(crate) application: i64,
    pub(crate) endpoint: i64,
    pub(crate) kind: String,
    pub(crate) plan: String,
    pub(crate) status: String,
    pub(crate) position: i64,
    pub(crate) looked: i64,
    pub(crate) queued: i64,
    pub(crate) error: Option<String>,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
}

impl Stored {
    pub(crate) fn read(self) -> Result<Task> {
        let broken = |what: String| StoreError::Broken(format!("a stored task does not read back: {what}"));
        Ok(Task {
            environment: EnvironmentKey(self.environment),
            application: ApplicationKey(self.application),
            endpoint: EndpointKey(self.endpoint),
            kind: TaskKind::from_word(&self.kind).ok_or_else(|| broken(self.kind.clone()))?,
            plan: serde_json::from_str(&self.plan).map_err(|error| broken(error.to_string()))?,
            status: TaskStatus::from_word(&self.status).ok_or_else(|| broken(self.status.clone()))?,
            position: self.position,
            looked: self.looked.unsigned_abs(),
            queued: self.queued.unsigned_abs(),
            error: self.error,
            created_at: Timestamp(self.created_at),
            updated_at: Timestamp(self.updated_at),
            id: self.id,
        })
    }
}

/// A task's plan as it is stored.
pub(crate) fn plan_column(task: &Task) -> String {
    serde_json::to_string(&task.plan).unwrap_or_default()
}
