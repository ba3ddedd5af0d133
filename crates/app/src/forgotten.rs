//! A forgotten password: a link to choose another one goes to the account's own address.
//!
//! Whoever asks hears the same at the same time, whether there is such an account or not: what is to be done is done after the
//! answer, by a task that the server waits for when it stops.

use crate::App;
use crate::error::Result;
use crate::mail::MAIL_WITHIN;
use crate::sign_in::From;
use courier::Mail;
use domain::sign_in::{RESET_MS, TicketPurpose};
use domain::user::normal_email;
use store::StoreError;

/// Mails that are on their way at the same time; who asks beyond it gets none, and can ask again.
const MAILS_MAX: usize = 64;

impl App {
    /// Sends the user of this address, if there is one, a link by which they choose a new password. Where there is no mail server
    /// nothing happens: [`App::has_mail_server`].
    ///
    /// # Errors
    /// `TooMany`, for unknown addresses as well.
    pub fn password_forgotten(&self, email: &str, from: &From) -> Result<()> {
        let (email, now) = (normal_email(email), self.now());
        self.inner.knocks.knock(&from.address, &format!("forgotten {email}"), now)?;
        let mails = &self.inner.mails;
        if !self.has_mail_server() || !self.inner.knocks.may_write(&email, now) {
            return Ok(());
        }
        if mails.len() >= MAILS_MAX {
            tracing::warn!("too many people ask for new passwords at once: somebody gets no mail");
            return Ok(());
        }
        let app = self.clone();
        mails.spawn(async move {
            match app.reset(&email).await {
                Ok(()) | Err(crate::AppError::NotFound) => {}
                Err(error) => tracing::warn!(%error, "a mail for a new password was not written"),
            }
        });
        Ok(())
    }

    async fn reset(&self, email: &str) -> Result<()> {
        let user = match self.store().user_proofs(email).await {
            Err(StoreError::NotFound) => return Ok(()),
            found => found?.user,
        };
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
