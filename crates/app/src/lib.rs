//! Use cases: what a caller of Posthaste can do, whatever the door (API, console, command line) they came through.
//!
//! A use case takes the [`Principal`] that [`session`] made of a credential and plain values, checks what the
//! principal may do, checks the values against the domain's rules, and makes one call to the store. It never knows
//! about HTTP. Files are named by noun; `ingest` is the hot path (a message posted), with `idempotency` (and its parts
//! `flight` and `memory`) beside it.
//!
//! Promises: a refusal stores nothing and says what was wrong ([`AppError`]); another tenant's id is not found;
//! what is in memory here (sessions, idempotency keys) is bounded and may be lost without losing a promise.

pub mod api_key;
pub mod application;
pub mod attempt;
pub mod attempt_request;
pub mod audit;
mod audit_shown;
pub mod change;
pub mod check;
pub mod credentials;
pub mod delivery;
pub mod diagnose;
mod diagnose_errors;
mod diagnose_signature;
mod diagnose_steps;
pub mod dry_run;
pub mod endpoint;
mod endpoint_check;
pub mod environment;
pub mod error;
pub mod event_type;
pub mod example;
mod filter;
mod flight;
mod forgotten;
pub mod glance;
pub mod header;
pub mod health;
pub mod idempotency;
pub mod ingest;
pub mod jwt;
mod knocks;
pub mod list;
mod mail;
pub mod member;
mod memory;
pub mod message;
pub mod notice;
pub mod notify;
pub mod oidc;
mod oidc_begun;
mod oidc_provider;
mod oidc_token;
pub mod operational;
pub mod options;
mod password;
pub mod portal;
pub mod principal;
pub mod random;
mod rate;
pub mod schema;
pub mod secret;
pub mod session;
pub mod sign_in;
pub mod statistics;
pub mod task;
pub mod task_count;
pub mod totp;
pub mod user;
mod window;

pub use error::{AppError, Problem, Problems, Result};
pub use principal::{Place, Principal, Right, Scope};

use courier::Courier;
use domain::clock::{Clock, Timestamp};
use domain::environment::SignatureHeaders;
use domain::notify::Recipients;
use domain::wire_id::{IdCodec, Kind};
use idempotency::Idempotency;
use random::Random;
use session::Sessions;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use store::Store;
use store::handoff::Handoff;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

/// What an [`App`] is made of.
pub struct AppParts {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The way to dispatch.
    pub handoff: Handoff,
    /// The only way out, and where it may lead.
    pub egress: egress::Client,
    /// Checks and tries customers' scripts.
    pub sandbox: shape::Sandbox,
    /// The present.
    pub clock: Arc<dyn Clock>,
    /// Randomness for ids, secrets and keys.
    pub random: Arc<dyn Random>,
    /// The ids of messages and attempts.
    pub ids: IdCodec,
    /// Takes mails to people; browsers know its pushes by its key.
    pub courier: Arc<Courier>,
    /// The identity provider that people may sign in by.
    pub oidc: Option<oidc::OidcParts>,
    /// What the operator chose.
    pub settings: AppSettings,
}

/// What the operator chose.
#[derive(Debug)]
pub struct AppSettings {
    /// How tokens are verified and made.
    pub jwt: jwt::Jwt,
    /// The signature headers of new environments.
    pub signature_headers: SignatureHeaders,
    /// What `X-Event-Origin` says.
    pub event_origin: String,
    /// What people call this instance.
    pub name: String,
    /// The address under which people know this instance, without a slash at its end.
    pub public_url: String,
    /// Requests of one credential in a second; 0 is no limit.
    pub api_rate_limit: u32,
    /// Proxies whose word about a client's address is believed.
    pub trusted_proxies: Vec<ipnet::IpNet>,
    /// Days that messages are kept: a payload is never kept longer.
    pub retention_days: u32,
}

/// Every use case. Cheap to clone.
#[derive(Clone)]
pub struct App {
    inner: Arc<Inner>,
}

struct Inner {
    parts: AppParts,
    sessions: Sessions,
    idempotency: Idempotency,
    filters: filter::Filters,
    schemas: schema::Schemas,
    rates: rate::Rates,
    recipients: Recipients,
    passwords: password::Passwords,
    knocks: knocks::Knocks,
    oidc: Option<oidc::Oidc>,
    /// What goes on after its answer.
    aside: TaskTracker,
    mail_turns: Arc<Semaphore>,
    stopping: AtomicBool,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("App(…)")
    }
}

impl App {
    /// The use cases over these parts.
    #[must_use]
    pub fn new(mut parts: AppParts) -> Self {
        let started_at = parts.clock.now();
        let recipients = store::notify::recipients(&parts.store.wire_id_key());
        let (oidc, clock) = (parts.oidc.take(), Arc::clone(&parts.clock));
        let oidc = oidc.map(|oidc| oidc::Oidc::new(oidc, clock, &parts.store.wire_id_key()));
        let inner = Inner {
            parts,
            sessions: Sessions::default(),
            idempotency: Idempotency::new(started_at),
            filters: filter::Filters::default(),
            schemas: schema::Schemas::default(),
            rates: rate::Rates::default(),
            recipients,
            passwords: password::Passwords::default(),
            knocks: knocks::Knocks::default(),
            oidc,
            aside: TaskTracker::new(),
            mail_turns: Arc::new(Semaphore::new(forgotten::MAILS_MAX)),
            stopping: AtomicBool::new(false),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The codec of message and attempt ids.
    #[must_use]
    pub fn ids(&self) -> &IdCodec {
        &self.inner.parts.ids
    }

    /// The present, as the use cases see it.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.inner.parts.clock.now()
    }

    /// The address under which people know this instance, without a slash at its end.
    #[must_use]
    pub fn public_url(&self) -> &str {
        &self.settings().public_url
    }

    /// Days that messages are kept.
    #[must_use]
    pub fn retention_days(&self) -> u32 {
        self.settings().retention_days
    }

    fn store(&self) -> &Arc<dyn Store> {
        &self.inner.parts.store
    }

    fn settings(&self) -> &AppSettings {
        &self.inner.parts.settings
    }

    fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.inner.parts.random.fill(&mut bytes);
        bytes
    }

    fn new_id(&self, kind: Kind) -> String {
        kind.make(self.now(), self.random())
    }
}
