//! Routes of attempts.

use crate::answer::Answer;
use crate::caller::Caller;
use crate::error::{Errors, Outcome};
use crate::message::{ContentQuery, FilterQuery};
use crate::message_out::{self, MessageOut};
use crate::page::{ListResponse, PageQuery};
use crate::path::{At, AttemptPath, EndpointPath, MessagePath};
use crate::query::{Asked, FromQuery, Query};
use crate::{Api, wire};
use app::attempt::{AttemptFilter, AttemptQuery, AttemptState, ShownAttempt};
use app::{App, AppError};
use axum::extract::State;
use domain::attempt::{Outcome as Came, Trigger};
use domain::clock::Timestamp;
use domain::delivery::DeliveryState;
use domain::name::check_plain;
use domain::page::Order;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list_by_endpoint))
        .routes(routes!(list_by_message))
        .routes(routes!(get))
        .routes(routes!(expunge))
}

/// An attempt.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MessageAttemptOut {
    /// Its id.
    id: String,
    /// The message.
    msg_id: String,
    /// The endpoint.
    endpoint_id: String,
    /// Where the request went.
    url: String,
    /// The answer's body, or a sentence on why there was none.
    response: String,
    /// The answer's status; 0 when there was none.
    response_status_code: u16,
    /// From the request to the last byte of the answer.
    response_duration_ms: u32,
    /// 0 success, 2 fail.
    status: u8,
    /// The same as a word.
    status_text: &'static str,
    /// 0 by itself, 1 because someone asked for it.
    trigger_type: u8,
    /// When the request was sent.
    #[serde(serialize_with = "wire::time")]
    #[schema(value_type = String, format = DateTime)]
    timestamp: Timestamp,
    /// The message, with `with_msg=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<MessageOut>)]
    msg: Option<Box<RawValue>>,
}

/// Which states a list shows.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct StatusQuery {
    /// 0 success, 1 pending, 2 fail, 3 sending, 4 canceled.
    #[param(value_type = Option<u8>, maximum = 4)]
    pub(crate) status: Option<DeliveryState>,
    /// Only answers of this class: 0 for none, 100, 200, 300, 400, 500.
    pub(crate) status_code_class: Option<u16>,
    /// Tells canceled from failed.
    #[param(required = false)]
    pub(crate) expanded_statuses: bool,
}

/// What else an endpoint's list shows.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct WithMessageQuery {
    /// Shows each attempt's message.
    #[param(required = false)]
    with_msg: bool,
}

/// Which attempts of a message are shown.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ToEndpointQuery {
    /// Only those to this endpoint (id or uid).
    endpoint_id: Option<String>,
}

type ShownQuery = (FilterQuery, StatusQuery, ContentQuery);

impl FromQuery for StatusQuery {
    fn read(query: &Query<'_>) -> Outcome<Self> {
        let status = query.number("status")?.map(|number| {
            let message =
                format!("{number} is no status: 0 success, 1 pending, 2 fail, 3 sending, 4 canceled");
            wire::state(number).ok_or_else(|| AppError::invalid_query("status", message))
        });
        let class = query.number("status_code_class")?.map(|number| {
            let known = matches!(number, 0 | 100 | 200 | 300 | 400 | 500).then_some(number as u16);
            let message = format!("{number} is no class: 0 for no answer, 100, 200, 300, 400 or 500");
            known.ok_or_else(|| AppError::invalid_query("status_code_class", message))
        });
        Ok(Self {
            status: status.transpose()?,
            status_code_class: class.transpose()?,
            expanded_statuses: query.flag("expanded_statuses", false)?,
        })
    }
}

impl FromQuery for WithMessageQuery {
    fn read(query: &Query<'_>) -> Outcome<Self> {
        Ok(Self { with_msg: query.flag("with_msg", false)? })
    }
}

impl FromQuery for ToEndpointQuery {
    fn read(query: &Query<'_>) -> Outcome<Self> {
        Ok(Self { endpoint_id: query.checked("endpoint_id", check_plain)? })
    }
}

impl FilterQuery {
    /// The filter of attempts.
    pub(crate) fn of_attempts(self, status_class: Option<u16>) -> AttemptFilter {
        let Self { channel, tag, before, after, event_types } = self;
        AttemptFilter { event_types, channel, tag, before, after, status_class, ..AttemptFilter::default() }
    }
}

impl MessageAttemptOut {
    fn of(app: &App, shown: ShownAttempt, with_content: bool) -> Self {
        let record = shown.attempt.record;
        let succeeded = record.outcome == Came::Succeeded;
        let response =
            if with_content { String::from_utf8_lossy(&record.response).into_owned() } else { String::new() };
        Self {
            id: app.ids().attempt(shown.attempt.id),
            msg_id: app.ids().message(record.message),
            endpoint_id: shown.endpoint,
            url: record.url,
            response,
            response_status_code: record.status,
            response_duration_ms: record.duration_ms,
            status: if succeeded { 0 } else { 2 },
            status_text: if succeeded { "success" } else { "fail" },
            trigger_type: u8::from(record.trigger != Trigger::Message),
            timestamp: record.started_at,
            msg: shown.message.and_then(|message| message_out::raw(app, &message, with_content)),
        }
    }
}

/// What a state of deliveries means for attempts: each of them succeeded or failed.
fn of_attempt(state: DeliveryState) -> AttemptState {
    match state {
        DeliveryState::Succeeded => AttemptState::Succeeded,
        DeliveryState::Failed => AttemptState::Failed,
        DeliveryState::Pending | DeliveryState::Sending | DeliveryState::Canceled => AttemptState::None,
    }
}

/// Lists an endpoint's attempts, newest first.
#[utoipa::path(get, path = "/api/v1/app/{app_id}/attempt/endpoint/{endpoint_id}",
    operation_id = "v1.message-attempt.list-by-endpoint", tag = "Message Attempt",
    params(EndpointPath, FilterQuery, StatusQuery, ContentQuery, WithMessageQuery, PageQuery),
    responses((status = 200, body = ListResponse<MessageAttemptOut>), Errors))]
async fn list_by_endpoint(
    State(app): State<App>,
    caller: Caller,
    At(at): At<EndpointPath>,
    Asked(asked): Asked<(ShownQuery, (WithMessageQuery, PageQuery))>,
) -> Outcome {
    let ((filter, status, content), (extra, page)) = asked;
    let query = AttemptQuery {
        state: status.status.map(of_attempt),
        endpoint: None,
        with_messages: extra.with_msg,
        filter: filter.of_attempts(status.status_code_class),
        page: page.page(Order::Descending, |text| app.ids().read_attempt(text))?,
    };
    let slice = app.attempt_list_by_endpoint(at.by(&caller), query).await?;
    let item = |shown| item(&app, shown, content.with_content);
    Ok(ListResponse::of(slice.map(item)).answer())
}

/// Lists a message's attempts, newest first.
#[utoipa::path(get, path = "/api/v1/app/{app_id}/attempt/msg/{msg_id}",
    operation_id = "v1.message-attempt.list-by-msg", tag = "Message Attempt",
    params(MessagePath, FilterQuery, StatusQuery, ContentQuery, ToEndpointQuery, PageQuery),
    responses((status = 200, body = ListResponse<MessageAttemptOut>), Errors))]
async fn list_by_message(
    State(app): State<App>,
    caller: Caller,
    At(at): At<MessagePath>,
    Asked(asked): Asked<(ShownQuery, (ToEndpointQuery, PageQuery))>,
) -> Outcome {
    let ((filter, status, content), (extra, page)) = asked;
    let query = AttemptQuery {
        state: status.status.map(of_attempt),
        endpoint: extra.endpoint_id,
        with_messages: false,
        filter: filter.of_attempts(status.status_code_class),
        page: page.page(Order::Descending, |text| app.ids().read_attempt(text))?,
    };
    let slice = app.attempt_list_by_message(at.by(&caller), query).await?;
    let item = |shown| item(&app, shown, content.with_content);
    Ok(ListResponse::of(slice.map(item)).answer())
}

/// Reads an attempt.
#[utoipa::path(get, path = "/api/v1/app/{app_id}/msg/{msg_id}/attempt/{attempt_id}",
    operation_id = "v1.message-attempt.get", tag = "Message Attempt", params(AttemptPath, StatusQuery),
    responses((status = 200, body = MessageAttemptOut), Errors))]
async fn get(State(app): State<App>, caller: Caller, At(at): At<AttemptPath>) -> Outcome {
    let shown = app.attempt_get(at.message(&caller), &at.attempt_id).await?;
    Ok(Answer::ok(&MessageAttemptOut::of(&app, shown, true)))
}

/// Removes an attempt's stored answer for good.
#[utoipa::path(delete, path = "/api/v1/app/{app_id}/msg/{msg_id}/attempt/{attempt_id}/content",
    operation_id = "v1.message-attempt.expunge-content", tag = "Message Attempt", params(AttemptPath),
    responses((status = 204), Errors))]
async fn expunge(State(app): State<App>, caller: Caller, At(at): At<AttemptPath>) -> Outcome {
    app.attempt_expunge(at.message(&caller), &at.attempt_id).await?;
    Ok(Answer::nothing())
}

fn item(app: &App, shown: ShownAttempt, with_content: bool) -> (String, MessageAttemptOut) {
    let out = MessageAttemptOut::of(app, shown, with_content);
    (out.id.clone(), out)
}
