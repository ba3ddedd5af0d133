//! Which endpoints fail, and when that is enough to disable them.
//!
//! What attempts tell gathers in memory and goes to the store once a second, in small steps: many endpoints that begin to fail
//! at once must not show in the latency of those that do not. A success is not told: the store finds it among the attempts.

use domain::application::Application;
use domain::audit::{Action, Actor, ActorKind, Difference, NewEntry, Subject};
use domain::clock::{Clock, Timestamp};
use domain::endpoint::{Disabling, Endpoint, EndpointFields};
use domain::health::{DisablePolicy, FAILING_MS, Failures, LastAnswer, enough, is_worth_a_warning, reason};
use domain::id::EndpointKey;
use domain::notice::{Facts, NewNotice, NoticeKind};
use domain::operational::switched_data;
use foldhash::HashMap;
use parking_lot::Mutex;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use store::endpoint::EndpointChange;
use store::health::Episode;
use store::routing::Route;
use store::{Store, StoreError};
use tokio_util::sync::CancellationToken;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);
/// Endpoints whose failures are told to the store in one step: a step takes a millisecond or two of the writer's time.
const STEP: usize = 25;
/// Between two steps.
const PAUSE: Duration = Duration::from_millis(5);
/// Episodes that one look asks about.
const EPISODES: u32 = 500;

/// What attempts told since the last look.
#[derive(Debug, Default)]
pub(crate) struct Health {
    failing: Mutex<HashMap<EndpointKey, Failures>>,
    /// Asked first: a success costs nothing more while nothing fails.
    is_any: AtomicBool,
}

impl Health {
    /// Notes a failure.
    pub(crate) fn failed(&self, endpoint: EndpointKey, answer: LastAnswer, is_unrecoverable: bool) {
        let mut failing = self.failing.lock();
        match failing.get_mut(&endpoint) {
            Some(failures) => failures.add(answer, is_unrecoverable),
            None => drop(failing.insert(endpoint, Failures::first(answer, is_unrecoverable))),
        }
        self.is_any.store(true, Ordering::Release);
    }

    /// Notes a success: what failed before it counts no more.
    pub(crate) fn succeeded(&self, endpoint: EndpointKey) {
        if self.is_any.load(Ordering::Acquire) {
            self.failing.lock().remove(&endpoint);
        }
    }

    fn take(&self) -> Vec<(EndpointKey, Failures)> {
        let mut failing = self.failing.lock();
        self.is_any.store(false, Ordering::Release);
        std::mem::take(&mut *failing).into_iter().collect()
    }

    /// The store could not take them now.
    fn give_back(&self, failures: Vec<(EndpointKey, Failures)>) {
        let mut failing = self.failing.lock();
        for (endpoint, mut before) in failures {
            if let Some(later) = failing.remove(&endpoint) {
                before.append(later);
            }
            failing.insert(endpoint, before);
        }
        self.is_any.store(!failing.is_empty(), Ordering::Release);
    }
}

/// Runs until `stop`.
pub(crate) async fn run(
    store: Arc<dyn Store>,
    health: Arc<Health>,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) {
    let mut next = EndpointKey(0);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        tell(&store, &health, &*clock).await;
        match store.episodes_end(next, EPISODES).await {
            Ok(looked) => {
                mended(&looked.ended);
                exhausted(&store, &looked.exhausted, clock.now()).await;
                next = looked.next.unwrap_or(EndpointKey(0));
            }
            Err(error) => tracing::debug!(%error, "it could not be asked which endpoints work again"),
        }
    }
}

fn mended(ended: &[Episode]) {
    for episode in ended {
        tracing::info!(endpoint = episode.endpoint.0, since = %episode.since, "an endpoint works again");
    }
}

/// Tells the store what failed, and disables whom that is enough for.
async fn tell(store: &Arc<dyn Store>, health: &Health, clock: &dyn Clock) {
    let mut failures = health.take();
    while !failures.is_empty() {
        let step = failures.split_off(failures.len().saturating_sub(STEP));
        match store.failures_add(step.clone()).await {
            Ok(told) => {
                mended(&told.ended);
                for episode in told.failing {
                    judge(store, &episode, clock.now()).await;
                }
            }
            Err(error) => {
                tracing::debug!(%error, "the store could not take what failed; trying again");
                health.give_back(step);
                return health.give_back(failures);
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Tells whom it concerns that deliveries were given up in these episodes.
async fn exhausted(store: &Arc<dyn Store>, episodes: &[Episode], now: Timestamp) {
    let notice = |episode: &Episode| {
        let mut notice = about(store, episode, NoticeKind::Exhausted, (now, facts_of(episode, false)))?;
        // Of one that is disabled people know already: it is only noted, so that it is not found again.
        let route = store.routing().route(episode.endpoint)?;
        notice.is_for_people = !route.endpoint.fields.disabled;
        Some(notice)
    };
    let notices: Vec<_> = episodes.iter().filter_map(notice).collect();
    for step in notices.chunks(STEP) {
        if let Err(error) = store.notices_add(step.to_vec()).await {
            return tracing::debug!(%error, "it could not be told that deliveries were given up; trying again");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// What is told of an episode; when it `is_ending` the endpoint's work, with the time when it will be disabled.
fn facts_of(episode: &Episode, is_ending: bool) -> Facts {
    let ends_at = episode.failures.since.plus_ms(FAILING_MS).0;
    Facts {
        since: Some(episode.since.0),
        failures: Some(episode.failures.count),
        answer: Some(episode.failures.last.clone()),
        expires_at: is_ending.then_some(ends_at),
        ..Facts::default()
    }
}

/// A notice of an episode; none where the endpoint is gone, or is an operational webhook.
fn about(
    store: &Arc<dyn Store>,
    episode: &Episode,
    kind: NoticeKind,
    (now, facts): (Timestamp, Facts),
) -> Option<NewNotice> {
    let route =
        store.routing().route(episode.endpoint).filter(|route| !route.application.is_operational())?;
    let of = (route.application.key, episode.endpoint);
    // Once it was enabled again, it may come to that anew.
    Some(NewNotice::new(of, kind, (episode.failures.since, now), facts))
}

async fn judge(store: &Arc<dyn Store>, episode: &Episode, now: Timestamp) {
    let Some(route) = store.routing().route(episode.endpoint) else { return };
    let failures = &episode.failures;
    let policy = route.endpoint.fields.options.disable_policy;
    let Some(enough) = enough(failures, policy) else { return warn(store, episode, policy, now).await };
    let (reason, answer) = (reason(failures, enough), Some(failures.last.clone()));
    // A person may be mending it right now: what is changed is judged by what fails from then on.
    let unchanged = Some(route.endpoint.updated_at);
    let disabling = Disabling { reason, at: now, answer };
    disable(store, &route, (disabling, Some(episode.since)), unchanged).await;
}

/// Warns whom it concerns, once an episode, when half of the time has passed after which the endpoint is disabled.
async fn warn(store: &Arc<dyn Store>, episode: &Episode, policy: DisablePolicy, now: Timestamp) {
    if !is_worth_a_warning(&episode.failures) {
        return;
    }
    let is_ending = matches!(policy, DisablePolicy::Both | DisablePolicy::FailingFor);
    let notice = about(store, episode, NoticeKind::Failing, (now, facts_of(episode, is_ending)));
    if let Err(error) = store.notices_add(Vec::from_iter(notice)).await {
        tracing::debug!(%error, "a warning could not be kept; trying again");
    }
}

/// Disables an endpoint, unless it is disabled already, or was changed since `unchanged`.
pub(crate) async fn disable(
    store: &Arc<dyn Store>,
    route: &Route,
    (disabling, since): (Disabling, Option<Timestamp>),
    unchanged: Option<Timestamp>,
) {
    let (endpoint, application) = (&route.endpoint, Arc::clone(&route.application));
    let told = disabling.reason.clone();
    let change = move |now: &Endpoint| {
        if now.fields.disabled || unchanged.is_some_and(|since| now.updated_at != since) {
            return Err(StoreError::NotFound);
        }
        let fields = EndpointFields { disabled: true, ..now.fields.clone() };
        let notices = Vec::from_iter(disabled(&application, now, (&disabling, since)));
        let entry = Some(entry(&application, now, &disabling));
        let disabling = Some(Some(disabling.clone()));
        Ok(EndpointChange { fields: Some(fields), disabling, notices, entry, ..EndpointChange::default() })
    };
    match store.endpoint_update(endpoint.key, Box::new(change)).await {
        Ok(_) => tracing::info!(endpoint = endpoint.id, reason = told, "an endpoint is disabled"),
        Err(StoreError::NotFound) => {}
        Err(error) => tracing::warn!(%error, endpoint = endpoint.id, "an endpoint could not be disabled"),
    }
}

/// What the audit log says of it.
fn entry(application: &Application, endpoint: &Endpoint, disabling: &Disabling) -> NewEntry {
    NewEntry {
        at: disabling.at,
        environment: Some(application.environment),
        application: Some(application.key),
        place: application.called().to_owned(),
        actor: Actor::of(ActorKind::Server),
        address: String::new(),
        action: Action::EndpointDisabled,
        subject: Subject { id: endpoint.id.clone(), name: endpoint.name() },
        difference: Difference {
            before: Some(json!({"disabled": false})),
            after: Some(json!({"disabled": true, "reason": disabling.reason})),
        },
    }
}

/// What is told of an endpoint that the server disables; nothing of an operational webhook.
fn disabled(
    application: &Application,
    endpoint: &Endpoint,
    (disabling, since): (&Disabling, Option<Timestamp>),
) -> Option<NewNotice> {
    let facts = Facts {
        since: Some(since.unwrap_or(disabling.at).0),
        reason: Some(disabling.reason.clone()),
        answer: disabling.answer.clone(),
        event: Some(switched_data(application, endpoint, (since, true))),
        ..Facts::default()
    };
    let of = (application.key, endpoint.key);
    let times = (disabling.at, disabling.at);
    (!application.is_operational()).then(|| NewNotice::new(of, NoticeKind::Disabled, times, facts))
}

#[cfg(test)]
mod tests {
    use super::*;
    const ONE: EndpointKey = EndpointKey(1);

    fn answer(at: i64) -> LastAnswer {
        LastAnswer::new(Timestamp(at), 404, b"")
    }

    #[test]
    fn a_success_forgets_what_failed_before_it_and_what_is_given_back_comes_first() {
        let health = Health::default();
        health.failed(ONE, answer(1), true);
        health.succeeded(ONE);
        assert_eq!(health.take(), []);
        health.failed(ONE, answer(2), true);
        let taken = health.take();
        health.failed(ONE, answer(3), true);
        health.give_back(taken);
        let (_, failures) = health.take().remove(0);
        assert_eq!((failures.since, failures.count, failures.last.at), (Timestamp(2), 2, 3));
    }
}
