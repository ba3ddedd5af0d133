//! Portal links: the console for one application, opened by whoever has the link, until it ends. What a link holds also opens the
//! API, as an application's token does.

use crate::App;
use crate::audit::{Acting, Deed};
use crate::error::{AppError, Problems, Result};
use crate::principal::{Principal, Right, Scope};
use crate::session::{sha256, subject};
use crate::sign_in::{From, Visitor, form_token};
use domain::audit::{Action, Actor, ActorKind, Difference};
use domain::clock::Timestamp;
use domain::id::UserKey;
use domain::portal::{
    Capability, PORTAL_GRACE_SECONDS_MAX, PORTAL_SECONDS_MAX, PORTAL_SECONDS_MIN, PORTAL_SESSIONS_MAX,
    Portal, role_of,
};
use domain::user::{Membership, User};
use domain::word::Worded;
use serde_json::json;
use store::StoreError;
use store::browser::Browser;

/// How what a link holds begins.
pub(crate) const PORTAL_PREFIX: &str = "portal_";
/// A session's name, in characters.
const SESSION_ID_CHARS_MAX: usize = 64;
/// Flags of one link.
const FLAGS_MAX: usize = 25;

/// A link to be made.
#[derive(Clone, Debug, Default)]
pub struct NewPortal {
    /// What may be done; none is everything.
    pub capabilities: Option<Vec<Capability>>,
    /// Whether nothing may be done but to look.
    pub read_only: bool,
    /// Which flagged event types are seen.
    pub feature_flags: Vec<String>,
    /// How long it holds, in seconds; none is 7 days.
    pub expiry: Option<u64>,
    /// What the back end calls the session.
    pub session_id: Option<String>,
}

impl App {
    /// Makes a link for an application; answers what it holds.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`, `Invalid`.
    pub async fn portal_create(
        &self,
        principal: &Principal,
        application: &str,
        new: NewPortal,
    ) -> Result<String> {
        principal.may_in_environment(Right::Administer)?;
        let application = self.workspace(principal, application, Right::Administer)?;
        let seconds =
            new.expiry.map_or(PORTAL_SECONDS_MAX, |expiry| i64::try_from(expiry).unwrap_or(i64::MAX));
        check(&new, seconds)?;
        let capabilities = match (new.read_only, new.capabilities) {
            (true, _) => vec![Capability::ViewBase],
            (false, Some(capabilities)) => capabilities,
            (false, None) => Capability::ALL.to_vec(),
        };
        let token = format!("{PORTAL_PREFIX}{}", self.new_token());
        let portal = Portal {
            application: application.key,
            capabilities,
            feature_flags: new.feature_flags,
            session_id: new.session_id,
            expires_at: self.now().plus_ms(seconds * 1_000),
        };
        let difference = Difference::made(&json!({
            "capabilities": portal.capabilities.iter().map(|one| one.word()).collect::<Vec<_>>(),
            "sessionId": portal.session_id, "expiry": seconds,
        }));
        self.store().portals_prune().await?;
        self.store().portal_create(sha256(token.as_bytes()), portal).await?;
        let deed = Deed::new(Action::PortalCreated, &*application.id, application.called()).with(difference);
        self.note_deed(principal, Some(&application), deed).await;
        Ok(token)
    }

    /// Ends an application's links, after `grace_seconds`: those of these sessions, or all.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`, `Invalid`.
    pub async fn portals_end(
        &self,
        principal: &Principal,
        application: &str,
        (grace_seconds, session_ids): (i64, Option<Vec<String>>),
    ) -> Result<()> {
        principal.may_in_environment(Right::Administer)?;
        let application = self.workspace(principal, application, Right::Administer)?;
        let mut problems = Problems::default();
        if !(0..=PORTAL_GRACE_SECONDS_MAX).contains(&grace_seconds) {
            let what = format!("{grace_seconds} seconds: 0 to {PORTAL_GRACE_SECONDS_MAX} are allowed");
            problems.add("expiry", what);
        }
        if session_ids.as_ref().is_some_and(|ids| ids.len() > PORTAL_SESSIONS_MAX) {
            problems.add("sessionIds", format!("at most {PORTAL_SESSIONS_MAX} are ended at once"));
        }
        problems.finish()?;
        let at = self.now().plus_ms(grace_seconds * 1_000);
        let difference = Difference::made(&json!({"sessionIds": session_ids, "expiry": grace_seconds}));
        self.store().portals_end(application.key, session_ids, at).await?;
        self.inner.sessions.forget_portals();
        let deed = Deed::new(Action::PortalsEnded, &*application.id, application.called()).with(difference);
        self.note_deed(principal, Some(&application), deed).await;
        Ok(())
    }

    /// Whoever comes by what a link holds: a guest, who is in no list of users.
    ///
    /// # Errors
    /// `Unauthenticated`; `Unavailable`.
    pub async fn guest(&self, token: &str, from: &From) -> Result<Visitor> {
        let (portal, hash) = self.portal_of(token.as_bytes()).await?;
        let role = role_of(&portal.capabilities);
        let user = User {
            key: UserKey(0),
            id: String::new(),
            email: String::new(),
            name: "Guest".to_owned(),
            has_password: false,
            has_totp: false,
            memberships: vec![Membership { application: Some(portal.application), role }],
            created_at: self.now(),
        };
        let browser = Browser {
            sha256: hash,
            created_at: self.now(),
            seen_at: self.now(),
            ends_at: portal.expires_at,
            address: String::new(),
            agent: String::new(),
        };
        Ok(Visitor {
            user,
            browser,
            form_token: form_token(token),
            portal: Some(portal),
            address: from.address.clone(),
        })
    }

    /// The application that a guest is here for.
    ///
    /// # Errors
    /// `NotFound` when it is gone.
    pub fn guests_application(&self, portal: &Portal) -> Result<String> {
        let found = self.store().routing().application_by_key(portal.application);
        found.map(|application| application.id.clone()).ok_or(AppError::NotFound)
    }

    /// What a link's token opens in the API, and until when.
    pub(crate) async fn portal_session(&self, token: &[u8]) -> Result<(Principal, Timestamp)> {
        let (portal, hash) = self.portal_of(token).await?;
        let routing = self.store().routing();
        let application = routing.application_by_key(portal.application).ok_or(AppError::Unauthenticated)?;
        let environment =
            routing.environment_by_key(application.environment).ok_or(AppError::Unauthenticated)?;
        let principal = Principal {
            environment,
            scope: Scope::Application { key: application.key, id: Some(application.id.clone()) },
            role: role_of(&portal.capabilities),
            subject: subject(&["portal", &crate::session::hex(&hash)]),
            feature_flags: Some(portal.feature_flags.clone()),
            capabilities: Some(portal.capabilities.clone()),
            acting: Acting { actor: guest_of(&portal), ..Acting::default() },
        };
        Ok((principal, portal.expires_at))
    }

    async fn portal_of(&self, token: &[u8]) -> Result<(Portal, [u8; 32])> {
        if !token.starts_with(PORTAL_PREFIX.as_bytes()) {
            return Err(AppError::Unauthenticated);
        }
        let hash = sha256(token);
        match self.store().portal_find(hash).await {
            Err(StoreError::NotFound) => Err(AppError::Unauthenticated),
            found => Ok((found?, hash)),
        }
    }
}

/// Who acts, when it is whoever came by a link.
pub(crate) fn guest_of(portal: &Portal) -> Actor {
    Actor { name: portal.session_id.clone().unwrap_or_default(), ..Actor::of(ActorKind::Guest) }
}

fn check(new: &NewPortal, seconds: i64) -> Result<()> {
    let mut problems = Problems::default();
    if !(PORTAL_SECONDS_MIN..=PORTAL_SECONDS_MAX).contains(&seconds) {
        let what = format!("{seconds} seconds: {PORTAL_SECONDS_MIN} to {PORTAL_SECONDS_MAX} are allowed");
        problems.add("expiry", what);
    }
    if new.feature_flags.len() > FLAGS_MAX {
        problems.add("featureFlags", format!("at most {FLAGS_MAX} flags"));
    }
    for (index, flag) in new.feature_flags.iter().enumerate() {
        problems.check_item("featureFlags", index, domain::name::check_plain(flag));
    }
    if let Some(id) = &new.session_id {
        let fits = |c: char| c.is_ascii_alphanumeric() || "@_-".contains(c);
        if id.is_empty() || id.len() > SESSION_ID_CHARS_MAX || !id.chars().all(fits) {
            let what = format!("must have 1 to {SESSION_ID_CHARS_MAX} of a-z, A-Z, 0-9, `@`, `_` and `-`");
            problems.add("sessionId", what);
        }
    }
    problems.finish()
}
