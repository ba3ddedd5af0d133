//! Background tasks: one small step of each that runs, in turn.
//!
//! A step reads what comes next, and the store moves the task on and adds what it sends in one transaction. So a task goes on
//! after a restart, on any node, and sends nothing twice. Steps are small and have pauses between them: live traffic goes first.

use domain::clock::{Clock, Timestamp};
use domain::delivery::DeliveryState;
use domain::endpoint::Endpoint;
use domain::id::{MessageId, floor_of};
use domain::message::Message;
use domain::page::{From, Order, Page};
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
        let step = look(store, &task).await?;
        match store.task_step(&task, step).await? {
            Some(moved) => {
                is_busy |= moved.status == TaskStatus::Running;
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

async fn look(store: &Arc<dyn Store>, task: &Task) -> Result<Step, StoreError> {
    let route = store.routing().route(task.endpoint);
    let trouble = match &route {
        None => Some("the endpoint was deleted"),
        Some(route) if route.endpoint.fields.disabled => Some("the endpoint was disabled"),
        Some(_) => None,
    };
    let (Some(route), None) = (route, trouble) else {
        let error = trouble.map(str::to_owned);
        let status = (TaskStatus::Failed, error);
        return Ok(Step {
            from: task.position,
            position: task.position,
            looked: 0,
            send: Vec::new(),
            status,
        });
    };
    // Right below the window.
    let after = task.position.max(floor_of(Timestamp(task.plan.since)) - 1);
    let Look { send, looked, last } = match task.kind {
        TaskKind::Recover => {
            let found = store.recoverable(task, after, u32::from(STEP)).await?;
            Look { send: found.messages, looked: found.looked, last: found.last }
        }
        TaskKind::Replay => missing(store, task, (&route.endpoint, after)).await?,
        TaskKind::BulkReplay => filtered(store, task, after).await?,
    };
    let status = if last.is_some() { TaskStatus::Running } else { TaskStatus::Finished };
    let position = last.unwrap_or(task.position);
    Ok(Step { from: task.position, position, looked, send, status: (status, None) })
}

fn page(after: i64) -> Page<MessageId> {
    Page { items: STEP, order: Order::Ascending, from: From::After(MessageId(after)) }
}

/// Messages that the endpoint wants now and that were not for it when they were accepted.
async fn missing(
    store: &Arc<dyn Store>,
    task: &Task,
    (endpoint, after): (&Endpoint, i64),
) -> Result<Look, StoreError> {
    let filter = MessageFilter {
        before: Some(Timestamp(task.plan.until)),
        event_types: task.plan.event_types.clone(),
        channel: task.plan.channel.clone(),
        tag: task.plan.tag.clone(),
        ..MessageFilter::default()
    };
    let found = store.message_list(task.application, filter, page(after)).await?;
    let predicate = endpoint.fields.options.filter.as_deref().map(Filter::parse);
    let mut send = Vec::new();
    for message in &found.items {
        let is_new = !message.endpoints.contains(&endpoint.key);
        if is_new
            && endpoint.wants(&message.event_type, &message.channels)
            && holds(predicate.as_ref(), message)
        {
            send.push(message.id);
        }
        // A filter may take its time.
        tokio::task::yield_now().await;
    }
    let last = found.items.last().filter(|_| !found.done).map(|message| message.id.0);
    Ok(Look { send, looked: found.items.len() as u64, last })
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
async fn filtered(store: &Arc<dyn Store>, task: &Task, after: i64) -> Result<Look, StoreError> {
    let Plan { until, event_types, channel, tag, state, status_class, .. } = &task.plan;
    let state = state.map(|state| match state {
        ReplayState::Succeeded => DeliveryState::Succeeded,
        ReplayState::Pending => DeliveryState::Pending,
        ReplayState::Failed => DeliveryState::Failed,
        ReplayState::Sending => DeliveryState::Sending,
        ReplayState::Canceled => DeliveryState::Canceled,
    });
    let filter = AttemptFilter {
        before: Some(Timestamp(*until)),
        event_types: event_types.clone(),
        channel: channel.clone(),
        tag: tag.clone(),
        ..AttemptFilter::default()
    };
    // By state they would come in the order in which they reached it, which what is sent again changes.
    let found = store.messages_of_endpoint(task.endpoint, None, filter, page(after)).await?;
    let shown = AttemptFilter { canceled_too: true, ..AttemptFilter::default() };
    let mut send = Vec::new();
    for one in &found.items {
        if one.message.body().is_none() || !shown.shows(state, one.state) {
            continue;
        }
        if let Some(class) = status_class
            && !answered(store, task, &one.message, *class).await?
        {
            continue;
        }
        send.push(one.message.id);
    }
    let last = found.items.last().filter(|_| !found.done).map(|one| one.message.id.0);
    Ok(Look { send, looked: found.items.len() as u64, last })
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
