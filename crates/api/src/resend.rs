//! Routes that send something to one endpoint: a message again, or an example.

use crate::Api;
use crate::answer::Answer;
use crate::error::{Errors, Outcome};
use crate::json::Field;
use crate::message;
use crate::message_out::MessageOut;
use crate::once::once;
use crate::path::{At, DeliveryPath, EndpointPath, IdempotencyKey};
use crate::received::Received;
use app::{App, Problems};
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(resend)).routes(routes!(example))
}

/// Nothing to tell.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EmptyResponse {}

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
