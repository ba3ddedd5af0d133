//! The second factor of a user: set up with an app, shown when they sign in, switched off.
//!
//! It is asked for at every door: after a password, after a link that signs in, and together with a new password that is chosen by a
//! link, so that a mailbox in wrong hands opens nothing. Who lost their phone is helped by whoever runs the server
//! (`posthaste user reset-totp`).

use crate::App;
use crate::audit::Deed;
use crate::error::{AppError, Result};
use crate::session::{hex, sha256};
use crate::sign_in::{From, Visitor};
use aws_lc_rs::hmac;
use domain::audit::Action;
use domain::confidential::Confidential;
use domain::sign_in::{SECOND_FACTOR_MS, TicketPurpose};
use domain::totp::{TOTP_SECRET_BYTES, TotpSecret, digits};
use domain::user::{User, normal_email};
use store::seal::derive;
use store::user::{Totp, UserChange};

/// What became of somebody at the door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entered {
    /// They are signed in: what the cookie holds.
    In(String),
    /// Their code is wanted: what the form holds by which they give it.
    CodeWanted(String),
}

/// A second factor that is to be set up.
#[derive(Clone, Debug)]
pub struct NewTotp {
    /// What the form carries, so that the same secret is made again from it.
    pub nonce: String,
    /// The secret, in base32, for people to type.
    pub secret: Confidential,
    /// The same for a QR code.
    pub uri: Confidential,
}

/// What whoever sets a second factor up, or takes it off, shows.
#[derive(Clone, Debug, Default)]
pub struct TotpProof {
    /// The nonce of [`NewTotp`].
    pub nonce: String,
    /// A code of the app.
    pub code: String,
    /// Their password.
    pub password: String,
}

const WRONG_CODE: &str = "is not right, or was used already. Wait for the next one";

impl App {
    /// A secret for a visitor's app. Nothing is kept until a code has confirmed it: the secret is made of the nonce, their session and
    /// a key of ours, so that it can be made again and nobody can choose one for them.
    #[must_use]
    pub fn totp_new(&self, visitor: &Visitor) -> NewTotp {
        self.totp_again(visitor, &hex(&self.random::<16>()))
    }

    /// The same one again.
    #[must_use]
    pub fn totp_again(&self, visitor: &Visitor, nonce: &str) -> NewTotp {
        let secret = self.totp_secret(visitor, nonce);
        let host = self.settings().public_url.split_once("://").map_or("", |(_, host)| host);
        let issuer = format!("{} {host}", self.settings().name);
        let uri = secret.uri(issuer.trim(), &visitor.user.email);
        NewTotp { nonce: nonce.to_owned(), secret: secret.base32(), uri: Confidential::new(uri) }
    }

    /// Switches a visitor's second factor on, once a code shows that their app has the secret. They are signed out everywhere else,
    /// where nobody was asked for a code.
    ///
    /// # Errors
    /// `Invalid` when the code or the password is wrong; `Conflict` when there is one already; `TooMany`.
    pub async fn totp_switch_on(&self, visitor: &Visitor, proof: TotpProof) -> Result<()> {
        let user = &visitor.user;
        let proofs = self.store().user_proofs(&user.email).await?;
        if proofs.totp.is_some() {
            return Err(AppError::conflict("There is a second factor already: switch it off first."));
        }
        // Whoever finds a browser open must not shut its owner out.
        if proofs.password.is_some() {
            self.own_password(visitor, ("password", &proof.password)).await?;
        }
        self.inner.knocks.knock_with_code(&user.email, self.now())?;
        let secret = self.totp_secret(visitor, &proof.nonce);
        let step = secret.step_of(&proof.code, (self.now(), 0));
        let last_step = step.ok_or_else(|| AppError::invalid("code", WRONG_CODE))?;
        self.inner.knocks.welcome_with_code(&user.email);
        let totp = Some(Some(Totp { secret: secret.base32(), last_step }));
        self.store().user_change(user.key, UserChange { totp, ..UserChange::default() }).await?;
        self.note_of_instance(&visitor.acting(), Deed::to_user(Action::TotpOn, user)).await;
        Ok(self.store().browsers_delete(user.key, Some(visitor.browser.sha256)).await?)
    }

    /// Switches a visitor's second factor off: with a code, or with their password.
    ///
    /// # Errors
    /// `Invalid` when it is neither; `TooMany`.
    pub async fn totp_switch_off(&self, visitor: &Visitor, proof: &str) -> Result<()> {
        // No password has only six digits.
        if digits(proof).is_some() {
            self.code_checked(&visitor.user, ("proof", proof)).await?;
        } else {
            self.own_password(visitor, ("proof", proof)).await?;
        }
        self.totp_forget(&visitor.user).await?;
        self.note_of_instance(&visitor.acting(), Deed::to_user(Action::TotpOff, &visitor.user)).await;
        Ok(())
    }

    /// Switches the second factor of the user of this address off: for whoever runs the server.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    pub async fn totp_reset(&self, email: &str) -> Result<()> {
        let user = self.store().user_proofs(&normal_email(email)).await?.user;
        self.totp_forget(&user).await?;
        self.note_command(Deed::to_user(Action::TotpReset, &user)).await;
        Ok(())
    }

    /// Signs in whoever was right with a password, or with a link, and has the code of their second factor now.
    ///
    /// # Errors
    /// `NotFound` when it took too long; `Invalid` when the code is wrong; `TooMany`.
    pub async fn second_factor(&self, ticket: &str, code: &str, from: From) -> Result<String> {
        let user = self.holder(ticket, TicketPurpose::SecondFactor, &from).await?;
        let checked = self.code_checked(&user, ("code", code)).await;
        if matches!(checked, Err(AppError::Invalid(_))) {
            self.note_failure(&user, &from);
        }
        checked?;
        let password = self.store().user_proofs(&user.email).await?.password;
        // The ticket ends with the password that it was given for.
        self.holder(ticket, TicketPurpose::SecondFactor, &from).await?;
        self.store().ticket_end(sha256(ticket.as_bytes())).await?;
        self.keep_browser(&user, password, from).await
    }

    /// Signs a user in whose first factor was right, or asks for the second.
    pub(crate) async fn enter(&self, user: &User, password: Option<String>, from: From) -> Result<Entered> {
        if user.has_totp {
            let ticket = self.link(user, TicketPurpose::SecondFactor, SECOND_FACTOR_MS).await?;
            return Ok(Entered::CodeWanted(ticket));
        }
        Ok(Entered::In(self.keep_browser(user, password, from).await?))
    }

    /// Checks a user's code; it counts once.
    ///
    /// # Errors
    /// `Invalid` in this field; `TooMany`.
    pub(crate) async fn code_checked(&self, user: &User, (field, code): (&'static str, &str)) -> Result<()> {
        let wrong = || AppError::invalid(field, WRONG_CODE);
        self.inner.knocks.knock_with_code(&user.email, self.now())?;
        let totp = self.store().user_proofs(&user.email).await?.totp.ok_or_else(wrong)?;
        let secret = TotpSecret::read(totp.secret.reveal());
        let secret = secret.ok_or_else(|| AppError::Broken("a stored second factor is no secret".into()))?;
        let step = secret.step_of(code, (self.now(), totp.last_step)).ok_or_else(wrong)?;
        if !self.store().totp_use(user.key, step).await? {
            return Err(wrong());
        }
        self.inner.knocks.welcome_with_code(&user.email);
        Ok(())
    }

    async fn totp_forget(&self, user: &User) -> Result<()> {
        let change = UserChange { totp: Some(None), ..UserChange::default() };
        self.store().user_change(user.key, change).await?;
        Ok(())
    }

    fn totp_secret(&self, visitor: &Visitor, nonce: &str) -> TotpSecret {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &derive(&self.store().wire_id_key(), "totp"));
        let mut made = hmac::Context::with_key(&key);
        // Of fixed length, but for the last one.
        made.update(&visitor.browser.sha256);
        made.update(nonce.as_bytes());
        let mut bytes = [0; TOTP_SECRET_BYTES];
        bytes.copy_from_slice(&made.sign().as_ref()[..TOTP_SECRET_BYTES]);
        TotpSecret::new(bytes)
    }
}
