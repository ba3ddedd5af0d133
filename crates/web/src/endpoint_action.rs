//! What is done with a webhook. What cannot be taken back, or sends much, says first what will happen, and asks.

use crate::Console;
use crate::endpoint::Found;
use crate::endpoint_ask::{Ask, Choice, asked_again, choice};
use crate::page::{Page, see};
use crate::refusal::Answer;
use crate::submitted::Submitted;
use crate::visitor::Signed;
use app::change::Change;
use app::endpoint::EndpointPatch;
use app::task::Recovery;
use app::{AppError, Right};
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};

pub(crate) fn router() -> Router<Console> {
    Router::new()
        .route("/endpoint/{endpoint_id}/disable", get(ask_disable).post(disable))
        .route("/endpoint/{endpoint_id}/enable", get(ask_enable).post(enable))
        .route("/endpoint/{endpoint_id}/pause", post(pause))
        .route("/endpoint/{endpoint_id}/resume", post(resume))
        .route("/endpoint/{endpoint_id}/delete", get(ask_delete).post(delete))
        .route("/endpoint/{endpoint_id}/test", get(ask_test).post(test))
        .route("/endpoint/{endpoint_id}/rotate", get(ask_rotate).post(rotate))
}

type At = Path<(String, String)>;

/// Event types that are offered for a test.
const OFFERED_MAX: usize = 300;
/// How long an old secret signs as well, in seconds.
const OVERLAP: [(&str, &str); 4] =
    [("86400", "for a day"), ("3600", "for an hour"), ("604800", "for 7 days"), ("0", "not at all")];

async fn switch(
    console: &Console,
    found: &Found,
    at: &(String, String),
    patch: EndpointPatch,
) -> Result<(), AppError> {
    console.app.endpoint_patch(found.place(at), patch).await.map(|_| ())
}

async fn ask_disable(State(console): State<Console>, Signed(visitor): Signed, Path(at): At) -> Answer {
    let found = Found::of(&console, visitor, &at).await?;
    found.opened.principal.may(Right::Manage)?;
    let ask = found.ask(&console, ("Disable this webhook?", "disable", "Disable")).await?;
    let text = vec![
        "Nothing is sent to it any more, and what is on its way is canceled.".to_owned(),
        "Its events are kept. When you enable it again you can have them sent.".to_owned(),
    ];
    Ok(Ask { text, is_danger: true, ..ask }.ok())
}

async fn disable(
    State(console): State<Console>,
    Path(at): At,
    Submitted { visitor, .. }: Submitted,
) -> Answer {
    let found = Found::of(&console, visitor, &at).await?;
    let patch = EndpointPatch { disabled: Change::Set(true), ..EndpointPatch::default() };
    switch(&console, &found, &at, patch).await?;
    Ok(found.done("disabled"))
}

async fn ask_enable(State(console): State<Console>, Signed(visitor): Signed, Path(at): At) -> Answer {
    let found = Found::of(&console, visitor, &at).await?;
    found.opened.principal.may(Right::Manage)?;
    let count = console.app.endpoint_enable_count(found.place(&at), Recovery::All).await?;
    let ask = found.ask(&console, ("Enable this webhook?", "enable", "Enable")).await?;
    let missed = match (count.messages, count.is_complete) {
        (0, true) => "It has missed nothing.".to_owned(),
        (1, true) => "It has missed one event meanwhile.".to_owned(),
        (many, true) => format!("It has missed {many} events meanwhile."),
        (many, false) => format!("It has missed {many} events meanwhile, or more."),
    };
    let mut choices = Vec::new();
    if count.messages > 0 {
        let send = format!(
            "send all of them{}",
            if count.is_complete { format!(" ({})", count.messages) } else { String::new() }
        );
        let mut recovery = choice(
            "recovery",
            "What becomes of them",
            &[("all", &send), ("none", "leave them: only new events are sent")],
        );
        recovery.value = "all".to_owned();
        choices.push(recovery);
    }
    let text = vec!["New events are sent to it from now on.".to_owned(), missed];
    Ok(Ask { text, choices, ..ask }.ok())
}

async fn enable(
    State(console): State<Console>,
    Path(at): At,
    Submitted { visitor, form }: Submitted,
) -> Answer {
    let found = Found::of(&console, visitor, &at).await?;
    let recovery = if form.get("recovery") == "all" { Recovery::All } else { Recovery::None };
    match console.app.endpoint_enable(found.place(&at), recovery).await {
        Ok((_, task)) => Ok(found.done(if task.is_some() { "recovering" } else { "enabled" })),
        Err(error) => {
            let ask = found.ask(&console, ("Enable this webhook?", "enable", "Enable")).await?;
            asked_again(ask, error)
        }
    }
}

async fn pause(State(console): State<Console>, Path(at): At, Submitted { visitor, .. }: Submitted) -> Answer {
    let found = Found::of(&console, visitor, &at).await?;
    let patch = EndpointPatch { paused: Change::Set(true), ..EndpointPatch::default() };
    switch(&console, &found, &at, patch).await?;
    Ok(found.done("paused"))
}

async fn resume(
    State(console): State<Console>,
    Path(at): At,
    Submitted { visitor, .. }: Submitted,
) -> Answer {
    let found = Found::of(&console, visitor, &at).await?;
    let patch = EndpointPatch { paused: Change::Set(false), ..EndpointPatch::default() };
    switch(&console, &found, &at, patch).await?;
    Ok(found.done("resumed"))
}

async fn ask_delete(State(console): State<Console>, Signed(visitor): Signed, Path(at): At) -> Answer {
    let found = Found::of(&console, visitor, &at).await?;
    found.opened.principal.may(Right::Manage)?;
    let waiting = console.app.endpoint_health(found.place(&at)).await?.waiting;
    let ask = found.ask(&console, ("Delete this webhook?", "delete", "Delete")).await?;
    let on_its_way = match waiting {
        0 => "Nothing is on its way to it.".to_owned(),
        1 => "One event waits for it, and will not be sent.".to_owned(),
        many => format!("{many} events wait for it, and will not be sent."),
    };
    let text = vec![
        "It cannot be brought back, and its secret is gone. One that is made anew has another secret."
            .to_owned(),
        on_its_way,
        "To stop it for a while, disable it instead.".to_owned(),
    ];
    Ok(Ask { text, is_danger: true, ..ask }.ok())
}

async fn delete(
    State(console): State<Console>,
    Path(at): At,
    Submitted { visitor, .. }: Submitted,
) -> Answer {
    let found = Found::of(&console, visitor, &at).await?;
    console.app.endpoint_delete(found.place(&at)).await?;
    Ok(see(&format!("/app/{}/endpoint?told=deleted", found.opened.application.id)))
}

async fn test_question(console: &Console, found: &Found) -> Result<Ask, AppError> {
    let (groups, _) = crate::event_type::groups(console, &found.opened, OFFERED_MAX).await?;
    let events = groups.into_iter().flat_map(|group| group.events).map(|(name, _)| name);
    let options: Vec<_> = std::iter::once(("svix.ping".to_owned(), "ping: a greeting".to_owned()))
        .chain(events.map(|name| (name.clone(), name)))
        .collect();
    let ask = found.ask(console, ("Send a test", "test", "Send")).await?;
    let text = vec![
        "An example event goes to this webhook alone, by the way that all events go. It stands in the log."
            .to_owned(),
    ];
    let choices = vec![Choice { name: "event", label: "Event", value: "svix.ping".to_owned(), options }];
    Ok(Ask { text, choices, ..ask })
}

async fn ask_test(State(console): State<Console>, Signed(visitor): Signed, Path(at): At) -> Answer {
    let found = Found::of(&console, visitor, &at).await?;
    found.opened.principal.may(Right::Send)?;
    Ok(test_question(&console, &found).await?.ok())
}

async fn test(
    State(console): State<Console>,
    Path(at): At,
    Submitted { visitor, form }: Submitted,
) -> Answer {
    let found = Found::of(&console, visitor, &at).await?;
    match console.app.test_send(found.place(&at), form.get("event"), 0).await {
        Ok(_) => Ok(found.done("sent")),
        Err(error) => {
            let ask = test_question(&console, &found).await?;
            asked_again(ask, error)
        }
    }
}

async fn ask_rotate(State(console): State<Console>, Signed(visitor): Signed, Path(at): At) -> Answer {
    let found = Found::of(&console, visitor, &at).await?;
    found.opened.principal.may(Right::Rotate)?;
    let ask = found.ask(&console, ("Replace the secret?", "rotate", "Make a new secret")).await?;
    let text = vec!["A new secret signs from now on. So that nothing breaks, the old one can sign as well until your receiver knows the new one.".to_owned()];
    let choices = vec![choice("overlap", "The old one signs", &OVERLAP)];
    Ok(Ask { text, choices, ..ask }.ok())
}

async fn rotate(
    State(console): State<Console>,
    Path(at): At,
    Submitted { visitor, form }: Submitted,
) -> Answer {
    let found = Found::of(&console, visitor, &at).await?;
    let overlap = form.get("overlap").parse().ok();
    match console.app.secret_rotate(found.place(&at), None, overlap).await {
        Ok(()) => Ok(see(&format!("{}/verify?told=rotated", found.base()))),
        Err(error) => {
            let ask = found.ask(&console, ("Replace the secret?", "rotate", "Make a new secret")).await?;
            asked_again(ask, error)
        }
    }
}
