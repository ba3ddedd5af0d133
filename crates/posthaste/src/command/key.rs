//! `posthaste key create|list|revoke`
//!
//! With a live server on this data folder the work goes through its API, so that what it holds in memory is never
//! bypassed; without one, through the same API in this process, with no socket and no engine.

use super::live::live;
use super::token::check;
use super::{Config, Failure, needs_own_token, open_keys, own_token};
use crate::client::{ApiClient, CallError};
use crate::clock::Present;
use crate::serve::Core;
use crate::token::ENVIRONMENT_DEFAULT;
use clap::{Args, Subcommand};
use domain::role::Role;
use domain::wire_id::Kind;
use http::Method;
use serde_json::{Value, json};

/// What to do where only tokens that were made elsewhere are taken.
const INSTEAD: &str = "Manage API keys through the API with a token of your own: POST /api/v1/api-key makes one, GET lists \
                       them, DELETE /api/v1/api-key/{id} revokes one";

/// What can be done with API keys.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Make a key and print it. It is shown this once: only its hash is kept.
    Create(Create),
    /// List the keys of an environment, revoked ones included.
    List(Place),
    /// Revoke a key: it opens nothing from this moment on.
    Revoke(Revoke),
}

/// Whose keys.
#[derive(Debug, Args)]
pub(super) struct Place {
    /// The environment that the key opens.
    #[arg(long, value_name = "org_…", default_value = ENVIRONMENT_DEFAULT)]
    environment: String,
}

/// The arguments of `key create`.
#[derive(Debug, Args)]
pub(super) struct Create {
    #[command(flatten)]
    place: Place,
    /// Open this application alone (its id or uid).
    #[arg(long, value_name = "APPLICATION")]
    application: Option<String>,
    /// What the key may do.
    #[arg(long, default_value = "administrator", value_parser = ["administrator", "manager", "member", "viewer"])]
    role: String,
    /// A name to recognise it by.
    #[arg(long, default_value = "made on the command line")]
    name: String,
}

/// The arguments of `key revoke`.
#[derive(Debug, Args)]
pub(super) struct Revoke {
    #[command(flatten)]
    place: Place,
    /// The key's id, as `key list` shows it.
    #[arg(value_name = "key_…")]
    id: String,
}

/// Does one of them.
pub(super) async fn run(config: Config, verb: Verb) -> Result<(), Failure> {
    let environment = match &verb {
        Verb::Create(create) => &create.place.environment,
        Verb::List(place) => &place.environment,
        Verb::Revoke(revoke) => {
            check("the key's id", Kind::ApiKey, &revoke.id)?;
            &revoke.place.environment
        }
    };
    check("--environment", Kind::Environment, environment)?;
    needs_own_token(&config, INSTEAD)?;
    let (folder, keys) = open_keys(&config)?;
    let token = own_token(&config, &keys, environment)?;
    if let Some(live) = live(&config, &folder, &token).await? {
        return work(&live, verb).await;
    }
    // On PostgreSQL the others hear of a change within a second.
    let core = Core::open(&config, &keys, Present::OfStore)?;
    if config.store.file().is_some() {
        folder.withdraw();
    }
    let done = work(&ApiClient::inside(core.service(), token), verb).await;
    core.close().await;
    done
}

async fn work(api: &ApiClient, verb: Verb) -> Result<(), Failure> {
    let done = match verb {
        Verb::Create(create) => created(api, create).await,
        Verb::List(_) => listed(api).await,
        Verb::Revoke(revoke) => revoked(api, &revoke.id).await,
    };
    done.map_err(|error| Failure::Refused(error.to_string()))
}

async fn created(api: &ApiClient, create: Create) -> Result<(), CallError> {
    let role = Role::from_word(&create.role).map_or("administrator", Role::word);
    let body = json!({ "name": create.name, "role": role, "application": create.application });
    let made = api.call(Method::POST, "/api/v1/api-key", Some(&body)).await?;
    println!("{}", text(&made, "token"));
    let id = made.pointer("/key/id").and_then(Value::as_str).unwrap_or_default();
    eprintln!("id {id}; this is the only time that the key is shown");
    Ok(())
}

async fn listed(api: &ApiClient) -> Result<(), CallError> {
    let answer = api.call(Method::GET, "/api/v1/api-key", None).await?;
    let keys = answer.get("data").and_then(Value::as_array).cloned().unwrap_or_default();
    if keys.is_empty() {
        println!("no keys");
    }
    for key in &keys {
        let opens_one = key.get("forOneApplication").and_then(Value::as_bool).unwrap_or(true);
        let state = key.get("revokedAt").and_then(Value::as_str).map(|at| format!("revoked {at}"));
        println!(
            "{}  {}…  {:13}  {}  {}  {}",
            text(key, "id"),
            text(key, "prefix"),
            text(key, "role"),
            if opens_one { "one application" } else { "the environment" },
            state.unwrap_or_else(|| format!("made {}", text(key, "createdAt"))),
            text(key, "name"),
        );
    }
    Ok(())
}

async fn revoked(api: &ApiClient, id: &str) -> Result<(), CallError> {
    api.call(Method::DELETE, &format!("/api/v1/api-key/{id}"), None).await?;
    println!("{id} is revoked");
    Ok(())
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}
