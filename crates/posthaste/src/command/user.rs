//! `posthaste user create|list|link|reset-totp`
//!
//! As with API keys, the work goes through a server that has the store open, or is done by the same code in this process.

use super::live::live;
use super::{Config, Failure, open_keys};
use crate::client::{ApiClient, CallError};
use crate::clock::Present;
use crate::serve::Core;
use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};
use std::io::{BufRead, stdin};

/// What can be done with users.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Add a user with a role on the whole instance, and print a link by which they choose their password.
    Create(Create),
    /// List all users.
    List,
    /// Print a link by which a user chooses a new password: they have forgotten theirs.
    Link(Link),
    /// Switch a user's second factor off: they have lost their phone.
    ResetTotp(Link),
}

/// The arguments of `user create`.
#[derive(Debug, Args)]
pub(super) struct Create {
    /// The address that they sign in with.
    #[arg(value_name = "E-MAIL")]
    email: String,
    /// What they are called.
    #[arg(long, default_value = "")]
    name: String,
    /// What they may do, on the whole instance.
    #[arg(long, default_value = "administrator", value_parser = ["administrator", "manager", "member", "viewer"])]
    role: String,
    /// Read their password from standard input (its first line) instead of printing a link.
    #[arg(long)]
    password_stdin: bool,
}

/// The arguments of `user link` and `user reset-totp`.
#[derive(Debug, Args)]
pub(super) struct Link {
    /// The address that they sign in with.
    #[arg(value_name = "E-MAIL")]
    email: String,
}

/// Does one of them.
pub(super) async fn run(config: Config, verb: Verb) -> Result<(), Failure> {
    let (folder, keys) = open_keys(&config)?;
    let token = keys.operator_token();
    if let Some(live) = live(&config, &folder, &token).await? {
        return work(&live, verb).await;
    }
    let core = Core::open(&config, &keys, Present::OfStore)?;
    if config.store.file().is_some() {
        folder.withdraw();
    }
    let done = work(&ApiClient::inside(core.console(&config, &keys), token), verb).await;
    core.close().await;
    done
}

async fn work(api: &ApiClient, verb: Verb) -> Result<(), Failure> {
    let done = match verb {
        Verb::Create(create) => created(api, create).await,
        Verb::List => listed(api).await,
        Verb::Link(link) => linked(api, &link.email).await,
        Verb::ResetTotp(link) => totp_reset(api, &link.email).await,
    };
    done.map_err(|error| Failure::Refused(error.to_string()))
}

async fn created(api: &ApiClient, create: Create) -> Result<(), CallError> {
    let password = create.password_stdin.then(|| {
        let mut line = String::new();
        // What cannot be read is an empty password, which is refused.
        let _ = stdin().lock().read_line(&mut line);
        line.trim_end_matches(['\r', '\n']).to_owned()
    });
    let has_password = password.is_some();
    let body = json!({"email": create.email, "name": create.name, "role": create.role, "password": password});
    api.call(Method::POST, "/operator/user", Some(&body)).await?;
    eprintln!("{} is a user now, as {}", create.email, create.role);
    if has_password { Ok(()) } else { linked(api, &create.email).await }
}

async fn linked(api: &ApiClient, email: &str) -> Result<(), CallError> {
    let made = api.call(Method::POST, "/operator/user/link", Some(&json!({"email": email}))).await?;
    println!("{}", made.get("link").and_then(Value::as_str).unwrap_or_default());
    eprintln!("by this link they choose their password; it holds for 7 days, and once");
    Ok(())
}

async fn totp_reset(api: &ApiClient, email: &str) -> Result<(), CallError> {
    api.call(Method::POST, "/operator/user/reset-totp", Some(&json!({"email": email}))).await?;
    eprintln!("{email} is asked for no second factor any more; they can set it up anew in their account");
    Ok(())
}

async fn listed(api: &ApiClient) -> Result<(), CallError> {
    let answer = api.call(Method::GET, "/operator/user", None).await?;
    let users = answer.get("data").and_then(Value::as_array).cloned().unwrap_or_default();
    if users.is_empty() {
        println!("no users");
    }
    for user in &users {
        let text = |field: &str| user.get(field).and_then(Value::as_str).unwrap_or_default();
        let applications = user.get("applications").and_then(Value::as_u64).unwrap_or_default();
        let role = match (text("role"), applications) {
            ("", 1) => "of one application".to_owned(),
            ("", many) => format!("of {many} applications"),
            (role, _) => role.to_owned(),
        };
        let invited = user.get("hasPassword").and_then(Value::as_bool) == Some(false);
        println!(
            "{}  {:13}  {}{}",
            text("email"),
            role,
            text("name"),
            if invited { "  (invited)" } else { "" }
        );
    }
    Ok(())
}
