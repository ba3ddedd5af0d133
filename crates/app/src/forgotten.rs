//! A forgotten password: a link to choose another one goes to the account's own address.
//!
//! Whoever asks hears the same at the same time, whether there is such an account or not: what is to be done is done after the
//! answer, by a task that the server waits for when it stops.

use crate::App;
use crate::audit::{Acting, Deed};
use crate::error::Result;
use crate::mail::MAIL_WITHIN;
use crate::sign_in::From;
use courier::Mail;
use domain::audit::{Action, ActorKind};
use domain::sign_in::{RESET_MS, TicketPurpose};
use domain::user::normal_email;
use std::sync::Arc;
use store::StoreError;

/// Mails that are on their way at the same time; who asks beyond it gets none, and can ask again.
pub(crate) const MAILS_MAX: usize = 64;

impl App {
    /// Sends the user of this address, if there is one, a link by which they choose a new password. Where there is no mail server
    /// nothing happens: [`App::has_mail_server`].
    ///
    /// # Errors
    /// `TooMany`, for unknown addresses as well.
    pub fn password_forgotten(&self, email: &str, from: &From) -> Result<()> {
        let (email, now) = (normal_email(email), self.now());
        self.inner.knocks.knock(&from.address, &format!("forgotten {email}"), now)?;
        if !self.has_mail_server() || !self.inner.knocks.may_write(&email, now) {
            return Ok(());
        }
        let Ok(turn) = Arc::clone(&self.inner.mail_turns).try_acquire_owned() else {
            tracing::warn!("too many people ask for new passwords at once: somebody gets no mail");
            return Ok(());
        };
        let (app, address) = (self.clone(), from.address.clone());
        self.inner.aside.spawn(async move {
            let _turn = turn;
            match app.reset(&email, address).await {
                Ok(()) | Err(crate::AppError::NotFound) => {}
                Err(error) => tracing::warn!(%error, "a mail for a new password was not written"),
            }
        });
        Ok(())
    }

    async fn reset(&self, email: &str, address: String) -> Result<()> {
        let user = match self.store().user_proofs(email).await {
            Err(StoreError::NotFound) => return Ok(()),
            found => found?.user,
        };
        let acting = Acting { address, ..Acting::of(ActorKind::Nobody) };
        self.note_of_instance(&acting, Deed::to_user(Action::PasswordForgotten, &user)).await;
        let token = self.link(&user, TicketPurpose::Password, RESET_MS).await?;
        let mail = Mail {
            subject: "Choose a new password".into(),
            text: format!("Somebody asked for a new password for {} at {}.", user.email, self.settings().public_url),
            call: "Choose it here".into(),
            link: self.password_url(&token),
            more: "The link holds for an hour, and once. If it was not you, leave it: your password stays as it is.".into(),
            id: self.mail_id(),
        };
        self.mail(&user.email, &mail, MAIL_WITHIN).await;
        Ok(())
    }
}
