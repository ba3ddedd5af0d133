//! Background tasks: what failed, what was missed, or what a filter finds is sent to an endpoint again.

use crate::App;
use crate::audit::Deed;
use crate::delivery::refuse_disabled;
use crate::error::{AppError, Problems, Result};
use crate::principal::{Place, Principal, Right, Scope};
use crate::window::{DAY_MS, SLACK_MS};
use domain::audit::{Action, Difference};
use domain::clock::Timestamp;
use domain::endpoint::Endpoint;
use domain::id::ApplicationKey;
use domain::limit::{EVENT_TYPES_MAX, RECOVER_DAYS_MAX, TASKS_RUNNING_MAX};
use domain::name::{check_channel, check_plain, check_tag};
use domain::page::{Page, Slice};
use domain::task::{Plan, Task, TaskKind, TaskStatus};
use domain::wire_id::Kind;
use domain::word::Worded;
use serde_json::{Value, json};
use store::endpoint::EndpointChange;
pub use store::task::TaskFilter;

/// How long messages may go on being canceled after an endpoint was enabled, in milliseconds: they are under way, or come to
/// another node that has not heard yet.
const UNDER_WAY_MS: i64 = 2_000;

/// What becomes of an endpoint's canceled and failed deliveries when it is enabled again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// They stay as they are.
    None,
    /// All are sent.
    All,
    /// Those of messages since then are sent.
    Since(Timestamp),
}

/// Which messages a task is to send, as a client asks for it.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// What the task does.
    pub kind: TaskKind,
    /// Which messages; the window's end is given by [`Wanted::until`].
    pub plan: Plan,
    /// Accepted before this; none is now.
    pub until: Option<Timestamp>,
}

impl App {
    /// Begins a task.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`, `Invalid` for a window that is too wide or upside down; `Refused` when the endpoint is disabled,
    /// or too many tasks run.
    pub async fn task_begin(&self, at: Place<'_>, wanted: Wanted) -> Result<Task> {
        let (endpoint, task) = self.task_planned(at, wanted).await?;
        self.room_for_task(at.principal).await?;
        self.store().task_create(task.clone()).await?;
        self.note_task(at.principal, &endpoint, &task).await;
        Ok(task)
    }

    /// A task that could be begun, and its endpoint.
    pub(crate) async fn task_planned(&self, at: Place<'_>, wanted: Wanted) -> Result<(Endpoint, Task)> {
        let endpoint = self.endpoint_of(at, Right::Send).await?;
        let mut problems = Problems::default();
        let Wanted { kind, mut plan, until } = wanted;
        let now = self.now();
        plan.until = until.map_or(now.plus_ms(1), |until| until.min(now.plus_ms(UNDER_WAY_MS))).0;
        check_window(&plan, kind, now, &mut problems);
        check_filter(&plan, &mut problems);
        problems.finish()?;
        refuse_disabled(&endpoint)?;
        let task = self.task_of(at.principal, &endpoint, kind, plan);
        Ok((endpoint, task))
    }

    /// Enables an endpoint again, and says in the same breath what becomes of what it missed meanwhile.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`; `Invalid` for a time that is to come; `Refused` when too many tasks run.
    pub async fn endpoint_enable(
        &self,
        at: Place<'_>,
        recovery: Recovery,
    ) -> Result<(Endpoint, Option<Task>)> {
        let found = self.endpoint_of(at, Right::Manage).await?;
        let since = recovery.since(self.now())?;
        // Before the endpoint is enabled: nothing that is refused is half done.
        if since.is_some() {
            self.room_for_task(at.principal).await?;
        }
        let enable = |there: &Endpoint| {
            let mut fields = there.fields.clone();
            fields.disabled = false;
            Ok(EndpointChange {
                fields: Some(fields),
                begins_again: there.fields.disabled,
                disabling: Some(None),
                ..EndpointChange::default()
            })
        };
        let enabled = self.endpoint_change(at.principal, &found, Box::new(enable)).await?;
        let Some(since) = since else { return Ok((enabled, None)) };
        let task = self.recovery_of(at.principal, &enabled, since);
        self.store().task_create(task.clone()).await?;
        self.note_task(at.principal, &enabled, &task).await;
        Ok((enabled, Some(task)))
    }

    /// The task of this id.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`.
    pub async fn task_get(&self, principal: &Principal, id: &str) -> Result<Task> {
        principal.may(Right::Read)?;
        let task = self.store().task_get(principal.environment.key, id).await?;
        let is_theirs = application_of(principal).is_none_or(|own| own == task.application);
        if is_theirs { Ok(task) } else { Err(AppError::NotFound) }
    }

    /// A page of tasks: all of the environment, or those of the one application that the principal opens.
    ///
    /// # Errors
    /// `Forbidden`.
    pub async fn task_list(
        &self,
        principal: &Principal,
        filter: TaskFilter,
        page: Page<String>,
    ) -> Result<Slice<Task>> {
        principal.may(Right::Read)?;
        let filter = TaskFilter { application: application_of(principal), ..filter };
        Ok(self.store().task_list(principal.environment.key, filter, page).await?)
    }

    /// Ends a task that runs. What it has queued is sent all the same.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`; `Refused` when it has ended already.
    pub async fn task_cancel(&self, principal: &Principal, id: &str) -> Result<Task> {
        principal.may(Right::Send)?;
        let found = self.task_get(principal, id).await?;
        if found.status != TaskStatus::Running {
            return Err(AppError::refused("generic_error", "This task has ended already."));
        }
        let notice = self.teller(found.application).and_then(|teller| teller.ended(&found));
        let canceled = self.store().task_cancel(&found, "it was canceled", notice).await?;
        let application = self.store().routing().application_by_key(found.application);
        let route = self.store().routing().route(found.endpoint);
        let (id, name) = route.map_or_else(
            || (found.id.clone(), String::new()),
            |route| (route.endpoint.id.clone(), route.endpoint.name()),
        );
        let deed = Deed::new(Action::TaskCanceled, id, name).with(Difference::gone(&shown(&found)));
        self.note_deed(principal, application.as_deref(), deed).await;
        Ok(canceled)
    }

    async fn note_task(&self, principal: &Principal, endpoint: &Endpoint, task: &Task) {
        let begun = (Action::TaskBegun, Difference::made(&shown(task)));
        self.note(self.entry_of_endpoint(principal, endpoint, begun)).await;
    }

    async fn room_for_task(&self, principal: &Principal) -> Result<()> {
        let running = TaskFilter { status: Some(TaskStatus::Running), ..TaskFilter::default() };
        let most = u16::try_from(TASKS_RUNNING_MAX).unwrap_or(u16::MAX);
        let first = Page::first(most, domain::page::Order::Ascending);
        let there = self.store().task_list(principal.environment.key, running, first).await?.items.len();
        if there >= TASKS_RUNNING_MAX {
            let detail = format!(
                "{there} background tasks run already: at most {TASKS_RUNNING_MAX} (tasks_running_max). Wait until one ends."
            );
            return Err(AppError::refused("limit_reached", detail));
        }
        Ok(())
    }

    /// The task that sends what an endpoint missed before it was enabled.
    pub(crate) fn recovery_of(&self, principal: &Principal, endpoint: &Endpoint, since: Timestamp) -> Task {
        // Until every node has heard of it, messages may still be canceled.
        let plan = Plan::window(since, self.now().plus_ms(UNDER_WAY_MS));
        self.task_of(principal, endpoint, TaskKind::Recover, plan)
    }

    fn task_of(&self, principal: &Principal, endpoint: &Endpoint, kind: TaskKind, plan: Plan) -> Task {
        let now = self.now();
        Task {
            id: self.new_id(Kind::BackgroundTask),
            environment: principal.environment.key,
            application: endpoint.application,
            endpoint: endpoint.key,
            kind,
            plan,
            status: TaskStatus::Running,
            position: 0,
            looked: 0,
            queued: 0,
            error: None,
            created_at: now,
            updated_at: now,
        }
    }
}

impl Recovery {
    /// Since when messages are sent; none when none are.
    ///
    /// # Errors
    /// `Invalid` for a time that is to come.
    pub(crate) fn since(self, now: Timestamp) -> Result<Option<Timestamp>> {
        match self {
            Self::None => Ok(None),
            Self::All => Ok(Some(Timestamp(0))),
            Self::Since(since) if since > now => {
                Err(AppError::invalid("since", format!("{since} is to come: it is {now}")))
            }
            Self::Since(since) => Ok(Some(since)),
        }
    }
}

const fn application_of(principal: &Principal) -> Option<ApplicationKey> {
    match &principal.scope {
        Scope::Environment | Scope::Operational => None,
        Scope::Application { key, .. } => Some(*key),
    }
}

fn check_window(plan: &Plan, kind: TaskKind, now: Timestamp, problems: &mut Problems) {
    let (since, until) = (Timestamp(plan.since), Timestamp(plan.until));
    if since > now {
        problems.add("since", format!("{since} is to come: it is {now}"));
    } else if until < since {
        problems.add("until", format!("{until} is earlier than `since`, {since}"));
    }
    let is_old = now.since(since) > RECOVER_DAYS_MAX * DAY_MS + SLACK_MS;
    if kind == TaskKind::Recover && is_old {
        let most = format!("at most {RECOVER_DAYS_MAX} days ago are allowed (recover_days_max)");
        problems.add("since", format!("{since} is too long ago: {most}"));
    }
}

fn check_filter(plan: &Plan, problems: &mut Problems) {
    if plan.event_types.len() > EVENT_TYPES_MAX {
        let count = plan.event_types.len();
        problems.add("eventTypes", format!("has {count} items: at most {EVENT_TYPES_MAX} (event_types_max)"));
        return;
    }
    for (index, event_type) in plan.event_types.iter().enumerate() {
        problems.check_item("eventTypes", index, check_plain(event_type));
    }
    problems.check("channel", plan.channel.as_deref().map_or(Ok(()), check_channel));
    problems.check("tag", plan.tag.as_deref().map_or(Ok(()), check_tag));
}

/// A task as the audit log has it.
fn shown(task: &Task) -> Value {
    let time = |ms: i64| Timestamp(ms).to_string();
    json!({"task": task.id, "kind": task.kind.word(), "since": time(task.plan.since), "until": time(task.plan.until)})
}
