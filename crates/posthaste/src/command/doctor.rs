//! `posthaste doctor endpoint`: what is wrong with an endpoint, and what to do.
//!
//! The running server looks: it knows the breaker, and it is its network that requests go out by. On PostgreSQL, where this
//! process is one more node, it looks itself. Exit codes: 0 all is well, 1 a problem was found, 3 nothing could be looked at.

use super::live::live;
use super::token::check;
use super::{Config, Failure, needs_own_token, open_keys, own_token};
use crate::client::{ApiClient, CallError};
use crate::clock::Present;
use crate::serve::Core;
use crate::token::ENVIRONMENT_DEFAULT;
use clap::{Args, Subcommand};
use domain::name::{check_plain, check_segment};
use domain::wire_id::Kind;
use http::{Method, StatusCode};
use serde_json::Value;
use std::process::ExitCode;
use std::time::Duration;

/// How long a diagnosis may take: an endpoint's deadline is half a minute at most, and the store's records are read.
const PATIENCE: Duration = Duration::from_secs(60);
/// What to do where only tokens that were made elsewhere are taken.
const INSTEAD: &str =
    "Ask the API with a token of your own: POST /api/v1/app/{app_id}/endpoint/{endpoint_id}/diagnose";

/// What can be looked at.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Look an endpoint over: DNS, address policy, TCP, TLS, its answer, signature, breaker, backlog and last errors, each
    /// with what to do.
    ///
    /// The running server sends it `posthaste.ping`. Ends with 0 when all is well, with 1 when a problem was found, and with 3
    /// when nothing could be looked at.
    Endpoint(Endpoint),
}

/// The arguments of `doctor endpoint`.
#[derive(Debug, Args)]
pub(super) struct Endpoint {
    /// The endpoint's id; with --app, its uid will do.
    #[arg(value_name = "ep_…")]
    id: String,
    /// Its application (id or uid). Without it, each application is asked in turn.
    #[arg(long, value_name = "APPLICATION")]
    app: Option<String>,
    /// The environment that it is in.
    #[arg(long, value_name = "org_…", default_value = ENVIRONMENT_DEFAULT)]
    environment: String,
    /// Print what the API answers, as JSON.
    #[arg(long)]
    json: bool,
}

/// Does one of them.
pub(super) async fn run(config: Config, verb: Verb) -> Result<ExitCode, Failure> {
    let Verb::Endpoint(asked) = verb;
    let told = diagnosed(&config, &asked).await.map_err(|failure| match failure {
        Failure::Refused(why) => Failure::NotLooked(why),
        other => other,
    })?;
    if asked.json {
        println!("{told:#}");
    } else {
        print(&told);
    }
    let is_well = told.get("ok").and_then(Value::as_bool) == Some(true);
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn diagnosed(config: &Config, asked: &Endpoint) -> Result<Value, Failure> {
    check_arguments(asked)?;
    needs_own_token(config, INSTEAD)?;
    // Nothing is made where nothing was.
    if let Some(file) = config.store.file().filter(|file| !store::sqlite::is_open(file)) {
        return Err(Failure::Refused(format!(
            "no server runs on {}: start it with `posthaste serve`, or name its settings (--config, POSTHASTE_DATA_DIR)",
            file.display()
        )));
    }
    let (folder, keys) = open_keys(config)?;
    let token = own_token(config, &keys, &asked.environment)?;
    if let Some(live) = live(config, &folder, &token).await? {
        return diagnose(&live.patient(PATIENCE), asked).await;
    }
    let core = Core::open(config, &keys, Present::OfStore)?;
    let told = diagnose(&ApiClient::inside(core.service(), token).patient(PATIENCE), asked).await;
    core.close().await;
    told
}

fn check_arguments(asked: &Endpoint) -> Result<(), Failure> {
    check("--environment", Kind::Environment, &asked.environment)?;
    let Some(app) = &asked.app else {
        let checked = check("the endpoint's id", Kind::Endpoint, &asked.id);
        return checked.map_err(|failure| Failure::Refused(format!("{failure}. A uid needs --app")));
    };
    // Both go into a path.
    for (argument, name) in [("--app", app), ("the endpoint's id", &asked.id)] {
        let checked = check_plain(name).and_then(|()| check_segment(name));
        checked.map_err(|wrong| Failure::Refused(format!("{argument} \"{name}\" {wrong}")))?;
    }
    Ok(())
}

async fn diagnose(api: &ApiClient, asked: &Endpoint) -> Result<Value, Failure> {
    let refused = |error: CallError| Failure::Refused(error.to_string());
    let app = match &asked.app {
        Some(app) => Some(app.clone()),
        None => application_of(api, &asked.id).await.map_err(refused)?,
    };
    let unknown = || {
        let place =
            asked.app.as_ref().map_or("no application".to_owned(), |app| format!("no application {app}"));
        let of = &asked.environment;
        Failure::Refused(format!("{place} of the environment {of} has an endpoint {}", asked.id))
    };
    let app = app.ok_or_else(unknown)?;
    match api.call(Method::POST, &format!("/api/v1/app/{app}/endpoint/{}/diagnose", asked.id), None).await {
        Err(CallError::Refused { status: StatusCode::NOT_FOUND, .. }) => Err(unknown()),
        told => told.map_err(refused),
    }
}

/// The application that has this endpoint: an endpoint's id does not tell it.
async fn application_of(api: &ApiClient, id: &str) -> Result<Option<String>, CallError> {
    let mut next = String::new();
    loop {
        let page = api.call(Method::GET, &format!("/api/v1/app?limit=250{next}"), None).await?;
        for app in page.get("data").and_then(Value::as_array).into_iter().flatten() {
            let app = text(app, "id");
            match api.call(Method::GET, &format!("/api/v1/app/{app}/endpoint/{id}"), None).await {
                Ok(_) => return Ok(Some(app.to_owned())),
                Err(CallError::Refused { status: StatusCode::NOT_FOUND, .. }) => {}
                Err(error) => return Err(error),
            }
        }
        if page.get("done").and_then(Value::as_bool) != Some(false) {
            return Ok(None);
        }
        next = format!("&iterator={}", text(&page, "iterator"));
    }
}

fn print(told: &Value) {
    let findings = told.get("findings").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    for finding in findings {
        println!(
            "{:8} {:12} {}",
            text(finding, "grade"),
            text(finding, "about"),
            shown(text(finding, "text"))
        );
        if let Some(advice) = finding.get("advice").and_then(Value::as_str) {
            println!("{:22}{}", "", shown(advice));
        }
    }
    println!("{}", summary(findings));
}

fn summary(findings: &[Value]) -> String {
    let count = |grade: &str| findings.iter().filter(|finding| text(finding, "grade") == grade).count();
    let counted = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    match (count("problem"), count("warning")) {
        (0, 0) => "All is well.".to_owned(),
        (0, warnings) => format!("Nothing keeps events from arriving; {}.", counted(warnings, "warning")),
        (problems, 0) => format!("Events do not arrive: {}.", counted(problems, "problem")),
        (problems, warnings) => {
            let (problems, warnings) = (counted(problems, "problem"), counted(warnings, "warning"));
            format!("Events do not arrive: {problems}, {warnings}.")
        }
    }
}

/// What a server of somebody else's says of itself (its certificate) may have characters that the terminal would obey.
fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}
