//! Who hears of webhooks that fail: e-mails, Slack, this browser, and of what.

use crate::Console;
use crate::mistakes::Mistakes;
use crate::page::{Page, answer, see};
use crate::refusal::Answer;
use crate::shell::{Section, Shell, Tab, tabs_of_application};
use crate::submitted::Submitted;
use crate::visitor::Signed;
use crate::when::When;
use app::AppError;
use app::change::Change;
use app::notify::{NotifyInput, shown_slack};
use app::sign_in::{Opened, Visitor};
use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::routing::get;
use domain::notice::NoticeKind;
use domain::page::{Order, Page as Wanted};
use domain::word::Worded;
use http::StatusCode;
use std::collections::HashMap;

pub(crate) fn router() -> Router<Console> {
    Router::new().route("/settings/notifications", get(show).post(save))
}

/// Notices that the page shows.
const SHOWN: u16 = 30;

/// What people can be told of, for people.
const KINDS: [(NoticeKind, &str); 7] = [
    (NoticeKind::Failing, "A webhook has been failing for long"),
    (NoticeKind::Disabled, "A webhook was disabled"),
    (NoticeKind::Enabled, "A webhook is enabled again"),
    (NoticeKind::Recovered, "A webhook works again"),
    (NoticeKind::Exhausted, "Events were given up"),
    (NoticeKind::SecretExpiring, "An old secret is about to end"),
    (NoticeKind::CertificateExpiring, "A certificate is about to expire"),
];

/// Something that was told.
struct Told {
    title: String,
    text: String,
    link: String,
    when: When,
    /// By which ways, to how many.
    ways: String,
}

#[derive(Template)]
#[template(path = "setting/notify.html")]
struct Notifications {
    shell: Shell,
    tabs: Vec<Tab>,
    action: String,
    may_manage: bool,
    emails: String,
    /// Those of the addresses that want no e-mails.
    unsubscribed: Vec<String>,
    slack: String,
    push: bool,
    /// Word, sentence, and whether it is told.
    kinds: Vec<(&'static str, &'static str, bool)>,
    mistakes: Mistakes,
    told: Vec<Told>,
}

impl Page for Notifications {}

async fn page(console: &Console, (visitor, opened): (&Visitor, &Opened)) -> Result<Notifications, AppError> {
    let id = &opened.application.id;
    let there = console.app.notify_get(&opened.principal, id).await?;
    let notices =
        console.app.notice_list(&opened.principal, id, None, Wanted::first(SHOWN, Order::Descending)).await?;
    let now = console.app.now();
    let told = notices.items.into_iter().map(|shown| {
        let endpoint = shown.endpoint;
        Told {
            link: format!("/app/{id}/endpoint/{endpoint}"),
            when: When::of(shown.notice.new.at, now),
            ways: match shown.letters.len() {
                0 => "nobody was told".to_owned(),
                1 => format!("told by {}", shown.letters[0].channel.word()),
                many => format!("told {many} times"),
            },
            title: shown.title,
            text: shown.text,
        }
    });
    Ok(Notifications {
        shell: Shell::of_application(&console.brand, (visitor, opened), Section::Settings, "Notifications"),
        tabs: tabs_of_application(opened, "settings/notifications"),
        action: format!("/app/{id}/settings/notifications"),
        may_manage: opened.principal.role.manages(),
        emails: there.notify.emails.join("\n"),
        unsubscribed: there.unsubscribed,
        slack: shown_slack(&there.notify).unwrap_or_default(),
        push: there.notify.push,
        kinds: KINDS.iter().map(|(kind, text)| (kind.word(), *text, there.notify.wants(*kind))).collect(),
        mistakes: Mistakes::default(),
        told: told.collect(),
    })
}

async fn show(
    State(console): State<Console>,
    Signed(visitor): Signed,
    Path(id): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Answer {
    let opened = console.app.open(&visitor, &id)?;
    let page = page(&console, (&visitor, &opened)).await?;
    let shell = page.shell.clone().telling(query.get("told").map(String::as_str));
    Ok(Notifications { shell, ..page }.ok())
}

async fn save(
    State(console): State<Console>,
    Path(id): Path<String>,
    Submitted { visitor, form }: Submitted,
) -> Answer {
    let opened = console.app.open(&visitor, &id)?;
    let lines = form.get("emails").lines().map(str::trim).filter(|line| !line.is_empty());
    let emails: Vec<String> = lines.map(str::to_owned).collect();
    let slack = form.trimmed("slackUrl");
    let kinds: Vec<NoticeKind> = form.all("kinds").filter_map(NoticeKind::from_word).collect();
    let input = NotifyInput {
        emails: Change::Set(emails),
        slack_url: if slack.is_empty() { Change::Clear } else { Change::Set(slack.clone()) },
        push: Change::Set(form.has("push")),
        operational_webhook: Change::Keep,
        kinds: if kinds.len() == KINDS.len() { Change::Clear } else { Change::Set(kinds.clone()) },
    };
    match console.app.notify_patch(&opened.principal, &id, input).await {
        Ok(_) => Ok(see(&format!("/app/{id}/settings/notifications?told=saved"))),
        Err(AppError::Invalid(problems)) => {
            let there = page(&console, (&visitor, &opened)).await?;
            let wanted = KINDS.iter().map(|(kind, text)| (kind.word(), *text, kinds.contains(kind)));
            let page = Notifications {
                emails: form.get("emails").to_owned(),
                slack,
                push: form.has("push"),
                kinds: wanted.collect(),
                mistakes: Mistakes::of(problems),
                ..there
            };
            Ok(answer(StatusCode::UNPROCESSABLE_ENTITY, &page))
        }
        Err(error) => Err(error.into()),
    }
}
