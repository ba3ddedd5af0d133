//! Routes that try an endpoint out: a dry run, which sends nothing, and a check, which sends a ping.

use crate::Api;
use crate::answer::Answer;
use crate::endpoint_options::OptionsIn;
use crate::error::{Errors, Outcome};
use crate::json::Field;
use crate::path::{AppPath, At, EndpointPath};
use crate::received::Received;
use crate::wire;
use app::check::Looked;
use app::dry_run::{Trial, Tried};
use app::{App, Problems};
use axum::extract::State;
use bytes::Bytes;
use domain::clock::Timestamp;
use domain::name::Metadata;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(try_new)).routes(routes!(try_out)).routes(routes!(check))
}

/// An event to try out, with what is changed of the endpoint for this once.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TrialIn {
    /// The event type.
    #[serde(default)]
    #[schema(value_type = String, required)]
    event_type: Field<String>,
    /// The payload; the event type's example unless told otherwise.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    payload: Field<Map<String, Value>>,
    /// The context.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    context: Field<Map<String, Value>>,
    /// The channels that it goes to.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    channels: Field<Vec<String>>,
    /// Headers that come with the message.
    #[serde(default)]
    #[schema(value_type = Option<Metadata>)]
    headers: Field<Metadata>,
    /// Where it would go.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    url: Field<String>,
    /// What is changed of the endpoint for this once.
    #[serde(flatten)]
    own: OptionsIn,
}

/// The payload's and the context's own bytes.
#[derive(Default, Deserialize)]
struct Raw<'a> {
    #[serde(borrow, default)]
    payload: Option<&'a RawValue>,
    #[serde(borrow, default)]
    context: Option<&'a RawValue>,
}

/// What would be sent.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TrialRequestOut {
    /// The method.
    method: String,
    /// Where it goes.
    url: String,
    /// The headers; credentials by name only.
    headers: Metadata,
    /// The body.
    body: String,
}

/// What a dry run found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TriedOut {
    /// Whether the event is for the endpoint: by its event type, and by the filter.
    matches: bool,
    /// Whether the transformation wants it not to be sent.
    canceled: bool,
    /// What would be sent.
    request: Option<TrialRequestOut>,
    /// Why nothing could be.
    error: Option<String>,
}

/// What a check may be told.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(crate) struct CheckIn {
    /// Asks for CloudEvents' handshake first.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    handshake: Field<bool>,
}

/// How TLS stands.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TlsOut {
    /// The version.
    version: String,
    /// The cipher suite.
    cipher: String,
    /// Whom the certificate is for.
    subject: String,
    /// Who signed it.
    issuer: String,
    /// When it expires.
    #[serde(serialize_with = "wire::time")]
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

/// What a check found.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CheckOut {
    /// Whether deliveries would succeed, as far as one can tell.
    ok: bool,
    /// The status of the answer; null when there was none.
    status: Option<u16>,
    /// Connecting included.
    latency_ms: u64,
    /// The address that was reached.
    address: Option<String>,
    /// How TLS stands; null for plain http.
    tls: Option<TlsOut>,
    /// Whether the receiver agreed to CloudEvents, where it was asked.
    handshake: Option<bool>,
    /// What it means, in a sentence or two.
    verdict: String,
}

fn read(app: &App, received: &Received) -> Outcome<Trial> {
    let given: TrialIn = received.json()?;
    let raw: Raw<'_> = serde_json::from_slice(&received.body).unwrap_or_default();
    let problems = &mut Problems::default();
    let payload = given.payload.optional("payload", problems);
    let context = given.context.optional("context", problems);
    let trial = Trial {
        event_type: given.event_type.required("eventType", problems),
        payload: payload.and(raw.payload).map(|raw| Bytes::copy_from_slice(raw.get().as_bytes())),
        context: context.and(raw.context).map(|raw| raw.get().to_owned()),
        channels: given.channels.optional("channels", problems).unwrap_or_default(),
        headers: given.headers.optional("headers", problems).unwrap_or_default().into_iter().collect(),
        url: given.url.optional("url", problems),
        options: given.own.read(&|ed25519| app.spare_key(ed25519), problems),
    };
    std::mem::take(problems).finish()?;
    Ok(trial)
}

impl TriedOut {
    fn of(tried: Tried) -> Self {
        let request = tried.request.map(|request| TrialRequestOut {
            method: request.method,
            url: request.url,
            headers: request.headers.into_iter().collect(),
            body: request.body,
        });
        Self { matches: tried.matches, canceled: tried.canceled, request, error: tried.error }
    }
}

impl CheckOut {
    fn of(looked: Looked) -> Self {
        let tls = looked.tls.map(|tls| TlsOut {
            version: tls.version,
            cipher: tls.cipher,
            subject: tls.subject,
            issuer: tls.issuer,
            expires_at: Timestamp::from_seconds(tls.expires_at),
        });
        let Looked { ok, status, latency_ms, address, handshake, verdict, .. } = looked;
        Self { ok, status, latency_ms, address, tls, handshake, verdict }
    }
}

/// Shows what an endpoint that is not there yet would be sent. Nothing leaves.
#[utoipa::path(post, path = "/api/v1/app/{app_id}/simulate", operation_id = "v1.endpoint.simulate-new",
    tag = "Endpoint", params(AppPath), request_body = TrialIn,
    responses((status = 200, body = TriedOut), Errors))]
async fn try_new(State(app): State<App>, At(at): At<AppPath>, received: Received) -> Outcome {
    let trial = read(&app, &received)?;
    Ok(Answer::ok(&TriedOut::of(app.trial_new(&received.principal, &at.app_id, trial).await?)))
}

/// Shows what an endpoint would be sent. Nothing leaves.
#[utoipa::path(post, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/simulate",
    operation_id = "v1.endpoint.simulate", tag = "Endpoint", params(EndpointPath), request_body = TrialIn,
    responses((status = 200, body = TriedOut), Errors))]
async fn try_out(State(app): State<App>, At(at): At<EndpointPath>, received: Received) -> Outcome {
    let trial = read(&app, &received)?;
    Ok(Answer::ok(&TriedOut::of(app.trial(at.by(&received.principal), trial).await?)))
}

/// Sends `posthaste.ping` to an endpoint and tells what came of it.
#[utoipa::path(post, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/check",
    operation_id = "v1.endpoint.check", tag = "Endpoint", params(EndpointPath), request_body = CheckIn,
    responses((status = 200, body = CheckOut), Errors))]
async fn check(State(app): State<App>, At(at): At<EndpointPath>, received: Received) -> Outcome {
    let mut problems = Problems::default();
    let given = if received.body.is_empty() { CheckIn::default() } else { received.json()? };
    let handshake = given.handshake.optional("handshake", &mut problems).unwrap_or_default();
    problems.finish()?;
    Ok(Answer::ok(&CheckOut::of(app.endpoint_check(at.by(&received.principal), handshake).await?)))
}
