//! The route of what happened to an application's webhooks.

use crate::Api;
use crate::caller::Caller;
use crate::endpoint::AnswerOut;
use crate::error::{Errors, Outcome};
use crate::page::{ListResponse, OrderQuery, PageQuery};
use crate::path::{AppPath, At};
use crate::query::{Asked, FromQuery, Query};
use app::App;
use app::notice::ShownNotice;
use axum::extract::State;
use domain::clock::Timestamp;
use domain::page::Order;
use domain::word::Worded;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list))
}

/// What happened to a webhook.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NoticeOut {
    /// Its id.
    id: String,
    /// `failing`, `disabled`, `enabled`, `recovered`, `exhausted`, `secretExpiring` or `certificateExpiring`.
    kind: &'static str,
    /// The webhook.
    endpoint_id: String,
    /// When it happened.
    #[schema(format = DateTime)]
    at: String,
    /// In a few words.
    title: String,
    /// In sentences.
    text: String,
    /// How many events wait now, of webhooks that fail or are disabled.
    waiting: Option<u64>,
    /// Where people see and mend it.
    link: String,
    /// Since when it fails, or failed.
    #[schema(value_type = Option<String>, format = DateTime)]
    since: Option<String>,
    /// The last answer.
    last_answer: Option<AnswerOut>,
    /// Who was told of it.
    letters: Vec<LetterOut>,
}

/// Who was told, and by which way.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LetterOut {
    /// `email`, `slack` or `push`.
    channel: &'static str,
    /// The e-mail address; of the others nothing, whoever knows them can write there.
    to: Option<String>,
    /// `waiting`, `sent` or `failed`.
    state: &'static str,
    /// Why it was not sent.
    error: Option<String>,
}

impl NoticeOut {
    fn of(shown: ShownNotice) -> (String, Self) {
        let id = shown.notice.key.to_string();
        let new = shown.notice.new;
        let letter = |letter: app::notice::Letter| LetterOut {
            channel: letter.channel.word(),
            to: (letter.channel == domain::notice::Channel::Email).then_some(letter.to),
            state: letter.state,
            error: letter.error,
        };
        let out = Self {
            id: id.clone(),
            kind: new.kind.word(),
            endpoint_id: shown.endpoint,
            at: new.at.to_string(),
            title: shown.title,
            text: shown.text,
            waiting: shown.waiting,
            link: shown.link,
            since: new.facts.since.map(|since| Timestamp(since).to_string()),
            last_answer: new.facts.answer.as_ref().map(AnswerOut::of),
            letters: shown.letters.into_iter().map(letter).collect(),
        };
        (id, out)
    }
}

/// Which notices a list shows.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct NoticeQuery {
    /// Only those of this endpoint.
    endpoint_id: Option<String>,
}

impl FromQuery for NoticeQuery {
    fn read(query: &Query<'_>) -> Outcome<Self> {
        Ok(Self { endpoint_id: query.text("endpoint_id").map(str::to_owned) })
    }
}

/// Lists what happened to an application's webhooks, newest first.
#[utoipa::path(get, path = "/api/v1/app/{app_id}/notice", operation_id = "v1.notice.list", tag = "Notify",
    params(AppPath, NoticeQuery, PageQuery, OrderQuery),
    responses((status = 200, body = ListResponse<NoticeOut>), Errors))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    At(at): At<AppPath>,
    Asked((asked, page, order)): Asked<(NoticeQuery, PageQuery, OrderQuery)>,
) -> Outcome {
    let page = page.page(order.order.unwrap_or(Order::Descending), |id| id.parse().ok())?;
    let slice = app.notice_list(&caller, &at.app_id, asked.endpoint_id.as_deref(), page).await?;
    Ok(ListResponse::of(slice.map(NoticeOut::of)).answer())
}
