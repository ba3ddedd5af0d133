//! From a credential to a [`Principal`]. THE HOT PATH begins here: every request asks.
//!
//! Verifying a token costs microseconds, so verified ones are remembered by their whole text until they expire;
//! a repeated token costs one keyed hash and one comparison. API keys are remembered for a second at most, and
//! forgotten at once when one is revoked here. Only credentials that were good are remembered, so that junk cannot
//! push them out.

use crate::App;
use crate::audit::Acting;
use crate::error::{AppError, Result};
use crate::jwt::{CannotSign, Grant, Verified};
use crate::portal::PORTAL_PREFIX;
use crate::principal::{Principal, Scope};
use aws_lc_rs::digest::{SHA256, digest};
use domain::api_key::ApiKey;
use domain::audit::Actor;
use domain::clock::Timestamp;
use domain::id::ApplicationKey;
use domain::role::Role;
use foldhash::HashMap;
use parking_lot::RwLock;
use std::fmt::Write;
use std::sync::Arc;
use store::StoreError;

/// Credentials remembered at most.
const SESSIONS_MAX: usize = 10_000;
/// How long a verified token is remembered at most, in milliseconds (an hour).
const TOKEN_MS_MAX: i64 = 3_600_000;
/// How long an API key is remembered, in milliseconds.
const API_KEY_MS: i64 = 1_000;
/// How often the use of an API key is noted, in milliseconds.
const USE_NOTED_MS: i64 = 60_000;
/// Bytes of a credential at most; longer ones are not looked at.
const CREDENTIAL_BYTES_MAX: usize = 8_192;
/// How API keys begin.
pub(crate) const API_KEY_PREFIX: &str = "ph_";

/// Credentials that were good a moment ago.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    known: RwLock<HashMap<Box<[u8]>, Session>>,
}

#[derive(Clone)]
struct Session {
    principal: Arc<Principal>,
    ends_at: Timestamp,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Session(…)")
    }
}

impl Sessions {
    fn find(&self, credential: &[u8], now: Timestamp) -> Option<Arc<Principal>> {
        let known = self.known.read();
        let session = known.get(credential)?;
        (session.ends_at > now).then(|| Arc::clone(&session.principal))
    }

    fn remember(&self, credential: &[u8], session: Session, now: Timestamp) {
        let mut known = self.known.write();
        if known.len() >= SESSIONS_MAX {
            known.retain(|_, session| session.ends_at > now);
        }
        if known.len() >= SESSIONS_MAX {
            known.clear();
        }
        known.insert(credential.into(), session);
    }

    /// Forgets everything that speaks for this application alone: it was deleted.
    pub(crate) fn forget_application(&self, deleted: ApplicationKey) {
        let speaks = |scope: &Scope| matches!(scope, Scope::Application { key, .. } if *key == deleted);
        self.known.write().retain(|_, session| !speaks(&session.principal.scope));
    }

    /// Forgets all portal links: some were ended.
    pub(crate) fn forget_portals(&self) {
        self.known.write().retain(|credential, _| !credential.starts_with(PORTAL_PREFIX.as_bytes()));
    }

    /// Forgets all API keys: one was revoked.
    pub(crate) fn forget_api_keys(&self) {
        self.known.write().retain(|credential, _| !credential.starts_with(API_KEY_PREFIX.as_bytes()));
    }
}

impl App {
    /// Who this credential (a JWT or an API key) speaks for.
    ///
    /// # Errors
    /// `Unauthenticated`; `Unavailable` when the store cannot say.
    pub async fn session(&self, credential: &[u8]) -> Result<Arc<Principal>> {
        let now = self.now();
        if let Some(principal) = self.inner.sessions.find(credential, now) {
            return Ok(principal);
        }
        if credential.len() > CREDENTIAL_BYTES_MAX {
            return Err(AppError::Unauthenticated);
        }
        let (principal, ends_at) = if credential.starts_with(PORTAL_PREFIX.as_bytes()) {
            let (principal, ends_at) = self.portal_session(credential).await?;
            (principal, ends_at.min(now.plus_ms(API_KEY_MS)))
        } else if credential.starts_with(API_KEY_PREFIX.as_bytes()) {
            (self.key_session(credential).await?, now.plus_ms(API_KEY_MS))
        } else {
            self.token_session(credential, now).await?
        };
        let principal = Arc::new(principal);
        let session = Session { principal: Arc::clone(&principal), ends_at };
        self.inner.sessions.remember(credential, session, now);
        Ok(principal)
    }

    /// Makes a token.
    ///
    /// # Errors
    /// The server's key only verifies.
    pub fn token_create(&self, grant: Grant<'_>) -> Result<String, CannotSign> {
        self.settings().jwt.sign(grant, self.now())
    }

    async fn token_session(&self, token: &[u8], now: Timestamp) -> Result<(Principal, Timestamp)> {
        let verified = self.settings().jwt.verify(token, now).ok_or(AppError::Unauthenticated)?;
        let latest = now.plus_ms(TOKEN_MS_MAX);
        let ends_at = verified.expires_at.map_or(latest, |end| end.min(latest));
        let subject =
            subject(&["jwt", &verified.environment, verified.application.as_deref().unwrap_or_default()]);
        let principal = match verified.application.clone() {
            None => self.environment_principal(&verified, subject).await?,
            Some(id) => self.application_principal(verified, id, subject)?,
        };
        Ok((principal, ends_at))
    }

    async fn environment_principal(&self, verified: &Verified, subject: [u8; 16]) -> Result<Principal> {
        let environment = match self.store().routing().environment(&verified.environment) {
            Some(environment) => environment,
            None => {
                let headers = self.settings().signature_headers;
                Arc::new(self.store().environment_ensure(&verified.environment, headers).await?)
            }
        };
        let role = Role::Administrator;
        let acting = acting(Actor::token(&environment.id));
        Ok(Principal {
            environment,
            scope: Scope::Environment,
            role,
            subject,
            feature_flags: None,
            capabilities: None,
            acting,
        })
    }

    /// An application's token opens nothing while its environment or application is not there.
    fn application_principal(&self, verified: Verified, id: String, subject: [u8; 16]) -> Result<Principal> {
        let routing = self.store().routing();
        let environment = routing.environment(&verified.environment).ok_or(AppError::Unauthenticated)?;
        let application = routing.application_by_id(&id).filter(|a| a.environment == environment.key);
        let key = application.ok_or(AppError::Unauthenticated)?.key;
        let acting = acting(Actor::token(&id));
        let scope = Scope::Application { key, id: Some(id) };
        let feature_flags = Some(verified.feature_flags);
        Ok(Principal {
            environment,
            scope,
            role: Role::Administrator,
            subject,
            feature_flags,
            capabilities: None,
            acting,
        })
    }

    /// Once a minute, so that lists can tell. It is no reason to refuse anybody.
    async fn note_use(&self, key: &ApiKey) {
        let is_noted = key.used_at.is_some_and(|at| at.plus_ms(USE_NOTED_MS) > self.now());
        if !is_noted && let Err(error) = self.store().api_key_used(&key.id).await {
            tracing::debug!(%error, "the use of an API key was not noted");
        }
    }

    async fn key_session(&self, text: &[u8]) -> Result<Principal> {
        let key = match self.store().api_key_find(sha256(text)).await {
            Ok(key) => key,
            Err(StoreError::NotFound) => return Err(AppError::Unauthenticated),
            Err(error) => return Err(error.into()),
        };
        self.note_use(&key).await;
        let environment = Arc::new(self.store().environment_get(key.environment).await?);
        let subject = subject(&["key", &key.id]);
        let acting = acting(Actor::api_key(&key));
        let ApiKey { application, role, .. } = key;
        let scope = application.map_or(Scope::Environment, |key| Scope::Application { key, id: None });
        let feature_flags = application.map(|_| Vec::new());
        Ok(Principal { environment, scope, role, subject, feature_flags, capabilities: None, acting })
    }
}

/// From where is known with each request.
const fn acting(actor: Actor) -> Acting {
    Acting { actor, address: String::new() }
}

/// SHA-256 of a credential's text: what the store keeps of an API key.
pub(crate) fn sha256(text: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, text).as_ref());
    out
}

/// A hash of who somebody is.
pub(crate) fn subject(parts: &[&str]) -> [u8; 16] {
    let hash = sha256(parts.join("\0").as_bytes());
    let mut out = [0; 16];
    out.copy_from_slice(&hash[..16]);
    out
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
