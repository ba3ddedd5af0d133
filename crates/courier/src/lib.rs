//! How people are told: letters by e-mail, to a Slack-compatible URL, and as browser push.
//!
//! A [`Letter`] is plain words; each channel writes it in its own way and says what became of it. What goes over HTTP leaves
//! through `egress`, under its policy; e-mails go to the operator's own mail server.

mod email;
mod encryption;
mod letter;
mod mail;
mod push;
mod slack;

pub use email::{Email, EmailSettings};
pub use encryption::{PUBLIC_KEY_BYTES, Unusable, check_keys};
pub use letter::{Item, Letter};
pub use mail::Mail;
pub use push::{PushTo, Vapid};

use domain::clock::Timestamp;
use domain::notice::Channel;
use email::Content;
use std::time::Duration;
use tokio::time::Instant;

/// Why a letter was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It may be taken later.
    Later(String),
    /// It never will be.
    Never(String),
    /// It never will be, and nothing else to this recipient: a browser that has unsubscribed.
    Gone(String),
}

/// Takes letters to where they go.
pub struct Courier {
    email: Option<Email>,
    client: egress::Client,
    vapid: Vapid,
    deadline: Duration,
}

impl std::fmt::Debug for Courier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Courier(…)")
    }
}

impl Courier {
    /// A courier with a mail server, if there is one, and a way out for the rest. A letter may take `deadline`.
    #[must_use]
    pub const fn new(email: Option<Email>, client: egress::Client, vapid: Vapid, deadline: Duration) -> Self {
        Self { email, client, vapid, deadline }
    }

    /// By which key browsers know our pushes, in base64url.
    #[must_use]
    pub fn push_key(&self) -> String {
        self.vapid.public_key()
    }

    /// Takes a letter to its recipient.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn send(
        &self,
        channel: Channel,
        to: &str,
        letter: &Letter,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let deadline = Instant::now() + self.deadline;
        match channel {
            Channel::Email => self.hand_over(to, letter.content(), self.deadline).await,
            Channel::Slack => slack::send(&self.client, deadline, to, letter).await,
            Channel::Push => push::send(&self.client, (&self.vapid, now), deadline, (to, letter)).await,
        }
    }

    /// Whether there is a mail server.
    #[must_use]
    pub const fn has_mail_server(&self) -> bool {
        self.email.is_some()
    }

    /// Hands a mail for one person to the mail server, once, within this time.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn mail(&self, to: &str, mail: &Mail, within: Duration) -> Result<(), Refusal> {
        self.hand_over(to, mail.content(), within).await
    }

    async fn hand_over(&self, to: &str, content: Content<'_>, within: Duration) -> Result<(), Refusal> {
        let Some(email) = &self.email else {
            // Another node may have one by now.
            return Err(Refusal::Later("no mail server is set (POSTHASTE_SMTP_URL)".into()));
        };
        let Ok(sent) = tokio::time::timeout(within, email.send(to, content)).await else {
            let seconds = within.as_secs_f64();
            return Err(Refusal::Later(format!("the mail server did not take it within {seconds} s")));
        };
        sent?.say().await;
        Ok(())
    }
}

/// What an answer over HTTP means for a letter. `gone` are statuses that say that nothing will ever be taken there.
fn judge(answer: Result<egress::Response, egress::SendError>, gone: &[u16]) -> Result<(), Refusal> {
    use egress::SendError::{Blocked, Certificate, NotAllowed, TimedOut, Unreachable};
    let answer = match answer {
        Ok(answer) => answer,
        Err(Blocked(why)) => return Err(Refusal::Never(why)),
        Err(TimedOut(why) | Unreachable(why) | Certificate(why)) => return Err(Refusal::Later(why)),
        Err(NotAllowed) => return Err(Refusal::Later("the server stops".into())),
    };
    let text = String::from_utf8_lossy(&answer.body);
    let text: String = text.chars().take(200).collect();
    let why = format!("it answered {}: {}", answer.status, text.trim());
    match answer.status {
        200..300 => Ok(()),
        status if gone.contains(&status) => Err(Refusal::Gone(why)),
        408 | 429 | 500.. => Err(Refusal::Later(why)),
        _ => Err(Refusal::Never(why)),
    }
}
