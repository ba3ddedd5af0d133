//! Background tasks: one small step of each that runs, in turn.
//!
//! A step reads what comes next, and the store moves the task on and adds what it sends in one transaction. So a task goes on
//! after a restart, on any node, and sends nothing twice. Steps are small and have pauses between them: live traffic goes first.

use crate::operational;
use domain::clock::{Clock, Timestamp};
use domain::delivery::DeliveryState;
use domain::endpoint::Endpoint;
use domain::id::{MessageId, floor_of};
use domain::message::Message;
use domain::page::{From, Order, Page, Slice};
use domain::task::{Plan, ReplayState, Step, Task, TaskKind, TaskStatus};
use foldhash::HashSet;
use shape::{Event, Filter, Seen};
use std::sync::Arc;
use std::time::Duration;
use store::attempt::AttemptFilter;
use store::message::MessageFilter;
use store::{Store, StoreError};
use tokio_util::sync::CancellationToken;

/// Between two looks while nothing runs.
const IDLE: Duration = Duration::from_millis(500);
/// Between two rounds of steps: at most 5,000 messages a second are added for each task.
const BUSY: Duration = Duration::from_millis(20);
/// What one step looks at.
const STEP: u16 = 100;
/// Tasks that run at a time; others wait.
const TASKS_MAX: u32 = 16;
/// A task that another process has not moved for so long is taken over, in milliseconds.
const TAKEN_OVER_MS: i64 = 10_000;
/// Ids become visible in their order only roughly: a commit may be under way, and another node may not have heard yet that an
/// endpoint is enabled. What is younger than this is not looked at yet, in milliseconds.
const SETTLED_MS: i64 = 2_000;
/// An endpoint that seems not to be there, or to be disabled, may be so only here: another node has just made or enabled it.
const HEARD_MS: i64 = 5_000;

/// Runs until `stop`.
pub(crate) async fn run(store: Arc<dyn Store>, clock: Arc<dyn Clock>, stop: CancellationToken) {
    let mut mine = HashSet::default();
    loop {
        let is_busy = round(&store, clock.now(), &mut mine).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "background tasks stand still; trying again");
            false
        });
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(if is_busy { BUSY } else { IDLE }) => {}
        }
    }
}

/// One step of each task; answers whether there is more to do.
async fn round(
    store: &Arc<dyn Store>,
    now: Timestamp,
    mine: &mut HashSet<String>,
) -> Result<bool, StoreError> {
    let running = store.tasks_running(TASKS_MAX).await?;
    mine.retain(|id| running.iter().any(|task| task.id == *id));
    let mut is_busy = false;
    for task in running {
        let is_others = task.position != 0 && now.since(task.updated_at) < TAKEN_OVER_MS;
        if is_others && !mine.contains(&task.id) {
            continue;
        }
        // One that cannot go on now does not hold up the others.
        let stepped = match look(store, &task, now).await {
            Ok(None) => continue,
            Ok(Some(step)) => {
                let found = step.looked > 0;
                let is_end = step.status.0 != TaskStatus::Running;
                let notice = if is_end { operational::ended(&**store, &task, now) } else { None };
                store.task_step(&task, step, notice).await.map(|moved| (moved, found))
            }
            Err(error) => Err(error),
        };
        let (moved, found) = match stepped {
            Ok(moved) => moved,
            Err(error) => {
                tracing::warn!(%error, id = task.id, "a background task stands still; trying again");
                continue;
            }
        };
        match moved {
            Some(moved) => {
                // One that found nothing waits for time to pass.
                is_busy |= found && moved.status == TaskStatus::Running;
                if moved.status != TaskStatus::Running {
                    let (id, queued) = (moved.id.clone(), moved.queued);
                    tracing::info!(id, queued, error = moved.error, "a background task has ended");
                }
                mine.insert(task.id);
            }
            // Canceled, or another process was faster.
            None => drop(mine.remove(&task.id)),
        }
    }
    Ok(is_busy)
}

/// What a task's next step looked at.
struct Look {
    send: Vec<MessageId>,
    looked: u64,
    /// The last id; none when it was the last step.
    last: Option<i64>,
}

/// The next step; none when there is nothing to do yet.
async fn look(store: &Arc<dyn Store>, task: &Task, now: Timestamp) -> Result<Option<Step>, StoreError> {
    let route = store.routing().route(task.endpoint);
    let trouble = match &route {
        None => Some("the endpoint was deleted"),
        Some(route) if route.endpoint.fields.disabled => Some("the endpoint was disabled"),
        Some(_) => None,
    };
    let from = task.position;
    let (Some(route), None) = (route, trouble) else {
        if now.since(task.created_at) < HEARD_MS {
            return Ok(None);
        }
        let status = (TaskStatus::Failed, trouble.map(str::to_owned));
        return Ok(Some(Step { from, position: from, looked: 0, send: Vec::new(), status }));
    };
    // Messages of the window may have failed after it, up to when the task was asked for.
    let until = Timestamp(task.plan.until);
    let end = if task.kind == TaskKind::Recover { until.max(task.created_at) } else { until };
    let settled = now.plus_ms(-SETTLED_MS);
    let before = floor_of(end.min(settled));
    // Right below the window.
    let after = from.max(floor_of(Timestamp(task.plan.since)) - 1);
    let Look { send, looked, last } = match task.kind {
        TaskKind::Recover => {
            let found = store.recoverable(task, (after, before), u32::from(STEP)).await?;
            Look { send: found.messages, looked: found.looked, last: found.last }
        }
        TaskKind::Replay => missing(store, task, (after, before), (&route.endpoint, now)).await?,
        TaskKind::BulkReplay => filtered(store, task, (after, before), now).await?,
    };
    let is_over = last.is_none() && settled >= end;
    // What is below was looked at, whether or not there was anything.
    let position = last.unwrap_or_else(|| from.max(before - 1));
    if !is_over && position == from {
        return Ok(None);
    }
    let status = if is_over { TaskStatus::Finished } else { TaskStatus::Running };
    Ok(Some(Step { from, position, looked, send, status: (status, None) }))
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

/// Messages that the endpoint wants now and that were not for it when they were accepted.
async fn missing(
    store: &Arc<dyn Store>,
    task: &Task,
    (after, before): (i64, i64),
    (endpoint, now): (&Endpoint, Timestamp),
) -> Result<Look, StoreError> {
    let found = store.message_list(task.application, MessageFilter::default(), page(after)).await?;
    let (items, last) = below(found, before, |message| message.id.0);
    let predicate = endpoint.fields.options.filter.as_deref().map(Filter::parse);
    let mut send = Vec::new();
    for message in &items {
        let is_new = !message.endpoints.contains(&endpoint.key) && chooses(&task.plan, message, now);
        if is_new
            && endpoint.wants(&message.event_type, &message.channels)
            && holds(predicate.as_ref(), message)
        {
            send.push(message.id);
        }
        // A filter may take its time.
        tokio::task::yield_now().await;
    }
    Ok(Look { send, looked: items.len() as u64, last })
}

/// Whether there is something to send, and the endpoint's filter holds for it.
fn holds(filter: Option<&Result<Filter, String>>, message: &Message) -> bool {
    let Some(body) = message.body() else { return false };
    match filter {
        None => true,
        Some(Err(_)) => false,
        Some(Ok(filter)) => Seen::new(&Event::of(message, "", &body)).is_ok_and(|seen| filter.holds(&seen)),
    }
}

/// Messages of the endpoint that the plan's filter finds.
async fn filtered(
    store: &Arc<dyn Store>,
    task: &Task,
    (after, before): (i64, i64),
    now: Timestamp,
) -> Result<Look, StoreError> {
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
        if !chooses(&task.plan, &one.message, now) || !shown.shows(state, one.state) {
            continue;
        }
        if let Some(class) = task.plan.status_class
            && !answered(store, task, &one.message, class).await?
        {
            continue;
        }
        send.push(one.message.id);
    }
    Ok(Look { send, looked: items.len() as u64, last })
}

/// Whether the last answer to a message was of this class.
async fn answered(
    store: &Arc<dyn Store>,
    task: &Task,
    message: &Message,
    class: u16,
) -> Result<bool, StoreError> {
    let filter = AttemptFilter { endpoint: Some(task.endpoint), ..AttemptFilter::default() };
    let newest = Page::first(1, Order::Descending);
    let attempts = store.attempt_list_by_message(message, filter, newest).await?;
    Ok(attempts.items.first().is_some_and(|attempt| attempt.record.status / 100 * 100 == class))
}
