//! The demo's steps, each through the public API: an application, an endpoint, an event, its arrival, its record.

use super::receiver::{DevReceiver, Received};
use super::{ApiClient, Failure};
use crate::client::CallError;
use bytes::Bytes;
use domain::clock::Clock;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use signing::Secret;
use std::time::Duration;
use tokio::time::{Instant, interval, timeout};

/// How long the event may take to arrive, and its attempt to be recorded.
pub(super) const STEP_TIMEOUT: Duration = Duration::from_secs(20);
/// How often the record is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// The event, as a back end writes it.
pub(super) const EVENT: &str =
    r#"{"eventType": "order.paid", "payload": {"order": "A-1001", "amount": "49.90", "currency": "EUR"}}"#;

/// Whom the steps speak with.
pub(super) struct Demo<'a> {
    pub api: &'a ApiClient,
    pub receiver: DevReceiver,
    pub clock: &'a dyn Clock,
}

/// What the demo has: an application and an endpoint.
pub(super) struct SetUp {
    pub application_id: String,
    pub endpoint_id: String,
    pub endpoint_url: String,
    /// Whether it was there from an earlier run.
    pub again: bool,
    secret: Secret,
}

/// The event, accepted.
pub(super) struct Sent {
    pub message_id: String,
    pub status: StatusCode,
    pub took: Duration,
    started: Instant,
}

/// The event at the receiver.
pub(super) struct Arrived {
    pub request: Received,
    /// From the moment before the event was posted.
    pub after: Duration,
    /// What the receiver's own check of the signature found.
    pub verified: Result<(), String>,
}

impl Demo<'_> {
    pub(super) async fn set_up(&self) -> Result<SetUp, Failure> {
        let application = json!({ "name": "Demo", "uid": "demo" });
        let application =
            self.call(Method::POST, "/api/v1/app?get_if_exists=true", Some(&application)).await?;
        let (endpoint, again) = self.endpoint().await?;
        let secret = self.call(Method::GET, "/api/v1/app/demo/endpoint/receiver/secret", None).await?;
        Ok(SetUp {
            application_id: text(&application, "id")?,
            endpoint_id: text(&endpoint, "id")?,
            endpoint_url: text(&endpoint, "url")?,
            again,
            secret: Secret::parse(&text(&secret, "key")?)
                .map_err(|error| unexpected(&format!("a secret of which is to say: {error}")))?,
        })
    }

    /// The endpoint of an earlier run is pointed at this run's receiver, and what would keep the event from it is undone.
    async fn endpoint(&self) -> Result<(Value, bool), Failure> {
        let path = "/api/v1/app/demo/endpoint";
        let url = json!({
            "url": self.receiver.url(), "disabled": false, "paused": false, "eventTypes": null, "channels": null
        });
        match self.api.call(Method::PATCH, &format!("{path}/receiver"), Some(&url)).await {
            Ok(endpoint) => Ok((endpoint, true)),
            Err(CallError::Refused { status: StatusCode::NOT_FOUND, .. }) => {
                let new = json!({
                    "url": self.receiver.url(), "uid": "receiver", "description": "the receiver of posthaste dev"
                });
                Ok((self.call(Method::POST, path, Some(&new)).await?, false))
            }
            Err(error) => Err(refused("the demo's endpoint", &error)),
        }
    }

    pub(super) async fn send(&self) -> Result<Sent, Failure> {
        let started = Instant::now();
        let sent =
            self.api.send(Method::POST, "/api/v1/app/demo/msg", Some(Bytes::from_static(EVENT.as_bytes())));
        let (status, answer) = sent.await.map_err(|error| refused("the event", &error))?;
        let took = started.elapsed();
        let json =
            serde_json::from_slice(&answer).map_err(|_| unexpected(&String::from_utf8_lossy(&answer)))?;
        Ok(Sent { message_id: text(&json, "id")?, status, took, started })
    }

    /// Waits for the event at the receiver, [`STEP_TIMEOUT`] at most; what arrives of earlier runs is passed over.
    pub(super) async fn arrival(&mut self, setup: &SetUp, sent: &Sent) -> Result<Option<Arrived>, Failure> {
        let ours = async {
            loop {
                let request = self.receiver.next().await?;
                if request.header("webhook-id") == sent.message_id
                    || request.header("svix-id") == sent.message_id
                {
                    return Ok::<_, Failure>(request);
                }
            }
        };
        let Ok(request) = timeout(STEP_TIMEOUT, ours).await else { return Ok(None) };
        let request = request?;
        let verified = self.verify(&setup.secret, &request);
        Ok(Some(Arrived { after: request.at.duration_since(sent.started), verified, request }))
    }

    /// What the customer's code does with the request.
    fn verify(&self, secret: &Secret, request: &Received) -> Result<(), String> {
        let prefix = if request.headers.contains_key("webhook-id") { "webhook" } else { "svix" };
        let header = |name: &str| request.header(&format!("{prefix}-{name}"));
        signing::verify(
            secret,
            header("id"),
            header("timestamp"),
            header("signature"),
            &request.body,
            self.clock.now().seconds(),
            signing::TOLERANCE_SECONDS,
        )
        .map_err(|error| error.to_string())
    }

    /// Waits for the attempt in the record, [`STEP_TIMEOUT`] at most.
    pub(super) async fn record(&self, setup: &SetUp, sent: &Sent) -> Result<Option<Value>, Failure> {
        let path = format!("/api/v1/app/demo/attempt/msg/{}", sent.message_id);
        let look = async {
            let mut looks = interval(LOOK_EVERY);
            loop {
                looks.tick().await;
                let list = self.call(Method::GET, &path, None).await?;
                // The newcomer may have made other endpoints by now: theirs are not this story's.
                let attempts = list.get("data").and_then(Value::as_array);
                let ours = |attempt: &&Value| {
                    attempt.get("endpointId").and_then(Value::as_str) == Some(setup.endpoint_id.as_str())
                };
                if let Some(attempt) = attempts.and_then(|attempts| attempts.iter().find(ours)) {
                    return Ok::<_, Failure>(attempt.clone());
                }
            }
        };
        timeout(STEP_TIMEOUT, look).await.ok().transpose()
    }

    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let what = format!("{method} {path}");
        self.api.call(method, path, body).await.map_err(|error| refused(&what, &error))
    }
}

fn text(value: &Value, field: &str) -> Result<String, Failure> {
    value.get(field).and_then(Value::as_str).map(str::to_owned).ok_or_else(|| unexpected(&value.to_string()))
}

fn refused(what: &str, error: &CallError) -> Failure {
    Failure::Refused(format!("{what} was refused by the server that `dev` just started: {error}"))
}

fn unexpected(answer: &str) -> Failure {
    Failure::Refused(format!(
        "the server that `dev` just started answered something else than expected: {answer}"
    ))
}
