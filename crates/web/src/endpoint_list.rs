//! The webhooks of an application, each with how it fares.

use crate::Console;
use crate::page::{Page, see};
use crate::refusal::Answer;
use crate::shell::{Section, Shell};
use crate::visitor::Signed;
use crate::when::When;
use app::glance::Mark;
use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::routing::get;
use domain::attempt::Disposition;
use domain::clock::Timestamp;
use domain::endpoint::Endpoint;
use domain::limit::PAGE_ITEMS_DEFAULT;
use domain::page::{From, Order, Page as Wanted};
use std::collections::HashMap;

pub(crate) fn router() -> Router<Console> {
    Router::new().route("/endpoint", get(list)).route("/settings/webhooks", get(tab))
}

/// How a webhook fares, in a word and the colour that goes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) word: &'static str,
    pub(crate) class: &'static str,
}

impl Status {
    /// By its switches, and by how the latest attempts went.
    pub(crate) fn of(endpoint: &Endpoint, last: Option<Disposition>) -> Self {
        let fields = &endpoint.fields;
        let (word, class) = match (fields.disabled, fields.paused, last) {
            (true, ..) if endpoint.disabling.is_some() => ("Disabled by itself", "bad"),
            (true, ..) => ("Disabled", ""),
            (_, true, _) => ("Paused", "warn"),
            (.., Some(Disposition::Failed | Disposition::Retrying)) => ("Failing", "bad"),
            _ => ("Enabled", "good"),
        };
        Self { word, class }
    }
}

/// A bar of a sparkline: the latest attempts from left to right.
pub(crate) struct Tick {
    pub(crate) x: usize,
    pub(crate) class: &'static str,
}

/// The latest attempts as a drawing, and in words.
pub(crate) struct Ticks {
    pub(crate) bars: Vec<Tick>,
    pub(crate) words: String,
}

impl Ticks {
    /// `marks` of one endpoint, newest first.
    fn of(marks: &[&Mark]) -> Self {
        let class = |mark: &Mark| match mark.disposition {
            Disposition::Succeeded => "good",
            Disposition::Retrying => "warn",
            Disposition::Failed => "bad",
        };
        let bars =
            marks.iter().rev().enumerate().map(|(index, mark)| Tick { x: index * 5, class: class(mark) });
        let good = marks.iter().filter(|mark| mark.disposition == Disposition::Succeeded).count();
        let words = match marks.len() {
            0 => "nothing was sent yet".to_owned(),
            all => format!("{good} of the last {all} attempts succeeded"),
        };
        Self { bars: bars.collect(), words }
    }
}

struct Row {
    id: String,
    name: String,
    url: String,
    status: Status,
    events: String,
    last: Option<When>,
    ticks: Ticks,
}

#[derive(Template)]
#[template(path = "endpoint/list.html")]
struct List {
    shell: Shell,
    base: String,
    rows: Vec<Row>,
    next: Option<String>,
    is_first: bool,
    may_manage: bool,
}

impl Page for List {}

/// *Settings → Webhook Settings* is the same page.
async fn tab(Path(id): Path<String>) -> Answer {
    Ok(see(&format!("/app/{id}/endpoint")))
}

async fn list(
    State(console): State<Console>,
    Signed(visitor): Signed,
    Path(id): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Answer {
    let opened = console.app.open(&visitor, &id)?;
    let from = query.get("after").map_or(From::Start, |after| From::After(after.clone()));
    let is_first = from == From::Start;
    let page = Wanted { items: PAGE_ITEMS_DEFAULT, order: Order::Descending, from };
    let slice = console.app.endpoint_list(&opened.principal, &id, page).await?;
    let marks = console.app.endpoint_marks(&slice.items).await?;
    let next = slice.items.last().filter(|_| !slice.done).map(|last| format!("?after={}", last.id));
    let now = console.app.now();
    let told = query.get("told").map(String::as_str);
    Ok(List {
        shell: Shell::of_application(&console.brand, (&visitor, &opened), Section::Webhooks, "Webhooks")
            .telling(told),
        base: format!("/app/{id}/endpoint"),
        rows: slice.items.iter().map(|endpoint| row(endpoint, &marks, now)).collect(),
        next,
        is_first,
        may_manage: opened.principal.may(app::Right::Manage).is_ok(),
    }
    .ok())
}

fn row(endpoint: &Endpoint, marks: &[Mark], now: Timestamp) -> Row {
    let marks: Vec<_> = marks.iter().filter(|mark| mark.endpoint == endpoint.key).collect();
    let last = marks.first();
    Row {
        id: endpoint.id.clone(),
        name: endpoint.name(),
        url: endpoint.fields.url.clone(),
        status: Status::of(endpoint, last.map(|mark| mark.disposition)),
        events: events(endpoint),
        last: last.map(|mark| When::of(mark.id.timestamp(), now)),
        ticks: Ticks::of(&marks),
    }
}

/// Which events a webhook gets, in a few words.
pub(crate) fn events(endpoint: &Endpoint) -> String {
    let mapped = endpoint.fields.options.routes.len();
    match &endpoint.fields.event_types {
        None if mapped > 0 => format!("{mapped} mapped"),
        None => "All events".to_owned(),
        Some(types) => match &**types {
            [one] => one.clone(),
            [first, rest @ ..] => format!("{first} and {} more", rest.len() + mapped),
            [] => "None".to_owned(),
        },
    }
}
