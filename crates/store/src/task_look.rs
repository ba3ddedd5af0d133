//! What a task's next step looks at, read over the contract: by who makes the step, and by who only counts what it would send.

use crate::Store;
use crate::attempt::AttemptFilter;
use crate::error::Result;
use crate::message::MessageFilter;
use domain::clock::Timestamp;
use domain::delivery::DeliveryState;
use domain::endpoint::Endpoint;
use domain::id::{MessageId, floor_of};
use domain::message::Message;
use domain::page::{From, Order, Page, Slice};
use domain::task::{Plan, ReplayState, Step, Task, TaskKind, TaskStatus};

/// What one step looks at.
const STEP: u16 = 100;

/// A step before it is made.
#[derive(Clone, Copy)]
pub struct Look<'a> {
    /// The task, as far as it has come.
    pub task: &'a Task,
    /// Its endpoint.
    pub endpoint: &'a Endpoint,
    /// The present.
    pub now: Timestamp,
    /// What is younger than this is not looked at yet.
    pub settled: Timestamp,
    /// Whether the endpoint's filter holds for a message.
    pub holds: &'a (dyn Fn(&Message) -> bool + Sync),
}

/// What a page brought.
struct Found {
    send: Vec<MessageId>,
    looked: u64,
    /// The last id; none when it was the last page.
    last: Option<i64>,
}

impl Look<'_> {
    /// The step; none when there is nothing to do yet. Nothing is changed.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn next(&self, store: &dyn Store) -> Result<Option<Step>> {
        let task = self.task;
        let from = task.position;
        // Messages of the window may have failed after it, up to when the task was asked for.
        let until = Timestamp(task.plan.until);
        let end = if task.kind == TaskKind::Recover { until.max(task.created_at) } else { until };
        let before = floor_of(end.min(self.settled));
        // Right below the window.
        let after = from.max(floor_of(Timestamp(task.plan.since)) - 1);
        let Found { send, looked, last } = match task.kind {
            TaskKind::Recover => {
                let found = store.recoverable(task, (after, before), u32::from(STEP)).await?;
                Found { send: found.messages, looked: found.looked, last: found.last }
            }
            TaskKind::Replay => self.missing(store, (after, before)).await?,
            TaskKind::BulkReplay => self.filtered(store, (after, before)).await?,
        };
        let is_over = last.is_none() && self.settled >= end;
        // What is below was looked at, whether or not there was anything.
        let position = last.unwrap_or_else(|| from.max(before - 1));
        if !is_over && position == from {
            return Ok(None);
        }
        let status = if is_over { TaskStatus::Finished } else { TaskStatus::Running };
        Ok(Some(Step { from, position, looked, send, status: (status, None) }))
    }

    /// Messages that the endpoint wants now and that were not for it when they were accepted.
    async fn missing(&self, store: &dyn Store, (after, before): (i64, i64)) -> Result<Found> {
        let (task, endpoint) = (self.task, self.endpoint);
        let found = store.message_list(task.application, MessageFilter::default(), page(after)).await?;
        let (items, last) = below(found, before, |message| message.id.0);
        let mut send = Vec::new();
        for message in &items {
            let is_new = !message.endpoints.contains(&endpoint.key) && chooses(&task.plan, message, self.now);
            if is_new && endpoint.wants(&message.event_type, &message.channels) && (self.holds)(message) {
                send.push(message.id);
            }
            // A filter may take its time.
            tokio::task::yield_now().await;
        }
        Ok(Found { send, looked: items.len() as u64, last })
    }

    /// Messages of the endpoint that the plan's filter finds.
    async fn filtered(&self, store: &dyn Store, (after, before): (i64, i64)) -> Result<Found> {
        let task = self.task;
        let state = task.plan.state.map(|state| match state {
            ReplayState::Succeeded => DeliveryState::Succeeded,
            ReplayState::Pending => DeliveryState::Pending,
            ReplayState::Failed => DeliveryState::Failed,
            ReplayState::Sending => DeliveryState::Sending,
            ReplayState::Canceled => DeliveryState::Canceled,
        });
        // By state they would come in the order in which they reached it, which what is sent again changes.
        let all = AttemptFilter::default();
        let found = store.messages_of_endpoint(task.endpoint, None, all, page(after)).await?;
        let (items, last) = below(found, before, |one| one.message.id.0);
        let shown = AttemptFilter { canceled_too: true, ..AttemptFilter::default() };
        let mut send = Vec::new();
        for one in &items {
            if !chooses(&task.plan, &one.message, self.now) || !shown.shows(state, one.state) {
                continue;
            }
            if let Some(class) = task.plan.status_class
                && !answered(store, task, &one.message, class).await?
            {
                continue;
            }
            send.push(one.message.id);
        }
        Ok(Found { send, looked: items.len() as u64, last })
    }
}

/// The items of a page below `before`, and the last id that was looked at; none when there are no more.
fn below<T>(found: Slice<T>, before: i64, id: impl Fn(&T) -> i64) -> (Vec<T>, Option<i64>) {
    let mut items = found.items;
    let all = items.len();
    items.retain(|item| id(item) < before);
    let last = items.last().map(&id).filter(|_| !found.done && items.len() == all);
    (items, last)
}

/// Whether the plan's labels choose this message, and there is something of it to send now. Asked here and not in the list: a list
/// goes on until its page is full, and a step must come to its end.
fn chooses(plan: &Plan, message: &Message, now: Timestamp) -> bool {
    let has = |wanted: &Option<String>, labels: &[String]| {
        wanted.as_ref().is_none_or(|wanted| labels.contains(wanted))
    };
    let is_due = message.deliver_at.is_none_or(|at| at <= now);
    (plan.event_types.is_empty() || plan.event_types.contains(&message.event_type))
        && has(&plan.channel, &message.channels)
        && has(&plan.tag, &message.tags)
        && is_due
        && message.body().is_some()
}

fn page(after: i64) -> Page<MessageId> {
    Page { items: STEP, order: Order::Ascending, from: From::After(MessageId(after)) }
}

/// Whether the last answer to a message was of this class.
async fn answered(store: &dyn Store, task: &Task, message: &Message, class: u16) -> Result<bool> {
    let filter = AttemptFilter { endpoint: Some(task.endpoint), ..AttemptFilter::default() };
    let newest = Page::first(1, Order::Descending);
    let attempts = store.attempt_list_by_message(message, filter, newest).await?;
    Ok(attempts.items.first().is_some_and(|attempt| attempt.record.status / 100 * 100 == class))
}
