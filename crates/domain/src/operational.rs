//! Operational webhooks: our user's own back end hears of what happens to its customers' endpoints and messages.
//!
//! They are endpoints of an application that no path names, one in each environment, and are delivered to like all others. What
//! happens to operational webhooks themselves is not told.

use crate::application::Application;
use crate::attempt::Attempt;
use crate::clock::Timestamp;
use crate::endpoint::Endpoint;
use crate::task::Task;
use crate::word::Worded;
use serde_json::{Value, json};

/// A delivery has failed so often that it is worth a word (its fourth failure).
pub const ATTEMPT_FAILING: &str = "message.attempt.failing";
/// A delivery was given up.
pub const ATTEMPT_EXHAUSTED: &str = "message.attempt.exhausted";
/// A delivery succeeded after [`ATTEMPT_FAILING`].
pub const ATTEMPT_RECOVERED: &str = "message.attempt.recovered";
/// The failure of a delivery that is told.
pub const FAILING_ATTEMPT: u32 = 4;
/// Every operational event type.
pub const EVENT_TYPES: [&str; 9] = [
    "endpoint.created",
    "endpoint.updated",
    "endpoint.deleted",
    "endpoint.disabled",
    "endpoint.enabled",
    ATTEMPT_FAILING,
    ATTEMPT_EXHAUSTED,
    ATTEMPT_RECOVERED,
    "background_task.finished",
];

/// A path cannot hold it.
const PREFIX: &str = "operational:";

/// The id of an environment's application of operational webhooks.
#[must_use]
pub fn application_id(environment: &str) -> String {
    format!("{PREFIX}{environment}")
}

/// Whether this is the id of an application of operational webhooks.
#[must_use]
pub fn is_operational(application: &str) -> bool {
    application.starts_with(PREFIX)
}

/// Which endpoint, by its id and uid, of which application.
#[must_use]
pub fn endpoint_data(application: &Application, (id, uid): (&str, Option<&str>)) -> Value {
    json!({
        "appId": application.id,
        "appUid": application.fields.uid,
        "endpointId": id,
        "endpointUid": uid,
    })
}

/// The same, and how it came to be disabled or enabled.
#[must_use]
pub fn switched_data(
    application: &Application,
    endpoint: &Endpoint,
    (fail_since, is_automatic): (Option<Timestamp>, bool),
) -> Value {
    let mut data = endpoint_data(application, (&endpoint.id, endpoint.fields.uid.as_deref()));
    data["failSince"] = json!(fail_since.map(|since| since.to_string()));
    data["trigger"] = json!(if is_automatic { "automatic" } else { "manual" });
    data
}

/// Which delivery, and its last attempt. `ids`: of message and attempt on the wire.
#[must_use]
pub fn attempt_data(
    application: &Application,
    endpoint: &Endpoint,
    (message, event_id): (String, Option<&str>),
    (attempt, record): (String, &Attempt),
) -> Value {
    json!({
        "appId": application.id,
        "appUid": application.fields.uid,
        "endpointId": endpoint.id,
        "msgId": message,
        "msgEventId": event_id,
        "lastAttempt": {
            "id": attempt,
            "responseStatusCode": record.record.status,
            "timestamp": record.id.timestamp().to_string(),
        },
    })
}

/// A background task at its end.
#[must_use]
pub fn task_data(task: &Task, application: &Application, endpoint: &str) -> Value {
    json!({
        "taskId": task.id,
        "task": task.kind.word(),
        "status": task.status.word(),
        "data": {
            "appId": application.id,
            "appUid": application.fields.uid,
            "endpointId": endpoint,
            "looked": task.looked,
            "queued": task.queued,
            "error": task.error,
        },
    })
}
