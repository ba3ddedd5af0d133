//! Mails to people about their own accounts. They are tried once: whoever waits for one asks again.

use crate::App;
use crate::session::hex;
use courier::{Mail, Refusal};
use std::time::Duration;

/// How long a mail may take that somebody waits for.
pub(crate) const MAIL_WITHIN: Duration = Duration::from_secs(10);

impl App {
    /// Whether there is a mail server.
    #[must_use]
    pub fn has_mail_server(&self) -> bool {
        self.inner.parts.courier.has_mail_server()
    }

    /// Hands a mail over; whether the mail server took it. Why it did not is for whoever runs the server, and stands in the log.
    pub(crate) async fn mail(&self, to: &str, mail: &Mail, within: Duration) -> bool {
        let sent = self.inner.parts.courier.mail(to, mail, within).await;
        match sent {
            Ok(()) => true,
            Err(Refusal::Later(why) | Refusal::Never(why) | Refusal::Gone(why)) => {
                tracing::warn!(why, "the mail server did not take a mail to a user");
                false
            }
        }
    }

    /// The page where the holder of this link chooses a password.
    pub(crate) fn password_url(&self, token: &str) -> String {
        format!("{}/password/{token}", self.settings().public_url)
    }

    pub(crate) fn mail_id(&self) -> String {
        hex(&self.random::<16>())
    }
}
