//! The overview of an application, and of a whole environment: what needs somebody, and what a period brought.

use crate::Console;
use crate::chart::{Chart, Key, Values, count, took};
use crate::page::Page;
use crate::refusal::Answer;
use crate::shell::{Section, Shell};
use crate::visitor::Signed;
use crate::when::{When, moment};
use app::Principal;
use app::statistics::{ATTENTION_MAX, Needy, Period, Point, Series, Trouble};
use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::routing::get;
use domain::clock::Timestamp;
use domain::role::Role;
use domain::statistics::Tally;
use domain::word::Worded;
use std::collections::HashMap;

pub(crate) fn of_application() -> Router<Console> {
    Router::new().route("/overview", get(application))
}

pub(crate) fn of_environment() -> Router<Console> {
    Router::new().route("/{env_id}/overview", get(environment))
}

/// A webhook that needs somebody.
struct Need {
    url: String,
    name: String,
    application: String,
    class: &'static str,
    word: &'static str,
    text: String,
    since: When,
}

/// A number with its name, and what is to be known of it.
struct Tile {
    name: &'static str,
    value: String,
    note: String,
}

/// The numbers of a point.
struct Row {
    from: String,
    accepted: String,
    delivered: String,
    failed: String,
    p50: String,
    p95: String,
}

/// What to do where nothing has happened.
struct Empty {
    title: String,
    text: String,
    /// A label and where it leads.
    link: Option<(&'static str, String)>,
}

#[derive(Template)]
#[template(path = "overview/show.html")]
struct Overview {
    shell: Shell,
    /// Word, name, and whether it is shown.
    periods: Vec<(&'static str, &'static str, bool)>,
    is_whole: bool,
    needs: Vec<Need>,
    /// Whether only the most urgent of them are shown.
    are_more: bool,
    tiles: Vec<Tile>,
    charts: Vec<Chart>,
    rows: Vec<Row>,
    /// The first, the middle and the last point.
    axis: [String; 3],
    step: &'static str,
    empty: Option<Empty>,
}

impl Page for Overview {}

type Words = Query<HashMap<String, String>>;

async fn application(
    State(console): State<Console>,
    Signed(visitor): Signed,
    Path(id): Path<String>,
    Query(query): Words,
) -> Answer {
    let opened = console.app.open(&visitor, &id)?;
    let shell = Shell::of_application(&console.brand, (&visitor, &opened), Section::Overview, "Overview");
    let has_webhooks = console.app.endpoint_numbers(opened.application.key).0 > 0;
    let empty = move |role: Role| {
        let (text, link) = match (has_webhooks, role.manages()) {
            (true, _) => (
                format!(
                    "Send a test from the page of a webhook, or let your back end post an event to /api/v1/app/{id}/msg. \
                     It shows here within half a minute."
                ),
                Some(("Webhooks", format!("/app/{id}/endpoint"))),
            ),
            (false, true) => (
                "Create a webhook, and events have somewhere to go.".to_owned(),
                Some(("Create webhook", format!("/app/{id}/endpoint/new"))),
            ),
            (false, false) => ("There is no webhook yet. A manager can create one.".to_owned(), None),
        };
        (text, link)
    };
    let at = (&opened.principal, Some(&*opened.application.id));
    Ok(page(&console, at, (shell, period(&query)), empty).await?.ok())
}

async fn environment(
    State(console): State<Console>,
    Signed(visitor): Signed,
    Path(id): Path<String>,
    Query(query): Words,
) -> Answer {
    let principal = console.app.open_environment(&visitor, Some(&id))?;
    let shell = Shell::of_environment(&console.brand, (&visitor, &principal), Section::Overview, "Overview");
    let empty = |_| {
        let text = "Make an application for each of your customers, and let your back end post their events to \
                    /api/v1/app/{app_id}/msg. They show here within half a minute.";
        (text.to_owned(), Some(("Applications", format!("/environment/{id}/application"))))
    };
    Ok(page(&console, (&principal, None), (shell, period(&query)), empty).await?.ok())
}

/// The period that is asked for; a day unless there is one of that name.
fn period(query: &HashMap<String, String>) -> Period {
    query.get("period").and_then(|word| Period::from_word(word)).unwrap_or_default()
}

/// In words: how long it is, and how its points are told apart.
const fn name(period: Period) -> (&'static str, &'static str) {
    match period {
        Period::Day => ("24 hours", "by the hour"),
        Period::Week => ("7 days", "by six hours"),
        Period::Month => ("28 days", "by the day"),
    }
}

async fn page(
    console: &Console,
    (principal, application): (&Principal, Option<&str>),
    (shell, period): (Shell, Period),
    empty: impl FnOnce(Role) -> (String, Option<(&'static str, String)>),
) -> Result<Overview, app::AppError> {
    let now = console.app.now();
    let needy = console.app.attention(principal, application).await?;
    let series = console.app.statistics(principal, application, period).await?;
    let at = |nth: usize| series.points.get(nth).map(|point| label(point.from, period)).unwrap_or_default();
    let last = series.points.len().saturating_sub(1);
    let empty = series.total.is_empty().then(|| {
        let (text, link) = empty(principal.role);
        Empty { title: format!("No events in the last {}", name(period).0), text, link }
    });
    Ok(Overview {
        periods: Period::ALL.iter().map(|one| (one.word(), name(*one).0, *one == period)).collect(),
        is_whole: application.is_none(),
        are_more: needy.len() >= ATTENTION_MAX,
        needs: needy.iter().map(|one| need(one, now)).collect(),
        tiles: tiles(&series.total),
        charts: charts(&series, period),
        rows: series.points.iter().rev().map(|point| row(point, period)).collect(),
        axis: [at(0), at(last.div_ceil(2)), at(last)],
        step: name(period).1,
        empty,
        shell,
    })
}

fn need(one: &Needy, now: Timestamp) -> Need {
    let (class, word, text, since) = match &one.trouble {
        Trouble::Disabled { at, reason } => ("bad", "Disabled by itself", sentence(reason), *at),
        Trouble::Failing { since, failures } => {
            let times = if failures.count == 1 { "time" } else { "times" };
            let text = format!(
                "{} {times}, the last answer: {}.",
                count(failures.count.into()),
                failures.last.told()
            );
            ("bad", "Failing", text, *since)
        }
        Trouble::Paused { since } => ("warn", "Paused", "Events wait to be sent.".to_owned(), *since),
    };
    Need {
        url: format!("/app/{}/endpoint/{}", one.application.id, one.endpoint.id),
        name: one.endpoint.name(),
        application: one.application.called().to_owned(),
        class,
        word,
        text,
        since: When::of(since, now),
    }
}

/// A reason as a sentence.
fn sentence(reason: &str) -> String {
    let mut letters = reason.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str().trim_end_matches('.'))
}

/// A quantile for people; a dash where there is none.
fn quantile(tally: &Tally, share: f64) -> String {
    tally.durations.quantile_ms(share).map_or_else(|| "–".to_owned(), took)
}

fn tiles(total: &Tally) -> Vec<Tile> {
    let share =
        total.failed_share().map_or_else(|| "–".to_owned(), |share| format!("{:.1} %", share * 100.0));
    let attempts = total.delivered + total.failed;
    let tile = |name, value: String, note: String| Tile { name, value, note };
    vec![
        tile("Events accepted", count(total.accepted), String::new()),
        tile("Delivered", count(total.delivered), String::new()),
        tile(
            "Failed attempts",
            share,
            format!("{} of {}; {} given up", count(total.failed), count(attempts), count(total.given_up)),
        ),
        tile("Latency, p50", quantile(total, 0.5), "Half of the deliveries took no longer.".to_owned()),
        tile("Latency, p95", quantile(total, 0.95), "19 of 20 deliveries took no longer.".to_owned()),
    ]
}

fn charts(series: &Series, period: Period) -> Vec<Chart> {
    let (points, total, (span, step)) = (&series.points, &series.total, name(period));
    let at = |point: &Point| label(point.from, period);
    let accepted = points.iter().map(|point| Values {
        parts: vec![("accent", point.tally.accepted as f64)],
        words: format!("{}: {} accepted", at(point), count(point.tally.accepted)),
    });
    let deliveries = points.iter().map(|point| {
        let Tally { delivered, failed, .. } = point.tally;
        Values {
            parts: vec![("good", delivered as f64), ("bad", failed as f64)],
            words: format!("{}: {} delivered, {} failed", at(point), count(delivered), count(failed)),
        }
    });
    let latency = points.iter().map(|point| {
        let durations = &point.tally.durations;
        let two = durations.quantile_ms(0.5).zip(durations.quantile_ms(0.95));
        let words = two.map_or_else(
            || "nothing was delivered".to_owned(),
            |(p50, p95)| format!("p50 {}, p95 {}", took(p50), took(p95)),
        );
        (two, format!("{}: {words}", at(point)))
    });
    let key = |class, label| Key { class, label };
    let words = |what: String| format!("{what} in the last {span}, {step}. The table below has all numbers.");
    vec![
        Chart::of_bars(
            "Events accepted",
            words(format!("{} events accepted", count(total.accepted))),
            accepted.collect(),
        ),
        Chart::of_bars(
            "Delivery attempts",
            words(format!("{} deliveries, {} failed attempts", count(total.delivered), count(total.failed))),
            deliveries.collect(),
        )
        .keyed(vec![key("good", "Delivered"), key("bad", "Failed")]),
        Chart::of_band(
            "Latency of deliveries",
            words(format!("p50 {}, p95 {}", quantile(total, 0.5), quantile(total, 0.95))),
            latency.collect(),
        )
        .keyed(vec![key("low", "p50"), key("high", "p95")]),
    ]
}

fn row(point: &Point, period: Period) -> Row {
    let tally = &point.tally;
    Row {
        from: label(point.from, period),
        accepted: count(tally.accepted),
        delivered: count(tally.delivered),
        failed: count(tally.failed),
        p50: quantile(tally, 0.5),
        p95: quantile(tally, 0.95),
    }
}

/// When a point began, as briefly as its period allows.
fn label(from: Timestamp, period: Period) -> String {
    let (day, time) = moment(from);
    match period {
        Period::Day => time,
        Period::Week => format!("{day}, {time}"),
        Period::Month => day,
    }
}
