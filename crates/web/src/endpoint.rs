//! A webhook: how it fares, what was sent to it, and how its receiver verifies that.

use crate::Console;
use crate::endpoint_list::{Status, events};
use crate::log::{Row as AttemptRow, rows_of};
use crate::page::Page;
use crate::refusal::Answer;
use crate::shell::{Section, Shell};
use crate::snippet::{Snippet, snippets};
use crate::submitted::Submitted;
use crate::visitor::Signed;
use crate::when::When;
use app::attempt::{AttemptFilter, AttemptQuery, AttemptState};
use app::endpoint::EndpointHealth;
use app::sign_in::{Opened, Visitor};
use app::task::TaskFilter;
use app::{AppError, Place, Right};
use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::routing::get;
use domain::clock::Timestamp;
use domain::endpoint::Endpoint;
use domain::page::{Order, Page as Wanted};
use domain::task::{Task, TaskKind, TaskStatus};
use domain::word::Worded;
use std::collections::HashMap;

pub(crate) fn router() -> Router<Console> {
    Router::new()
        .route("/endpoint/{endpoint_id}", get(show))
        .route("/endpoint/{endpoint_id}/now", get(now))
        .route("/endpoint/{endpoint_id}/verify", get(verify).post(reveal))
}

/// Attempts that the page shows.
const SHOWN: u16 = 50;
/// How long after its creation a webhook's secret is shown without being asked for, in milliseconds.
const FRESH_MS: i64 = 600_000;
/// Tasks that are looked through for those of one webhook.
const TASKS: u16 = 100;

/// Which page of a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tab {
    Deliveries,
    Settings,
    Transformation,
    Verify,
    Headers,
    Check,
}

/// What stands above every page of a webhook.
pub(crate) struct Head {
    pub(crate) base: String,
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) status: Status,
    pub(crate) is_disabled: bool,
    pub(crate) is_paused: bool,
    pub(crate) may_manage: bool,
    pub(crate) may_reveal: bool,
    pub(crate) may_rotate: bool,
    pub(crate) may_transform: bool,
    pub(crate) may_send: bool,
    pub(crate) tab: Tab,
}

impl Head {
    pub(crate) fn of(opened: &Opened, endpoint: &Endpoint, (status, tab): (Status, Tab)) -> Self {
        Self {
            base: format!("/app/{}/endpoint/{}", opened.application.id, endpoint.id),
            name: endpoint.name(),
            url: endpoint.fields.url.clone(),
            status,
            is_disabled: endpoint.fields.disabled,
            is_paused: endpoint.fields.paused,
            may_manage: opened.principal.may(Right::Manage).is_ok(),
            may_reveal: opened.principal.may(Right::Reveal).is_ok(),
            may_rotate: opened.principal.may(Right::Rotate).is_ok(),
            may_transform: opened.principal.may(Right::Transform).is_ok(),
            may_send: opened.principal.may(Right::Send).is_ok(),
            tab,
        }
    }

    pub(crate) fn is(&self, tab: Tab) -> bool {
        self.tab == tab
    }
}

/// Why a webhook needs somebody's attention.
struct Trouble {
    title: &'static str,
    text: String,
    advice: String,
    /// The last answer.
    answer: Option<String>,
    is_disabled: bool,
}

/// Work on a webhook that goes on.
struct Work {
    id: String,
    what: &'static str,
    percent: u32,
    queued: u64,
    is_running: bool,
    error: Option<String>,
    at: When,
}

#[derive(Template)]
#[template(path = "endpoint/show.html")]
struct Show {
    shell: Shell,
    head: Head,
    now: Now,
    events: String,
    facts: Vec<(&'static str, String)>,
    state: String,
    rows: Vec<AttemptRow>,
    is_more: bool,
    live: String,
}

/// How it fares right now: a part of the page that is fetched anew every few seconds.
#[derive(Template)]
#[template(path = "endpoint/now.html")]
struct Now {
    base: String,
    form_token: String,
    may_manage: bool,
    may_send: bool,
    trouble: Option<Trouble>,
    breaker: Option<When>,
    waiting: u64,
    works: Vec<Work>,
}

#[derive(Template)]
#[template(path = "endpoint/verify.html")]
struct Verify {
    shell: Shell,
    head: Head,
    /// The secret, where it is shown.
    secret: Option<String>,
    is_new: bool,
    /// Old secrets that still sign: until when.
    old: Vec<When>,
    snippets: Vec<Snippet>,
}

impl Page for Show {}
impl Page for Now {}
impl Page for Verify {}

/// The webhook that a path names, with who looks at it.
pub(crate) struct Found {
    pub(crate) visitor: Visitor,
    pub(crate) opened: Opened,
    pub(crate) endpoint: Endpoint,
}

impl Found {
    pub(crate) async fn of(
        console: &Console,
        visitor: Visitor,
        at: &(String, String),
    ) -> Result<Self, AppError> {
        let opened = console.app.open(&visitor, &at.0)?;
        let endpoint = console.app.endpoint_get(place(&opened, at)).await?;
        Ok(Self { visitor, opened, endpoint })
    }

    pub(crate) fn place<'a>(&'a self, at: &'a (String, String)) -> Place<'a> {
        place(&self.opened, at)
    }

    /// What stands around and above a page of it.
    pub(crate) async fn head(&self, console: &Console, tab: Tab) -> Result<(Shell, Head), AppError> {
        let marks = console.app.endpoint_marks(std::slice::from_ref(&self.endpoint)).await?;
        let status = Status::of(&self.endpoint, marks.first().map(|mark| mark.disposition));
        let shell = Shell::of_application(
            &console.brand,
            (&self.visitor, &self.opened),
            Section::Webhooks,
            self.endpoint.name(),
        );
        Ok((shell, Head::of(&self.opened, &self.endpoint, (status, tab))))
    }
}

fn place<'a>(opened: &'a Opened, at: &'a (String, String)) -> Place<'a> {
    Place { principal: &opened.principal, application: &at.0, id: &at.1 }
}

async fn show(
    State(console): State<Console>,
    Signed(visitor): Signed,
    Path(at): Path<(String, String)>,
    Query(query): Query<HashMap<String, String>>,
) -> Answer {
    let found = Found::of(&console, visitor, &at).await?;
    let state = query.get("state").cloned().unwrap_or_default();
    let wanted = AttemptQuery {
        state: match &*state {
            "succeeded" => Some(AttemptState::Succeeded),
            "failed" => Some(AttemptState::Failed),
            _ => None,
        },
        endpoint: None,
        with_messages: true,
        filter: AttemptFilter::default(),
        page: Wanted::first(SHOWN, Order::Descending),
    };
    let attempts = console.app.attempt_list_by_endpoint(found.place(&at), wanted).await?;
    let (shell, head) = found.head(&console, Tab::Deliveries).await?;
    let is_more = !attempts.done;
    let live = format!("{}/live", head.base);
    Ok(Show {
        shell: shell.telling(query.get("told").map(String::as_str)),
        now: now_of(&console, &found, &at).await?,
        events: events(&found.endpoint),
        facts: facts(&found.endpoint),
        state,
        rows: rows_of(&console, &found.opened, attempts.items),
        is_more,
        live,
        head,
    }
    .ok())
}

async fn now_of(console: &Console, found: &Found, at: &(String, String)) -> Result<Now, AppError> {
    let health = console.app.endpoint_health(found.place(at)).await?;
    let now = console.app.now();
    let principal = &found.opened.principal;
    Ok(Now {
        base: format!("/app/{}/endpoint/{}", at.0, found.endpoint.id),
        form_token: found.visitor.form_token.clone(),
        may_manage: principal.may(Right::Manage).is_ok(),
        may_send: principal.may(Right::Send).is_ok(),
        trouble: trouble(&health, now),
        breaker: health.probe_at.map(|at| When::of(at, now)),
        waiting: health.waiting,
        works: works(console, found).await?,
    })
}

async fn now(
    State(console): State<Console>,
    Signed(visitor): Signed,
    Path(at): Path<(String, String)>,
) -> Answer {
    let found = Found::of(&console, visitor, &at).await?;
    Ok(now_of(&console, &found, &at).await?.ok())
}

fn trouble(health: &EndpointHealth, now: Timestamp) -> Option<Trouble> {
    let endpoint = &health.endpoint;
    if let Some(disabling) = endpoint.disabling.as_ref().filter(|_| endpoint.fields.disabled) {
        return Some(Trouble {
            title: "This webhook was disabled, because it did not work",
            text: format!("{} That was {}.", disabling.reason, When::of(disabling.at, now).ago),
            advice: "Mend the receiver, look whether it answers, then enable the webhook again. Nothing is lost: its \
                     events are kept, and you can have them sent."
                .to_owned(),
            answer: disabling.answer.as_ref().map(domain::health::LastAnswer::told),
            is_disabled: true,
        });
    }
    let episode = health.episode.as_ref().filter(|_| !endpoint.fields.disabled)?;
    let began = When::of(episode.since, now).ago;
    let text = match episode.failures.count {
        1 => format!("It failed {began}, and nothing was sent since."),
        _ => format!("It began to fail {began}, and nothing has worked since."),
    };
    Some(Trouble {
        title: "This webhook does not work right now",
        text,
        advice:
            "Events that fail are tried again by themselves. Find out what is wrong, and mend the receiver."
                .to_owned(),
        answer: Some(episode.failures.last.told()),
        is_disabled: false,
    })
}

/// What is set beyond the defaults, for people.
fn facts(endpoint: &Endpoint) -> Vec<(&'static str, String)> {
    let (fields, options) = (&endpoint.fields, &endpoint.fields.options);
    let mut facts = vec![("Request", format!("{} {}", options.method.word(), options.content_type()))];
    let auth = if endpoint.credentials.identity.is_some() {
        "client certificate"
    } else {
        endpoint.credentials.auth.word()
    };
    facts.push(("Authentication", auth.to_owned()));
    facts.push(("Format", options.format.word().to_owned()));
    if let Some(rate) = fields.throttle_rate {
        facts.push(("Rate", format!("{rate} events in a {}", options.throttle_period.word())));
    }
    if options.ordered {
        facts.push(("Order", "strict".to_owned()));
    }
    if let Some(filter) = &options.filter {
        facts.push(("Filter", filter.clone()));
    }
    for mapping in &options.routes {
        facts.push(("Mapping", format!("{} → {}", mapping.event_type, mapping.url)));
    }
    if let Some(channels) = &fields.channels {
        facts.push(("Channels", channels.join(", ")));
    }
    if !fields.description.is_empty() {
        facts.push(("Description", fields.description.clone()));
    }
    facts
}

async fn works(console: &Console, found: &Found) -> Result<Vec<Work>, AppError> {
    let filter = TaskFilter { application: Some(found.opened.application.key), ..TaskFilter::default() };
    let page = Wanted::first(TASKS, Order::Descending);
    let tasks = console.app.task_list(&found.opened.principal, filter, page).await?.items;
    let now = console.app.now();
    let theirs = tasks.into_iter().filter(|task| task.endpoint == found.endpoint.key).take(3);
    Ok(theirs.map(|task| work(task, now)).collect())
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share from 0 to 1")]
fn work(task: Task, now: Timestamp) -> Work {
    Work {
        what: match task.kind {
            TaskKind::Recover => "Sending what failed",
            TaskKind::Replay => "Sending what was missed",
            TaskKind::BulkReplay => "Sending a selection again",
        },
        percent: (task.progress() * 100.0) as u32,
        queued: task.queued,
        is_running: task.status == TaskStatus::Running,
        error: task.error,
        at: When::of(task.updated_at, now),
        id: task.id,
    }
}

async fn verify_page(
    console: &Console,
    found: Found,
    (secret, is_new, told): (Option<String>, bool, Option<String>),
) -> Result<Verify, AppError> {
    let (shell, head) = found.head(console, Tab::Verify).await?;
    let now = console.app.now();
    let old = found.endpoint.secrets.iter().filter_map(|one| one.expires_at).filter(|end| *end > now);
    Ok(Verify {
        shell: shell.telling(told.as_deref()),
        head,
        secret,
        is_new,
        old: old.map(|end| When::of(end, now)).collect(),
        snippets: snippets().to_vec(),
    })
}

async fn verify(
    State(console): State<Console>,
    Signed(visitor): Signed,
    Path(at): Path<(String, String)>,
    Query(query): Query<HashMap<String, String>>,
) -> Answer {
    let found = Found::of(&console, visitor, &at).await?;
    let told = query.get("told").cloned();
    let age = console.app.now().0 - found.endpoint.created_at.0;
    let is_new = told.as_deref() == Some("created")
        && age < FRESH_MS
        && found.opened.principal.may(Right::Reveal).is_ok();
    let secret = if is_new { Some(console.app.secret_get(found.place(&at)).await?) } else { None };
    Ok(verify_page(&console, found, (secret, is_new, told)).await?.ok())
}

/// Shown because somebody asked for it.
async fn reveal(
    State(console): State<Console>,
    Path(at): Path<(String, String)>,
    Submitted { visitor, .. }: Submitted,
) -> Answer {
    let found = Found::of(&console, visitor, &at).await?;
    let secret = Some(console.app.secret_get(found.place(&at)).await?);
    Ok(verify_page(&console, found, (secret, false, None)).await?.ok())
}
