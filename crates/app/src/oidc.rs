//! Signing in by an identity provider: OpenID Connect Core 1.0, the authorization code flow, with PKCE (RFC 7636).
//!
//! | part | duty |
//! |---|---|
//! | here | begin, finish, and which user of ours somebody is |
//! | `oidc_begun` | what the browser keeps between the two |
//! | `oidc_provider` | the provider's document and keys; a code becomes a token |
//! | `oidc_token` | what a token must be |
//!
//! A user is who the provider says by its own name for them (issuer and subject), once the two are linked. They are linked the first
//! time, by an address that the provider has verified. After that an address may change, there or here: it neither keeps them out
//! nor lets them into another account. An account that is linked is never linked to a second person of that provider, so whoever
//! inherits an address does not inherit the account.
//!
//! Our own second factor is not asked for: how sure the provider is of somebody is the provider's matter, and it has its own.

use crate::App;
use crate::error::{AppError, Result};
use crate::oidc_begun::{Begun, Seal};
use crate::oidc_provider::{Failure, Grant, Provider};
use crate::oidc_token::{BadToken, Expected, Person, read};
use crate::sign_in::From;
use crate::user::Newcomer;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use domain::clock::Clock;
use domain::confidential::Confidential;
use domain::name::check_name;
use domain::notify::is_email;
use domain::role::Role;
use domain::user::{User, normal_email};
use std::sync::Arc;
use std::time::Duration;
use store::StoreError;
use store::identity::Identity;
use url::Url;

pub use crate::oidc_begun::BEGUN_MS;

/// What an identity provider is asked through, and what the operator chose.
#[derive(Clone, Debug)]
pub struct OidcParts {
    /// The way out: to the provider alone.
    pub client: egress::Client,
    /// Its identifier, to the letter.
    pub issuer: String,
    /// What it knows us by.
    pub client_id: String,
    /// What shows that it is us; none for a public client.
    pub client_secret: Option<Confidential>,
    /// What people call it.
    pub name: String,
    /// The domains whose people are added by themselves, in lower case.
    pub domains: Vec<String>,
    /// With which role, on the whole instance.
    pub role: Role,
    /// How long one answer of it may take.
    pub timeout: Duration,
}

/// What came back from the provider, in the address.
#[derive(Clone, Debug, Default)]
pub struct ProviderAnswer {
    /// What came from us.
    pub state: String,
    /// What is given for tokens.
    pub code: Option<String>,
    /// Why there is none.
    pub error: Option<String>,
    /// Which provider it says it is.
    pub issuer: Option<String>,
}

/// Where somebody is sent, and what their browser keeps until they come back.
#[derive(Clone, Debug)]
pub struct Sent {
    /// A page of the provider.
    pub url: String,
    /// What the cookie holds.
    pub cookie: String,
}

/// Somebody who came back and is signed in.
#[derive(Clone, Debug)]
pub struct Arrived {
    /// What the session's cookie holds.
    pub cookie: String,
    /// Where they wanted to go.
    pub next: String,
}

/// The code of a refusal for a sign-in that this browser did not begin: another one may be under way in it.
pub const NOT_BEGUN: &str = "oidc_not_begun";
/// The code of a refusal where the provider does not do what it should.
pub const PROVIDER_FAILED: &str = "oidc_provider_failed";
/// The code of every other refusal.
const NOT_LET_IN: &str = "oidc_not_let_in";

/// Characters of an error's word (RFC 6749, section 4.1.2.1).
const ERROR_CHARS_MAX: usize = 60;

/// Signing in by a provider.
pub(crate) struct Oidc {
    provider: Provider,
    seal: Seal,
}

impl Oidc {
    pub(crate) fn new(parts: OidcParts, clock: Arc<dyn Clock>, instance_key: &[u8]) -> Self {
        Self { provider: Provider::new(parts, clock), seal: Seal::new(instance_key) }
    }

    fn parts(&self) -> &OidcParts {
        &self.provider.parts
    }

    /// Tells the log what it must know, and the person the rest.
    fn refusal(&self, failure: Failure) -> AppError {
        let name = &self.parts().name;
        match failure {
            Failure::Provider(why) => {
                tracing::warn!(%why, "the identity provider does not do what it should");
                AppError::refused(
                    PROVIDER_FAILED,
                    format!(
                        "Logging in with {name} does not work now. Try again in a minute; the reason is in this server's log."
                    ),
                )
            }
            Failure::Untrusted(why) => {
                tracing::warn!(why, "the identity provider's token is not taken");
                let told = format!("You are not logged in: the answer of {name} cannot be trusted ({why}).");
                AppError::refused(NOT_LET_IN, told)
            }
            Failure::Refused(told) => AppError::refused(NOT_LET_IN, told),
            Failure::App(error) => error,
        }
    }
}

impl App {
    /// What people call the identity provider; none where there is none.
    #[must_use]
    pub fn oidc_name(&self) -> Option<&str> {
        self.inner.oidc.as_ref().map(|oidc| &*oidc.parts().name)
    }

    /// Sends somebody to the provider.
    ///
    /// # Errors
    /// `NotFound` where there is none; `Refused` when it cannot be reached.
    pub async fn oidc_begin(&self, next: &str) -> Result<Sent> {
        let oidc = self.oidc()?;
        let known = oidc.provider.known().await.map_err(|failure| oidc.refusal(failure))?;
        let begun = Begun::new([self.random(), self.random(), self.random()], next, self.now());
        let mut url = Url::parse(&known.document.authorization_endpoint).map_err(|error| {
            AppError::Broken(format!("an address that was checked does not read: {error}"))
        })?;
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &oidc.parts().client_id)
            .append_pair("redirect_uri", &self.oidc_redirect_uri())
            .append_pair("scope", "openid email profile")
            .append_pair("state", &begun.state)
            .append_pair("nonce", &begun.nonce)
            .append_pair("code_challenge", &begun.challenge())
            .append_pair("code_challenge_method", "S256");
        Ok(Sent { url: url.into(), cookie: oidc.seal.seal(&begun)? })
    }

    /// Signs in whoever comes back from the provider, in the browser that keeps this.
    ///
    /// # Errors
    /// `Refused`, with a sentence; `TooMany`; `NotFound` where there is no provider.
    pub async fn oidc_finish(&self, answer: ProviderAnswer, cookie: &str, from: From) -> Result<Arrived> {
        let (oidc, now) = (self.oidc()?, self.now());
        self.inner.knocks.knock_from(&from.address, now)?;
        let begun = oidc
            .seal
            .open(cookie, now)
            .filter(|begun| verify_slices_are_equal(begun.state.as_bytes(), answer.state.as_bytes()).is_ok());
        let begun = begun.ok_or_else(|| {
            let told = "This sign-in was not begun in this browser, or longer than ten minutes ago. Log in once more.";
            AppError::refused(NOT_BEGUN, told)
        })?;
        let found = self.oidc_user(oidc, answer, &begun).await;
        let user = found.map_err(|failure| oidc.refusal(failure))?;
        self.inner.knocks.welcome_from(&from.address);
        Ok(Arrived { cookie: self.welcome(&user, from).await?, next: begun.next })
    }

    fn oidc(&self) -> Result<&Oidc> {
        self.inner.oidc.as_ref().ok_or(AppError::NotFound)
    }

    /// Where the provider sends people back to: it must know this address to the letter.
    fn oidc_redirect_uri(&self) -> String {
        format!("{}/oidc/callback", self.settings().public_url)
    }

    async fn oidc_user(&self, oidc: &Oidc, answer: ProviderAnswer, begun: &Begun) -> Result<User, Failure> {
        let (provider, name) = (&oidc.provider, &oidc.parts().name);
        let mut known = provider.known().await?;
        if !known.document.has_answered(answer.issuer.as_deref()) {
            return Err(Failure::Untrusted("it is another provider's"));
        }
        let code = answer.code.ok_or_else(|| Failure::Refused(told_error(name, answer.error.as_deref())))?;
        let redirect_uri = self.oidc_redirect_uri();
        let grant = Grant { code: &code, verifier: &begun.verifier, redirect_uri: &redirect_uri };
        let tokens = provider.exchange(&known.document, grant).await?;
        let OidcParts { issuer, client_id, .. } = oidc.parts();
        let expected = Expected { issuer, client_id, nonce: &begun.nonce, now: self.now() };
        let mut checked = read(&tokens.id_token, &known.keys, expected);
        if checked == Err(BadToken::UnknownKey) {
            known = provider.with_new_keys().await?;
            checked = read(&tokens.id_token, &known.keys, expected);
        }
        let mut person = checked.map_err(|bad| match bad {
            BadToken::UnknownKey => Failure::Untrusted("it is signed with a key that is not the provider's"),
            BadToken::Wrong(why) => Failure::Untrusted(why),
        })?;
        let identity = Identity { issuer: issuer.clone(), subject: person.sub.clone() };
        match self.store().identity_find(&identity).await {
            Err(StoreError::NotFound) => {}
            found => return Ok(found?),
        }
        if person.email.is_none()
            && let Some(told) = provider.userinfo(&known.document, &tokens).await?
        {
            // Core, section 5.3.2: otherwise it may be about somebody else.
            if told.sub != person.sub {
                return Err(Failure::Untrusted("it tells of two people"));
            }
            person = told;
        }
        self.oidc_linked(oidc.parts(), identity, person).await
    }

    /// Links whoever comes for the first time to the user with their address.
    async fn oidc_linked(
        &self,
        parts: &OidcParts,
        identity: Identity,
        person: Person,
    ) -> Result<User, Failure> {
        let email = address_of(parts, &person).map_err(Failure::Refused)?;
        let user = match self.store().user_proofs(&email).await {
            Ok(proofs) => proofs.user,
            Err(StoreError::NotFound) => self.oidc_newcomer(parts, email, person.name).await?,
            Err(error) => return Err(error.into()),
        };
        match self.store().identity_link(&identity, (user.key, &user.email)).await {
            Ok(()) => {
                tracing::info!(
                    user = user.id,
                    subject = identity.subject,
                    "a user is linked to the identity provider"
                );
                Ok(user)
            }
            Err(StoreError::Taken(_)) => Err(Failure::Refused(format!(
                "The account with the address {} belongs to another person at {}: it was logged in to by them before. Whoever \
                 administers this server can remove it and invite you.",
                user.email, parts.name
            ))),
            Err(error) => Err(error.into()),
        }
    }

    /// Adds whoever has an address of a domain whose people add themselves.
    async fn oidc_newcomer(
        &self,
        parts: &OidcParts,
        email: String,
        name: Option<String>,
    ) -> Result<User, Failure> {
        let domain = email.rsplit_once('@').map_or("", |(_, domain)| domain);
        if !parts.domains.iter().any(|known| known == domain) {
            return Err(Failure::Refused(format!(
                "There is no account for {email} here. Ask whoever administers this server to invite you."
            )));
        }
        // The first user must be able to add others: with them the link ends by which the first one is made.
        if parts.role != Role::Administrator && !self.store().user_exists().await? {
            return Err(Failure::Refused(
                "Nobody has set this server up yet: the first account is made by the link in its log."
                    .to_owned(),
            ));
        }
        let name = name.map(|name| name.trim().to_owned()).filter(|name| check_name(name).is_ok());
        let newcomer = Newcomer { email: email.clone(), name: name.unwrap_or_default(), password: None };
        match self.user_create(newcomer, parts.role).await {
            // Somebody was faster, and it may have been them.
            Err(AppError::Conflict { .. }) => Ok(self.store().user_proofs(&email).await?.user),
            made => Ok(made?),
        }
    }
}

/// The address by which somebody is found, if the provider stands for it.
fn address_of(parts: &OidcParts, person: &Person) -> Result<String, String> {
    let name = &parts.name;
    let email = person.email.as_deref().map(normal_email).filter(|email| is_email(email));
    let email = email.ok_or_else(|| {
        format!("{name} did not tell your e-mail address, by which your account is found the first time.")
    })?;
    let is_of_domain = || parts.domains.iter().any(|domain| email.ends_with(&format!("@{domain}")));
    // Who says nothing at all is believed for the domains that the operator has named as this provider's.
    if person.email_verified.unwrap_or_else(is_of_domain) {
        return Ok(email);
    }
    Err(format!(
        "{name} has not verified that {email} is yours: have it verified there, then log in once more."
    ))
}

fn told_error(name: &str, error: Option<&str>) -> String {
    match error {
        Some("access_denied") => format!("{name} did not let you in, or you changed your mind."),
        Some(error) if is_word(error) => format!("{name} could not log you in: it says {error}."),
        _ => format!("{name} could not log you in, and did not say why."),
    }
}

fn is_word(text: &str) -> bool {
    text.len() <= ERROR_CHARS_MAX && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
}
