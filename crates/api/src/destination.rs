//! Routes of deliveries as two lists: an endpoint's messages, and a message's endpoints.

use crate::answer::put;
use crate::attempt::StatusQuery;
use crate::caller::Caller;
use crate::endpoint::EndpointOut;
use crate::error::{Errors, Outcome};
use crate::message::{ContentQuery, FilterQuery};
use crate::message_out;
use crate::page::{ListResponse, Out, PageQuery, id_of};
use crate::path::{At, EndpointPath, MessagePath};
use crate::query::{Asked, FromQuery, Query};
use crate::{Api, wire};
use app::App;
use app::attempt::EndpointMessage;
use app::list::Listing;
use axum::extract::State;
use domain::clock::Timestamp;
use domain::page::Order;
use domain::wire_id::Kind;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(messages)).routes(routes!(endpoints))
}

/// A message with what became of it at one endpoint.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes what `ShownThere` writes")]
pub(crate) struct EndpointMessageOut {
    /// The message's id.
    id: String,
    /// The client's own id.
    event_id: Option<String>,
    /// The event type.
    event_type: String,
    /// The event as it was posted; `{"expired":true}` when it is not kept any more.
    #[schema(value_type = Object)]
    payload: (),
    /// Channels that it was posted to.
    channels: Option<Vec<String>>,
    /// Labels.
    tags: Option<Vec<String>>,
    /// When it is delivered, if later than at once.
    #[schema(format = DateTime)]
    deliver_at: Option<String>,
    /// When it was accepted.
    #[schema(format = DateTime)]
    timestamp: String,
    /// 0 success, 1 pending, 2 fail, 3 sending, 4 canceled.
    status: u8,
    /// The same as a word.
    status_text: String,
    /// When it is tried next.
    #[schema(format = DateTime)]
    next_attempt: Option<String>,
}

struct ShownThere<'a> {
    app: &'a App,
    found: EndpointMessage,
    with_content: bool,
    expanded: bool,
}

impl Out for ShownThere<'_> {
    /// The message's own JSON, with its state there put before the closing brace.
    fn write(&self, out: &mut Vec<u8>) {
        let (status, text) = wire::status(self.found.state, self.expanded);
        message_out::write(out, self.app, &self.found.message, self.with_content);
        out.pop();
        out.extend_from_slice(b",\"status\":");
        put(out, &status);
        out.extend_from_slice(b",\"statusText\":");
        put(out, &text);
        out.extend_from_slice(b",\"nextAttempt\":");
        put(out, &self.found.next_attempt.map(|time| time.to_string()));
        out.push(b'}');
    }
}

/// An endpoint with what became of one message there.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MessageEndpointOut {
    #[serde(flatten)]
    endpoint: EndpointOut,
    /// 0 success, 1 pending, 2 fail, 3 sending, 4 canceled.
    status: u8,
    /// The same as a word.
    status_text: &'static str,
    /// When it is tried next.
    #[serde(serialize_with = "wire::optional_time")]
    #[schema(value_type = Option<String>, format = DateTime)]
    next_attempt: Option<Timestamp>,
}

/// Which words a list uses for states.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExpandedQuery {
    /// Tells canceled from failed.
    #[param(required = false)]
    expanded_statuses: bool,
}

impl FromQuery for ExpandedQuery {
    fn read(query: &Query<'_>) -> Outcome<Self> {
        Ok(Self { expanded_statuses: query.flag("expanded_statuses", false)? })
    }
}

/// Lists an endpoint's messages, each once with its latest state.
#[utoipa::path(get, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/msg",
    operation_id = "v1.message-attempt.list-attempted-messages", tag = "Message Attempt",
    params(EndpointPath, FilterQuery, StatusQuery, ContentQuery, PageQuery),
    responses((status = 200, body = ListResponse<EndpointMessageOut>), Errors))]
async fn messages(
    State(app): State<App>,
    caller: Caller,
    At(at): At<EndpointPath>,
    Asked(asked): Asked<((FilterQuery, StatusQuery), (ContentQuery, PageQuery))>,
) -> Outcome {
    let ((filter, status), (content, page)) = asked;
    let listing = Listing {
        filter: filter.of_attempts(status.status_code_class),
        page: page.page(Order::Descending, |text| app.ids().read_message(text))?,
    };
    let expanded = status.expanded_statuses;
    let slice = app.messages_of_endpoint(at.by(&caller), (status.status, expanded), listing).await?;
    let (app, with_content) = (&app, content.with_content);
    let item = |found: EndpointMessage| {
        (app.ids().message(found.message.id), ShownThere { app, found, with_content, expanded })
    };
    Ok(ListResponse::of(slice.map(item)).answer())
}

/// Lists a message's endpoints with its latest state at each.
#[utoipa::path(get, path = "/api/v1/app/{app_id}/msg/{msg_id}/endpoint",
    operation_id = "v1.message-attempt.list-attempted-destinations", tag = "Message Attempt",
    params(MessagePath, ExpandedQuery, PageQuery),
    responses((status = 200, body = ListResponse<MessageEndpointOut>), Errors))]
async fn endpoints(
    State(app): State<App>,
    caller: Caller,
    At(at): At<MessagePath>,
    Asked((status, page)): Asked<(ExpandedQuery, PageQuery)>,
) -> Outcome {
    let page = page.page(Order::Ascending, id_of(Kind::Endpoint))?;
    let slice = app.endpoints_of_message(at.by(&caller), page).await?;
    let now = app.now();
    let item = |shown: app::attempt::ShownDestination| {
        let (status, status_text) = wire::status(shown.delivery.state, status.expanded_statuses);
        let next_attempt = shown.delivery.next_attempt;
        let endpoint = EndpointOut::of(&shown.endpoint, now);
        (endpoint.id.clone(), MessageEndpointOut { endpoint, status, status_text, next_attempt })
    };
    Ok(ListResponse::of(slice.map(item)).answer())
}
