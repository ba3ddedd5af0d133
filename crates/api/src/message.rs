//! Routes of messages. [`create`] is THE HOT PATH: no layer stands around it.

use crate::answer::Answer;
use crate::caller::Caller;
use crate::error::{Errors, Outcome};
use crate::guard::caught;
use crate::message_in::MessageIn;
use crate::message_out::{self, MessageOut};
use crate::page::{ListResponse, Out, PageQuery};
use crate::path::{AppPath, At, IdempotencyKey, MessagePath};
use crate::query::{Asked, FromQuery, Query};
use crate::received::Received;
use crate::{Api, message_in};
use app::App;
use app::list::Listing;
use app::message::MessageFilter;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use domain::clock::Timestamp;
use domain::message::Message;
use domain::name::{check_channel, check_plain, check_tag};
use domain::page::Order;
use http::{Request, StatusCode};
use std::fmt::Display;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get)).routes(routes!(expunge))
}

/// The hot route, which guards itself.
pub(crate) fn hot_router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(create))
}

/// Whether payloads are shown.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ContentQuery {
    /// Shows payloads and answers; `true` unless told otherwise.
    #[param(required = false)]
    pub(crate) with_content: bool,
}

/// Which messages a list shows.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct FilterQuery {
    /// Only those posted to this channel.
    pub(crate) channel: Option<String>,
    /// Only those with this tag.
    pub(crate) tag: Option<String>,
    /// Before this moment; at most 90 days after `after`.
    #[param(value_type = Option<String>, format = DateTime)]
    pub(crate) before: Option<Timestamp>,
    /// After this moment; at most 90 days before `before`.
    #[param(value_type = Option<String>, format = DateTime)]
    pub(crate) after: Option<Timestamp>,
    /// Only these event types.
    #[param(required = false)]
    pub(crate) event_types: Vec<String>,
}

impl FromQuery for ContentQuery {
    fn read(query: &Query<'_>) -> Outcome<Self> {
        Ok(Self { with_content: query.flag("with_content", true)? })
    }
}

impl FromQuery for FilterQuery {
    fn read(query: &Query<'_>) -> Outcome<Self> {
        Ok(Self {
            channel: query.checked("channel", check_channel)?,
            tag: query.checked("tag", check_tag)?,
            before: query.time("before")?,
            after: query.time("after")?,
            event_types: query.list("event_types", check_plain)?,
        })
    }
}

/// Accepts a message: when this answers, it is durable and will be delivered.
#[utoipa::path(post, path = "/api/v1/app/{app_id}/msg", operation_id = "v1.message.create", tag = "Message",
    params(AppPath, ContentQuery, IdempotencyKey), request_body = MessageIn,
    responses((status = 202, body = MessageOut), Errors))]
async fn create(State(app): State<App>, At(at): At<AppPath>, received: Received) -> Response {
    caught(accept(&app, &at.app_id, received)).await
}

/// The same without a router.
pub(crate) async fn create_hot<B>(api: &Api, application: String, request: Request<B>) -> Response
where
    B: http_body::Body<Data = Bytes, Error: Display> + Send + Unpin,
{
    caught(async {
        let received = Received::read(request, api).await?;
        accept(&api.app, &application, received).await
    })
    .await
}

async fn accept(app: &App, application: &str, received: Received) -> Outcome {
    let ContentQuery { with_content } = received.query()?;
    let event = message_in::read(&received.body)?;
    let (message, warnings) = app.message_create(received.posted(), application, event).await?;
    let mut out = Vec::new();
    message_out::write(&mut out, app, &message, with_content);
    if !warnings.is_empty() {
        message_out::add_warnings(&mut out, &warnings);
    }
    Ok(Answer { status: StatusCode::ACCEPTED, body: out.into() })
}

/// Lists an application's messages, newest first.
#[utoipa::path(get, path = "/api/v1/app/{app_id}/msg", operation_id = "v1.message.list", tag = "Message",
    params(AppPath, FilterQuery, ContentQuery, PageQuery),
    responses((status = 200, body = ListResponse<MessageOut>), Errors))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    At(at): At<AppPath>,
    Asked((asked, content, page)): Asked<(FilterQuery, ContentQuery, PageQuery)>,
) -> Outcome {
    let FilterQuery { channel, tag, before, after, event_types } = asked;
    let filter = MessageFilter { event_types, channel, tag, before, after, ..MessageFilter::default() };
    let page = page.page(Order::Descending, |text| app.ids().read_message(text))?;
    let slice = app.message_list(&caller, &at.app_id, Listing { filter, page }).await?;
    let (app, with_content) = (&app, content.with_content);
    let item = |message: Message| (app.ids().message(message.id), Shown { app, message, with_content });
    Ok(ListResponse::of(slice.map(item)).answer())
}

/// Reads a message.
#[utoipa::path(get, path = "/api/v1/app/{app_id}/msg/{msg_id}", operation_id = "v1.message.get", tag = "Message",
    params(MessagePath, ContentQuery), responses((status = 200, body = MessageOut), Errors))]
async fn get(
    State(app): State<App>,
    caller: Caller,
    At(at): At<MessagePath>,
    Asked(content): Asked<ContentQuery>,
) -> Outcome {
    let message = app.message_get(at.by(&caller)).await?;
    Ok(answer(StatusCode::OK, &app, &message, content.with_content))
}

/// Removes a message's payload for good.
#[utoipa::path(delete, path = "/api/v1/app/{app_id}/msg/{msg_id}/content",
    operation_id = "v1.message.expunge-content", tag = "Message", params(MessagePath),
    responses((status = 204), Errors))]
async fn expunge(State(app): State<App>, caller: Caller, At(at): At<MessagePath>) -> Outcome {
    app.message_expunge(at.by(&caller)).await?;
    Ok(Answer::nothing())
}

struct Shown<'a> {
    app: &'a App,
    message: Message,
    with_content: bool,
}

impl Out for Shown<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        message_out::write(out, self.app, &self.message, self.with_content);
    }
}

/// A message as an answer.
pub(crate) fn answer(status: StatusCode, app: &App, message: &Message, with_content: bool) -> Answer {
    let mut out = Vec::new();
    message_out::write(&mut out, app, message, with_content);
    Answer { status, body: out.into() }
}
