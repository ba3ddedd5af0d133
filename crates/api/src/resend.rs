//! Routes that send something to endpoints: a message again, to one or to all, or an example to one.

use crate::Api;
use crate::answer::Answer;
use crate::error::{Errors, Outcome};
use crate::json::Field;
use crate::message;
use crate::message_out::MessageOut;
use crate::once::once;
use crate::path::{At, DeliveryPath, EndpointPath, IdempotencyKey, MessagePath};
use crate::received::Received;
use app::delivery::Skipped;
use app::{App, Problems};
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(resend)).routes(routes!(resend_all)).routes(routes!(example))
}

/// Nothing to tell.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EmptyResponse {}

/// To which endpoints a message is sent again.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(crate) struct ResendIn {
    /// To these alone (ids or uids), whether or not the message was for them; by default to all that it was for.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    endpoints: Field<Vec<String>>,
}

/// What became of it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ResendOut {
    /// To how many endpoints the message is sent.
    queued: usize,
    /// Those that it is not sent to.
    skipped: Vec<SkippedOut>,
}

/// An endpoint that was left out.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SkippedOut {
    /// Its id.
    endpoint_id: String,
    /// Why.
    reason: &'static str,
}

/// Which example is sent.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EventExampleIn {
    /// The event type; `svix.ping` always has an example.
    #[serde(default)]
    #[schema(value_type = String, required)]
    event_type: Field<String>,
    /// Which of its examples.
    #[serde(default)]
    #[schema(value_type = Option<u64>, minimum = 0)]
    example_index: Field<u64>,
}

/// Sends a message to an endpoint again, whatever its filters say.
#[utoipa::path(post, path = "/api/v1/app/{app_id}/msg/{msg_id}/endpoint/{endpoint_id}/resend",
    operation_id = "v1.message-attempt.resend", tag = "Message Attempt", params(DeliveryPath, IdempotencyKey),
    responses((status = 202, body = EmptyResponse), Errors))]
async fn resend(State(app): State<App>, At(at): At<DeliveryPath>, received: Received) -> Outcome {
    let principal = Arc::clone(&received.principal);
    once(&app.clone(), &received, async move {
        app.resend(at.message(&principal), &at.endpoint_id).await?;
        Ok(Answer::json(StatusCode::ACCEPTED, &EmptyResponse {}))
    })
    .await
}

/// Sends a message again to all endpoints that it was for, or to some.
#[utoipa::path(post, path = "/api/v1/app/{app_id}/msg/{msg_id}/resend", operation_id = "v1.message.resend",
    tag = "Message", params(MessagePath, IdempotencyKey), request_body = ResendIn,
    responses((status = 202, body = ResendOut), Errors))]
async fn resend_all(State(app): State<App>, At(at): At<MessagePath>, received: Received) -> Outcome {
    let input = if received.body.is_empty() { ResendIn::default() } else { received.json()? };
    let mut problems = Problems::default();
    let endpoints = input.endpoints.optional("endpoints", &mut problems);
    problems.finish()?;
    let principal = Arc::clone(&received.principal);
    once(&app.clone(), &received, async move {
        let sent = app.resend_all(at.by(&principal), endpoints).await?;
        let skipped = |one: Skipped| SkippedOut { endpoint_id: one.endpoint, reason: one.reason };
        let skipped = sent.skipped.into_iter().map(skipped).collect();
        Ok(Answer::json(StatusCode::ACCEPTED, &ResendOut { queued: sent.queued, skipped }))
    })
    .await
}

/// Sends an event type's example to an endpoint.
#[utoipa::path(post, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/send-example",
    operation_id = "v1.endpoint.send-example", tag = "Endpoint", params(EndpointPath, IdempotencyKey),
    request_body = EventExampleIn, responses((status = 202, body = MessageOut), Errors))]
async fn example(State(app): State<App>, At(at): At<EndpointPath>, received: Received) -> Outcome {
    let input: EventExampleIn = received.json()?;
    let mut problems = Problems::default();
    let event_type = input.event_type.required("eventType", &mut problems);
    let index = input.example_index.optional("exampleIndex", &mut problems).unwrap_or_default();
    problems.finish()?;
    let principal = Arc::clone(&received.principal);
    once(&app.clone(), &received, async move {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        let sent = app.example_send(at.by(&principal), &event_type, index).await?;
        Ok(message::answer(StatusCode::ACCEPTED, &app, &sent, true))
    })
    .await
}
