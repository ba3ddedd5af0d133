//! `posthaste token create`

use super::{Config, Failure, open_keys};
use crate::clock::SystemClock;
use crate::token::{ENVIRONMENT_DEFAULT, environment_grant};
use app::jwt::Grant;
use clap::{Args, Subcommand};
use domain::clock::Clock;
use domain::limit::NAME_CHARS_MAX;
use domain::wire_id::Kind;

const DAY_SECONDS: i64 = 86_400;

/// What can be done with tokens.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Print a token: for a whole environment, or for one application of it.
    ///
    /// Send it as `Authorization: Bearer TOKEN`. A token cannot be taken back before it expires; an API key can
    /// (`posthaste key create`). No server needs to run for this.
    Create(Create),
}

/// The arguments of `token create`.
#[derive(Debug, Args)]
pub(super) struct Create {
    /// The environment that it opens: an isolated set of applications, made when first seen.
    #[arg(long, value_name = "org_…", default_value = ENVIRONMENT_DEFAULT)]
    environment: String,
    /// Open this application alone (its id, not its uid).
    #[arg(long, value_name = "app_…")]
    application: Option<String>,
    /// Days until it expires.
    #[arg(long, value_name = "N", default_value_t = 3_650, value_parser = clap::value_parser!(u16).range(1..))]
    expires_days: u16,
}

/// Does one of them.
pub(super) fn run(config: &Config, verb: Verb) -> Result<(), Failure> {
    let Verb::Create(create) = verb;
    check("--environment", Kind::Environment, &create.environment)?;
    if let Some(application) = &create.application {
        check("--application", Kind::Application, application)?;
    }
    let (_, keys) = open_keys(config)?;
    let grant = Grant {
        application: create.application.as_deref(),
        ..environment_grant(&create.environment, i64::from(create.expires_days) * DAY_SECONDS)
    };
    println!("{}", keys.mint(config, grant, SystemClock.now())?);
    Ok(())
}

/// Ids of imported applications and environments keep their form, so the prefix is all that is sure.
pub(super) fn check(argument: &str, kind: Kind, id: &str) -> Result<(), Failure> {
    let prefix = kind.prefix();
    let body = id.strip_prefix(prefix).unwrap_or_default();
    if id.len() > NAME_CHARS_MAX {
        let chars = id.len();
        let refusal =
            format!("{argument} has {chars} characters: an id has at most {NAME_CHARS_MAX} (name_chars_max)");
        return Err(Failure::Refused(refusal));
    }
    if body.is_empty() || !body.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b)) {
        let refusal = format!("{argument} is \"{id}\": it must be an id: {prefix}, then letters and digits");
        return Err(Failure::Refused(refusal));
    }
    Ok(())
}
