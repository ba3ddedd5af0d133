//! Signing in to the console: from a password or a link to a browser's cookie, and from the cookie to a [`Visitor`].
//!
//! A cookie holds 32 random bytes; the store keeps their SHA-256. Every answer about an account that is not there takes as
//! long, and says the same, as one about an account that is.

use crate::App;
use crate::audit::{Acting, Deed};
use crate::error::{AppError, Result};
use crate::portal::guest_of;
use crate::principal::{Principal, Scope};
use crate::session::{hex, sha256, subject};
use crate::totp::Entered;
use domain::application::Application;
use domain::audit::{Action, ActorKind};
use domain::clock::Timestamp;
use domain::environment::Environment;
use domain::id::ApplicationKey;
use domain::portal::Portal;
use domain::role::Role;
use domain::sign_in::{SESSION_IDLE_MS, SESSION_MS, SESSION_SEEN_MS, TicketPurpose};
use domain::user::{User, check_password, normal_email};
use std::sync::Arc;
use store::StoreError;
use store::browser::{Browser, NewBrowser};
use store::user::Proofs;

/// Characters of what a browser says it is that are kept.
const AGENT_CHARS_MAX: usize = 200;
/// Characters of a cookie, and of what a link holds.
const TOKEN_CHARS: usize = 64;

/// Where somebody comes from.
#[derive(Clone, Debug, Default)]
pub struct From {
    /// The client's address.
    pub address: String,
    /// What the browser says it is.
    pub agent: String,
}

/// A person who is signed in.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// Who.
    pub user: User,
    /// In which browser.
    pub browser: Browser,
    /// From which address now; empty when unknown.
    pub address: String,
    /// What every form of theirs carries, so that no other site can send one.
    pub form_token: String,
    /// The link by which they came, if they are no user.
    pub portal: Option<Portal>,
}

/// A password that is chosen by a link.
#[derive(Clone, Debug, Default)]
pub struct ChosenPassword {
    /// The password.
    pub password: String,
    /// The code of their second factor, if they have one.
    pub code: String,
}

/// An application as a visitor opens it.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The application.
    pub application: Arc<Application>,
    /// What the visitor may do there.
    pub principal: Principal,
}

impl Visitor {
    fn subject(&self) -> [u8; 16] {
        match &self.portal {
            Some(_) => subject(&["portal", &hex(&self.browser.sha256)]),
            None => subject(&["user", &self.user.id]),
        }
    }

    pub(crate) fn acting(&self) -> Acting {
        match &self.portal {
            Some(portal) => Acting { actor: guest_of(portal), address: self.address.clone() },
            None => Acting::user(&self.user, &self.address),
        }
    }
}

impl App {
    /// Signs a person in, or asks for their second factor.
    ///
    /// # Errors
    /// `Unauthenticated` when address and password are no pair; `TooMany`.
    pub async fn sign_in(&self, email: &str, password: &str, from: From) -> Result<Entered> {
        let (email, now) = (normal_email(email), self.now());
        self.inner.knocks.knock(&from.address, &email, now)?;
        let proofs = match self.store().user_proofs(&email).await {
            Ok(proofs) => Some(proofs),
            Err(StoreError::NotFound) => None,
            Err(error) => return Err(error.into()),
        };
        let hash = proofs.as_ref().and_then(|proofs| proofs.password.clone());
        let fits = self.inner.passwords.fits(password, hash).await?;
        if !fits && let Some(proofs) = &proofs {
            self.note_failure(&proofs.user, &from);
        }
        let Proofs { user, password, .. } = proofs.filter(|_| fits).ok_or(AppError::Unauthenticated)?;
        self.inner.knocks.welcome(&from.address, &email);
        match self.enter(&user, password, from).await {
            // The password was replaced while it was looked at.
            Err(AppError::NotFound) => Err(AppError::Unauthenticated),
            kept => kept,
        }
    }

    /// Signs the holder of a link in, or asks for their second factor: those that [`App::sign_in_link`] makes.
    ///
    /// # Errors
    /// `NotFound` when it is none, or does not hold any more; `TooMany`.
    pub async fn sign_in_by_link(&self, link: &str, from: From) -> Result<Entered> {
        let user = self.holder(link, TicketPurpose::SignIn, &from).await?;
        self.enter(&user, None, from).await
    }

    /// Whose link this is, by which a password is chosen.
    ///
    /// # Errors
    /// `NotFound` when it is none, was used, or does not hold any more; `TooMany`.
    pub async fn password_link(&self, link: &str, from: &From) -> Result<User> {
        self.holder(link, TicketPurpose::Password, from).await
    }

    /// Chooses a password by a link, and signs in. Every other browser of theirs is signed out. Who has a second factor gives its
    /// code with it: a link that came by e-mail changes nothing without.
    ///
    /// # Errors
    /// As [`App::password_link`]; `Invalid`.
    pub async fn password_by_link(&self, link: &str, chosen: ChosenPassword, from: From) -> Result<String> {
        let user = self.password_link(link, &from).await?;
        let password = &chosen.password;
        check_password(password, &user.email).map_err(|what| AppError::invalid("password", what))?;
        if user.has_totp {
            self.code_checked(&user, ("code", &chosen.code)).await?;
        }
        let hash = self.hashed(password).await?;
        let user = self.store().ticket_use(sha256(link.as_bytes()), hash).await?;
        let acting = Acting::user(&user, &from.address);
        self.note_of_instance(&acting, Deed::to_user(Action::PasswordChosen, &user)).await;
        self.welcome(&user, from).await
    }

    /// Who is signed in by this cookie.
    ///
    /// # Errors
    /// `Unauthenticated`; `Unavailable`.
    pub async fn visitor(&self, cookie: &str, from: &From) -> Result<Visitor> {
        if cookie.len() != TOKEN_CHARS {
            return Err(AppError::Unauthenticated);
        }
        let (hash, now) = (sha256(cookie.as_bytes()), self.now());
        let (browser, user) = match self.store().browser_find(hash, idle_since(now)).await {
            Err(StoreError::NotFound) => return Err(AppError::Unauthenticated),
            found => found?,
        };
        if browser.seen_at.plus_ms(SESSION_SEEN_MS) <= now {
            self.store().browser_seen(hash).await?;
        }
        Ok(Visitor {
            user,
            browser,
            form_token: form_token(cookie),
            address: from.address.clone(),
            portal: None,
        })
    }

    /// Signs a visitor out, here or everywhere.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn sign_out(&self, visitor: &Visitor, everywhere: bool) -> Result<()> {
        match everywhere {
            true => self.store().browsers_delete(visitor.user.key, None).await?,
            false => self.store().browser_delete(visitor.browser.sha256).await?,
        }
        let action = if everywhere { Action::SignedOutEverywhere } else { Action::SignedOut };
        self.note_of_instance(&visitor.acting(), Deed::to_user(action, &visitor.user)).await;
        Ok(())
    }

    /// Where a visitor is signed in, this browser included.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn browsers(&self, visitor: &Visitor) -> Result<Vec<Browser>> {
        Ok(self.store().browser_list(visitor.user.key, idle_since(self.now())).await?)
    }

    /// The application of this id as a visitor opens it.
    ///
    /// # Errors
    /// `NotFound`, also when they have no role there.
    pub fn open(&self, visitor: &Visitor, application: &str) -> Result<Opened> {
        let routing = self.store().routing();
        let application = routing.application_by_id(application).ok_or(AppError::NotFound)?;
        let role = visitor.user.role_in(application.key).ok_or(AppError::NotFound)?;
        let environment = routing.environment_by_key(application.environment).ok_or(AppError::NotFound)?;
        let is_everywhere = visitor.user.role_everywhere() == Some(role);
        let scope = if is_everywhere {
            Scope::Environment
        } else {
            Scope::Application { key: application.key, id: Some(application.id.clone()) }
        };
        let portal = visitor.portal.as_ref();
        let flags = portal.map(|portal| portal.feature_flags.clone()).unwrap_or_default();
        let feature_flags = (!is_everywhere).then_some(flags);
        let capabilities = portal.map(|portal| portal.capabilities.clone());
        let (subject, acting) = (visitor.subject(), visitor.acting());
        let principal = Principal { environment, scope, role, subject, feature_flags, capabilities, acting };
        Ok(Opened { application, principal })
    }

    /// The environment of this id as a visitor opens it; none is the one that was there first.
    ///
    /// # Errors
    /// `NotFound`, also when they are no members of the instance.
    pub fn open_environment(&self, visitor: &Visitor, id: Option<&str>) -> Result<Principal> {
        let role = visitor.user.role_everywhere().ok_or(AppError::NotFound)?;
        let routing = self.store().routing();
        let environment = match id {
            Some(id) => routing.environment(id),
            None => routing.environments().into_iter().min_by_key(|environment| environment.key),
        };
        let environment = environment.ok_or(AppError::NotFound)?;
        Ok(Principal {
            environment,
            scope: Scope::Environment,
            role,
            subject: visitor.subject(),
            feature_flags: None,
            capabilities: None,
            acting: visitor.acting(),
        })
    }

    /// Whoever reads what is public of an environment: they see event types that no flag hides, and may do nothing.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn anybody(&self, environment: &str) -> Result<Principal> {
        let environment = self.store().routing().environment(environment).ok_or(AppError::NotFound)?;
        Ok(Principal {
            environment,
            scope: Scope::Application { key: ApplicationKey(0), id: None },
            role: Role::Viewer,
            subject: subject(&["anybody"]),
            feature_flags: Some(Vec::new()),
            capabilities: None,
            acting: Acting::default(),
        })
    }

    /// Every environment, for members of the instance; the first one first.
    #[must_use]
    pub fn environments(&self, visitor: &Visitor) -> Vec<Arc<Environment>> {
        if visitor.user.role_everywhere().is_none() {
            return Vec::new();
        }
        let mut all = self.store().routing().environments();
        all.sort_by_key(|environment| environment.key);
        all
    }

    /// The applications in which a visitor has a role of their own, with it.
    #[must_use]
    pub fn own_applications(&self, visitor: &Visitor) -> Vec<(Arc<Application>, Role)> {
        let routing = self.store().routing();
        let own = visitor.user.memberships.iter().filter_map(|membership| {
            let application = routing.application_by_key(membership.application?)?;
            Some((application, membership.role))
        });
        own.collect()
    }

    /// Keeps a browser for a user; answers what its cookie holds.
    pub(crate) async fn welcome(&self, user: &User, from: From) -> Result<String> {
        self.keep_browser(user, None, from).await
    }

    pub(crate) async fn keep_browser(
        &self,
        user: &User,
        password: Option<String>,
        from: From,
    ) -> Result<String> {
        let cookie = self.new_token();
        let acting = Acting::user(user, &from.address);
        let agent = from.agent.chars().filter(|c| !c.is_control()).take(AGENT_CHARS_MAX).collect();
        let new = NewBrowser {
            sha256: sha256(cookie.as_bytes()),
            user: user.key,
            password,
            ends_at: self.now().plus_ms(SESSION_MS),
            address: from.address,
            agent,
        };
        self.store().browser_create(new).await?;
        self.note_of_instance(&acting, Deed::to_user(Action::SignedIn, user)).await;
        self.store().browsers_prune(idle_since(self.now())).await?;
        Ok(cookie)
    }

    /// Notes that somebody failed to sign in, a few times an hour for each account. It is written after the answer, which would take
    /// longer otherwise where there is such an account.
    pub(crate) fn note_failure(&self, user: &User, from: &From) {
        if !self.inner.knocks.may_note(&user.email, self.now()) {
            return;
        }
        let acting = Acting { address: from.address.clone(), ..Acting::of(ActorKind::Nobody) };
        let entry = self.entry_of_instance(&acting, Deed::to_user(Action::SignInFailed, user));
        let app = self.clone();
        self.inner.aside.spawn(async move { app.note(entry).await });
    }

    /// What a cookie or a link holds: 32 random bytes, as hexadecimal digits.
    pub(crate) fn new_token(&self) -> String {
        hex(&self.random::<32>())
    }

    pub(crate) async fn holder(&self, link: &str, purpose: TicketPurpose, from: &From) -> Result<User> {
        self.inner.knocks.knock_from(&from.address, self.now())?;
        if link.len() != TOKEN_CHARS {
            return Err(AppError::NotFound);
        }
        let user = self.store().ticket_find(sha256(link.as_bytes()), purpose).await?;
        self.inner.knocks.welcome_from(&from.address);
        Ok(user)
    }
}

/// What the forms of whoever has this cookie carry.
pub(crate) fn form_token(cookie: &str) -> String {
    hex(&sha256(["form", cookie].join("\0").as_bytes())[..16])
}

const fn idle_since(now: Timestamp) -> Timestamp {
    Timestamp(now.0 - SESSION_IDLE_MS)
}
