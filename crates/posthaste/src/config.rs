//! The settings: one table, two sources, all problems at once.
//!
//! [`table`] is the list: every setting with its name, default, meaning and parser. [`source`] reads the TOML file and
//! the environment (the environment wins) and refuses names that are not in the list. [`Config::load`] puts both
//! together. Nothing here starts anything; a wrong setting is a refusal to start that names the setting, the value
//! (never a secret's), what is allowed, and the nearest known name.

mod look;
mod nearest;
mod problem;
mod report;
mod source;
mod table;
mod value;

pub use problem::Problems;
pub use report::{Origin, Report};
pub use value::{JwtAlgorithm, LogFormat, SecretText, StoreAddress};

use app::jwt::Jwt;
use domain::environment::SignatureHeaders;
use domain::retry::Schedule;
use domain::role::Role;
use ipnet::IpNet;
use problem::Problem;
use report::Row;
use std::path::PathBuf;
use std::time::Duration;
use table::{Fallback, SETTINGS};

/// Every setting, read and checked.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Where the API listens, `host:port`.
    pub listen: String,
    /// Where `/metrics` listens; none is the main listener.
    pub metrics_listen: Option<String>,
    /// The folder of everything that is kept.
    pub data_dir: PathBuf,
    /// Where everything durable is.
    pub store: StoreAddress,
    /// The key that signs and checks JWTs (HS256, HS384, HS512).
    pub jwt_secret: Option<SecretText>,
    /// The one algorithm whose JWTs are taken.
    pub jwt_algorithm: JwtAlgorithm,
    /// The PEM public key that checks JWTs (RS256, RS384, RS512, EdDSA).
    pub jwt_public_key: Option<String>,
    /// The key that seals secrets at rest.
    pub encryption_key: Option<SecretText>,
    /// The key before that one, while not everything is sealed with the new one.
    pub encryption_key_old: Option<SecretText>,
    /// The intervals between tries.
    pub schedule: Schedule,
    /// Subnets opened to delivery beside the public ones.
    pub egress_allow: Vec<IpNet>,
    /// Public addresses are reached over https alone.
    pub https_only: bool,
    /// The deadline of one attempt.
    pub request_timeout: Duration,
    /// The signature headers of new environments.
    pub signature_headers: SignatureHeaders,
    /// How long messages and attempts are kept, in days.
    pub retention_days: u32,
    /// The address under which clients know this instance.
    pub public_url: String,
    /// The value of `X-Event-Origin`.
    pub event_origin: String,
    /// Requests of one credential in a second; 0 is no limit.
    pub api_rate_limit: u32,
    /// The mail server's URL; none is no e-mails.
    pub smtp_url: Option<SecretText>,
    /// Certificate authorities of the mail server, in PEM.
    pub smtp_certificate_authority: Option<String>,
    /// Whom e-mails come from.
    pub mail_from: String,
    /// How long a letter may take. Not a setting: tests have no patience.
    pub letter_timeout: Option<Duration>,
    /// The identity provider's identifier; none is no sign-in by it.
    pub oidc_issuer: Option<String>,
    /// What the provider knows us by.
    pub oidc_client_id: Option<String>,
    /// What shows the provider that it is us.
    pub oidc_client_secret: Option<SecretText>,
    /// What people call the provider.
    pub oidc_name: Option<String>,
    /// The domains of e-mail addresses whose people are added by themselves.
    pub oidc_domains: Vec<String>,
    /// With which role on the whole instance.
    pub oidc_role: Option<Role>,
    /// Certificate authorities of the provider, in PEM.
    pub oidc_certificate_authority: Option<String>,
    /// How long an answer of the provider may take. Not a setting: tests have no patience.
    pub oidc_timeout: Option<Duration>,
    /// Proxies whose `Forwarded` headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The addresses that deliveries come from, as receivers are told them.
    pub sender_addresses: Vec<IpNet>,
    /// Origins of pages that may show the portal within them.
    pub embed_origins: Vec<String>,
    /// Anybody may read the docs of the console.
    pub public_docs: bool,
    /// How the console looks.
    pub look: web::Look,
    /// Events that one page of the console's log looks through. Not a setting: tests have no long logs.
    pub looked_max: Option<u32>,
    /// The log filter.
    pub log: String,
    /// The log's form.
    pub log_format: LogFormat,
    /// The program that runs customers' scripts, if another than this one. Not a setting: tests are not the program.
    pub script_worker: Option<PathBuf>,
}

impl Config {
    /// Reads the settings: `file` (or `./posthaste.toml` when it is there) and this process's environment.
    ///
    /// # Errors
    /// Every unknown name and every wrong value, together.
    pub fn load(file: Option<PathBuf>) -> Result<(Self, Report), Problems> {
        let mut problems = Vec::new();
        let given = source::read(file, std::env::vars_os(), &mut problems);
        Self::from_given(&given, problems)
    }

    fn from_given(given: &[source::Given], mut problems: Vec<Problem>) -> Result<(Self, Report), Problems> {
        let mut config = Self::default();
        let mut rows = Vec::with_capacity(SETTINGS.len());
        let mut wrong = Vec::new();
        for setting in SETTINGS {
            let found = given.iter().rfind(|given| given.setting == setting.name);
            let derived = match setting.fallback {
                Fallback::Text(text) => Some(text.to_owned()),
                Fallback::From(derive, _) => Some(derive(&config)),
                Fallback::Absent(_) => None,
            };
            let text = found.map_or(derived.as_deref(), |given| Some(given.text.as_str()));
            if let Some(Err(allowed)) = text.map(|text| (setting.put)(&mut config, text)) {
                // A default that builds on a wrong setting is wrong only because of it.
                if found.is_some() || wrong.is_empty() {
                    problems.push(Problem::wrong(setting, found, allowed));
                }
                wrong.push(setting.name);
            }
            let origin = found.map_or(Origin::Default, |given| given.origin.clone());
            rows.push(Row { setting, value: text.map(str::to_owned), origin });
        }
        if !wrong.contains(&"JWT_ALGORITHM") && !wrong.contains(&"JWT_PUBLIC_KEY") {
            config.check_together(&mut problems);
        }
        if !wrong.iter().any(|name| name.starts_with("OIDC_")) {
            config.check_oidc(&mut problems);
        }
        if problems.is_empty() { Ok((config, Report(rows))) } else { Err(Problems(problems)) }
    }

    /// What only two settings together can get wrong.
    fn check_together(&self, problems: &mut Vec<Problem>) {
        self.check_shared(problems);
        let name = self.jwt_algorithm.word();
        if self.jwt_algorithm.is_symmetric() && self.jwt_public_key.is_some() {
            problems.push(Problem::text(format!(
                "POSTHASTE_JWT_PUBLIC_KEY is set, but POSTHASTE_JWT_ALGORITHM is {name}, which checks tokens with \
                 POSTHASTE_JWT_SECRET: leave the public key out, or set the algorithm to RS256, RS384, RS512 or EdDSA"
            )));
        }
        if self.jwt_algorithm.is_symmetric() {
            return;
        }
        if self.jwt_secret.is_some() {
            problems.push(Problem::text(format!(
                "POSTHASTE_JWT_SECRET is set, but POSTHASTE_JWT_ALGORITHM is {name}, which checks tokens with \
                 POSTHASTE_JWT_PUBLIC_KEY: leave the secret out, or set the algorithm to HS256, HS384 or HS512"
            )));
        }
        self.check_public_key(problems);
    }

    /// Nodes that share a store must sign and seal alike.
    fn check_shared(&self, problems: &mut Vec<Problem>) {
        if !matches!(self.store, StoreAddress::Postgres(_)) {
            return;
        }
        let mut missing = |name: &str, what: &str| {
            problems.push(Problem::text(format!(
                "{name} must be set with a PostgreSQL store: every node would make one of its own, and {what}. Make \
                 one with `openssl rand -hex 32` and give it to all nodes"
            )));
        };
        if self.jwt_algorithm.is_symmetric() && self.jwt_secret.is_none() {
            missing("POSTHASTE_JWT_SECRET", "none would take the tokens of another");
        }
        if self.encryption_key.is_none() {
            missing("POSTHASTE_ENCRYPTION_KEY", "none could read what another has sealed");
        }
    }

    /// Sign-in by an identity provider is set up whole, or not at all.
    fn check_oidc(&self, problems: &mut Vec<Problem>) {
        let mut problem = |text: &str| problems.push(Problem::text(text.to_owned()));
        if self.oidc_issuer.is_some() && self.oidc_client_id.is_none() {
            problem(
                "POSTHASTE_OIDC_ISSUER is set, but POSTHASTE_OIDC_CLIENT_ID is not: give the id that the provider made for this \
                 server, or leave both out",
            );
        }
        let others = [
            ("POSTHASTE_OIDC_CLIENT_ID", self.oidc_client_id.is_some()),
            ("POSTHASTE_OIDC_CLIENT_SECRET", self.oidc_client_secret.is_some()),
            ("POSTHASTE_OIDC_NAME", self.oidc_name.is_some()),
            ("POSTHASTE_OIDC_DOMAINS", !self.oidc_domains.is_empty()),
            ("POSTHASTE_OIDC_ROLE", self.oidc_role.is_some()),
            ("POSTHASTE_OIDC_CERTIFICATE_AUTHORITY", self.oidc_certificate_authority.is_some()),
        ];
        if let (None, Some((name, _))) = (&self.oidc_issuer, others.iter().find(|(_, is_set)| *is_set)) {
            problem(&format!(
                "{name} is set, but POSTHASTE_OIDC_ISSUER is not: give the provider's address, or leave all of POSTHASTE_OIDC_… out"
            ));
        } else if self.oidc_role.is_some() && self.oidc_domains.is_empty() {
            problem(
                "POSTHASTE_OIDC_ROLE is set, but POSTHASTE_OIDC_DOMAINS is not: the role is for people of these domains, who are \
                 added by themselves; all others have the role that they were invited with",
            );
        }
    }

    fn check_public_key(&self, problems: &mut Vec<Problem>) {
        let name = self.jwt_algorithm.word();
        match &self.jwt_public_key {
            None => problems.push(Problem::text(format!(
                "POSTHASTE_JWT_ALGORITHM is {name}, which needs POSTHASTE_JWT_PUBLIC_KEY: a public key as PEM, or \
                 file:PATH of one"
            ))),
            Some(pem) => {
                if let Err(error) = Jwt::new(name, pem.as_bytes()) {
                    problems.push(Problem::text(format!("POSTHASTE_JWT_PUBLIC_KEY: {error}")));
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "config/tests.rs"]
mod tests;
