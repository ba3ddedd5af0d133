//! Background tasks: one small step of each that runs, in turn.
//!
//! A step reads what comes next (`store/src/task_look.rs`), and the store moves the task on and adds what it sends in one
//! transaction. So a task goes on after a restart, on any node, and sends nothing twice. Steps are small and have pauses
//! between them: live traffic goes first.

use crate::operational;
use domain::clock::{Clock, Timestamp};
use domain::task::{Step, Task, TaskStatus};
use foldhash::HashSet;
use std::sync::Arc;
use std::time::Duration;
use store::task_look::Look;
use store::{Store, StoreError};
use tokio_util::sync::CancellationToken;

/// Between two looks while nothing runs.
const IDLE: Duration = Duration::from_millis(500);
/// Between two rounds of steps: at most 5,000 messages a second are added for each task.
const BUSY: Duration = Duration::from_millis(20);
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

/// The next step; none when there is nothing to do yet.
async fn look(store: &Arc<dyn Store>, task: &Task, now: Timestamp) -> Result<Option<Step>, StoreError> {
    let route = store.routing().route(task.endpoint);
    let trouble = match &route {
        None => Some("the endpoint was deleted"),
        Some(route) if route.endpoint.fields.disabled => Some("the endpoint was disabled"),
        Some(_) => None,
    };
    let (Some(route), None) = (route, trouble) else {
        if now.since(task.created_at) < HEARD_MS {
            return Ok(None);
        }
        let (from, status) = (task.position, (TaskStatus::Failed, trouble.map(str::to_owned)));
        return Ok(Some(Step { from, position: from, looked: 0, send: Vec::new(), status }));
    };
    let holds = shape::asking(route.endpoint.fields.options.filter.as_deref());
    let settled = now.plus_ms(-SETTLED_MS);
    Look { task, endpoint: &route.endpoint, now, settled, holds: &holds }.next(&**store).await
}
