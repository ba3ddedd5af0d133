//! What a background task would send, counted before it is begun: by the very reads of its steps, and nothing is changed.

use crate::App;
use crate::error::Result;
use crate::principal::{Place, Right};
use crate::task::{Recovery, Wanted};
use domain::clock::Timestamp;
use domain::endpoint::Endpoint;
use domain::id::{EndpointKey, MessageId};
use domain::limit::MESSAGES_COUNTED_MAX;
use domain::page::{From, Order, Page};
use domain::task::{Task, TaskKind, TaskStatus};
use std::time::Duration;
use store::task_look::Look;
use tokio::time::Instant;

/// How long one count may take: large payloads are read for filters, and somebody waits.
const TIME_MAX: Duration = Duration::from_secs(5);

/// How much a task would send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// Messages, each once.
    pub messages: u64,
    /// Whether all was looked at; otherwise there may be more.
    pub is_complete: bool,
}

impl App {
    /// Counts what [`App::task_begin`] would send.
    ///
    /// # Errors
    /// The same, but for the limit of tasks that run.
    pub async fn task_count(&self, at: Place<'_>, wanted: Wanted) -> Result<Count> {
        let (endpoint, task) = self.task_planned(at, wanted).await?;
        self.count(&endpoint, task).await
    }

    /// Counts what [`App::endpoint_enable`] would send.
    ///
    /// # Errors
    /// The same, but for the limit of tasks that run.
    pub async fn endpoint_enable_count(&self, at: Place<'_>, recovery: Recovery) -> Result<Count> {
        let endpoint = self.endpoint_of(at, Right::Manage).await?;
        match recovery.since(self.now())? {
            None => Ok(Count { messages: 0, is_complete: true }),
            Some(since) => self.count(&endpoint, self.recovery_of(at.principal, &endpoint, since)).await,
        }
    }

    /// Goes through the task's steps, which are made nowhere.
    async fn count(&self, endpoint: &Endpoint, mut task: Task) -> Result<Count> {
        let (now, begun) = (self.now(), Instant::now());
        let holds = shape::asking(endpoint.fields.options.filter.as_deref());
        loop {
            // What has not settled yet is counted too: the task will come to it.
            let look = Look { task: &task, endpoint, now, settled: Timestamp(i64::MAX), holds: &holds };
            let Some(step) = look.next(&**self.store()).await? else { break };
            task.queued += self.not_sent_before(&task, step.send).await?;
            task.position = step.position;
            task.looked += step.looked;
            if step.status.0 != TaskStatus::Running {
                break;
            }
            if task.looked >= MESSAGES_COUNTED_MAX || begun.elapsed() > TIME_MAX {
                return Ok(Count { messages: task.queued, is_complete: false });
            }
        }
        Ok(Count { messages: task.queued, is_complete: true })
    }

    /// How many of them no earlier replay has sent: a step finds that out when it adds its rows.
    async fn not_sent_before(&self, task: &Task, found: Vec<MessageId>) -> Result<u64> {
        if task.kind != TaskKind::Replay {
            return Ok(found.len() as u64);
        }
        let right_before = || From::After(EndpointKey(task.endpoint.0 - 1));
        let mut left = 0;
        for message in self.store().messages_load(found).await? {
            let page = Page { items: 1, order: Order::Ascending, from: right_before() };
            let there = self.store().endpoints_of_message(&message, page).await?.items;
            if there.first().is_none_or(|one| one.endpoint != task.endpoint) {
                left += 1;
            }
        }
        Ok(left)
    }
}
