//! What operational webhooks hear: noted by attempts before they are recorded, delivered like every other message.

use crate::attempt::Context;
use crate::line::Item;
use domain::attempt::{Attempt, Disposition, Trigger};
use domain::clock::Timestamp;
use domain::delivery::Next;
use domain::id::{EnvironmentKey, MessageId};
use domain::message::Overrides;
use domain::notice::{NewNotice, Notice, NoticeKind};
use domain::operational::{FAILING_ATTEMPT, attempt_data, task_data};
use domain::page::{Order, Page};
use domain::task::Task;
use domain::wire_id::IdCodec;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use store::attempt::AttemptFilter;
use store::message::{Admission, NewMessage};
use store::routing::Route;
use store::{Store, StoreError};

/// Between two tries to note something.
const AGAIN_AFTER: Duration = Duration::from_millis(200);
/// Attempts of one delivery that are looked through for the one that is told.
const ATTEMPTS: u16 = 250;

/// What is worth telling of an attempt.
pub(crate) fn worth(trigger: Trigger, number: u32, next: Next) -> Option<NoticeKind> {
    match next {
        _ if trigger == Trigger::Test => None,
        Next::Retry(_) if number == FAILING_ATTEMPT => Some(NoticeKind::AttemptFailing),
        Next::Failed => Some(NoticeKind::AttemptExhausted),
        Next::Succeeded if number > FAILING_ATTEMPT => Some(NoticeKind::AttemptRecovered),
        _ => None,
    }
}

/// Notes what is worth telling of an attempt, if anybody wants it. Before it is recorded: an attempt whose record is lost is made
/// again under the same number, so that it is told once.
pub(crate) async fn note(context: &Context, item: &Item, (kind, number): (NoticeKind, u32), now: Timestamp) {
    let Some(route) = context.store.routing().route(item.key.endpoint) else { return };
    if !context.store.routing().is_told(&route.application, kind) {
        return;
    }
    let (message, run) = (item.key.message.0, item.key.run);
    let of = (route.application.key, item.key.endpoint);
    let subject = format!("{message}:{run}:{number}");
    let event = json!({"message": message, "run": run, "number": number});
    let notice = NewNotice::silent(of, kind, (subject, now), Some(event));
    loop {
        match context.store.notices_add(vec![notice.clone()]).await {
            Ok(()) => return,
            Err(error @ StoreError::Broken(_)) => {
                return tracing::error!(%error, "an operational event could not be kept");
            }
            Err(_) if !context.store.lease_is_valid() => return,
            Err(_) => tokio::time::sleep(AGAIN_AFTER).await,
        }
    }
}

/// That a task ends, if an operational webhook wants to hear it.
pub(crate) fn ended(store: &dyn Store, task: &Task, now: Timestamp) -> Option<NewNotice> {
    let kind = NoticeKind::TaskFinished;
    let application = store.routing().application_by_key(task.application)?;
    let of = (task.application, task.endpoint);
    let is_told = store.routing().is_told(&application, kind);
    is_told.then(|| NewNotice::silent(of, kind, (task.id.clone(), now), None))
}

/// The data of a notice's event.
pub(crate) enum Data {
    /// This.
    Known(Value),
    /// What it tells of is not stored yet.
    NotYet,
    /// What it tells of did not come to be, or is gone.
    Never,
}

/// Finds the data of a notice's event.
pub(crate) async fn data(store: &Arc<dyn Store>, notice: &Notice, ids: &IdCodec) -> Result<Data, StoreError> {
    let new = &notice.new;
    let Some(application) = store.routing().application_by_key(new.application) else {
        return Ok(Data::Never);
    };
    match (new.kind, &new.facts.event) {
        (NoticeKind::TaskFinished, _) => {
            let endpoint = store.endpoint_ids(vec![new.endpoint]).await?.pop();
            let task = match store.task_get(application.environment, &new.subject).await {
                Err(StoreError::NotFound) => return Ok(Data::Never),
                found => found?,
            };
            let endpoint = endpoint.map(|(_, id)| id).unwrap_or_default();
            Ok(Data::Known(task_data(&task, &application, &endpoint)))
        }
        (
            NoticeKind::AttemptFailing | NoticeKind::AttemptExhausted | NoticeKind::AttemptRecovered,
            Some(of),
        ) => {
            let Some(route) = store.routing().route(new.endpoint) else { return Ok(Data::Never) };
            let message = MessageId(of["message"].as_i64().unwrap_or_default());
            let message = match store.message_get(new.application, message).await {
                Err(StoreError::NotFound) => return Ok(Data::Never),
                found => found?,
            };
            let filter = AttemptFilter {
                endpoint: Some(new.endpoint),
                canceled_too: true,
                ..AttemptFilter::default()
            };
            let newest = Page::first(ATTEMPTS, Order::Descending);
            let attempts = store.attempt_list_by_message(&message, filter, newest).await?;
            let is_it = |attempt: &&Attempt| {
                let record = &attempt.record;
                of["run"] == json!(record.run) && of["number"] == json!(record.number)
            };
            let Some(attempt) = attempts.items.iter().find(is_it) else { return Ok(Data::NotYet) };
            let fits = match new.kind {
                NoticeKind::AttemptFailing => Disposition::Retrying,
                NoticeKind::AttemptExhausted => Disposition::Failed,
                _ => Disposition::Succeeded,
            };
            if attempt.record.disposition != fits {
                return Ok(Data::Never);
            }
            let of_message = (ids.message(message.id), message.event_id.as_deref());
            let of_attempt = (ids.attempt(attempt.id), attempt);
            Ok(Data::Known(attempt_data(&application, &route.endpoint, of_message, of_attempt)))
        }
        (_, Some(event)) => Ok(Data::Known(event.clone())),
        (_, None) => Ok(Data::Never),
    }
}

/// Accepts an operational event for those who want it. `id` tells the same event: it is accepted once.
pub(crate) async fn accept(
    store: &Arc<dyn Store>,
    environment: EnvironmentKey,
    (event_type, id): (&str, String),
    (data, now): (&Value, Timestamp),
) -> Result<(), StoreError> {
    let routes = store.routing().operational_routes(environment, event_type);
    let Some(first) = routes.first() else { return Ok(()) };
    let admission = |route: &Route| {
        let fields = &route.endpoint.fields;
        let admission = match (fields.disabled, fields.options.ordered) {
            (true, _) => Admission::Cancel,
            (_, true) => Admission::Order,
            _ => Admission::Park,
        };
        (route.endpoint.key, admission)
    };
    let payload = json!({"type": event_type, "timestamp": now.to_string(), "data": data}).to_string();
    let new = NewMessage {
        application: first.application.key,
        event_type: event_type.to_owned(),
        event_id: Some(id),
        channels: Vec::new(),
        tags: Vec::new(),
        payload: payload.into(),
        payload_expires_at: None,
        deliver_at: None,
        overrides: Overrides::default(),
        deliveries: routes.iter().map(admission).collect(),
        key: None,
        slot: None,
    };
    match store.accept(new).await {
        Ok(_) | Err(StoreError::Taken(_)) => Ok(()),
        Err(error) => Err(error),
    }
}
