//! Who hears of an endpoint that fails: the preferences of an application, or of one endpoint.

use crate::confidential::Confidential;
use crate::limit::{EMAIL_BYTES_MAX, NOTIFY_EMAILS_MAX, URL_BYTES_MAX};
use crate::notice::{Channel, NoticeKind};
use crate::word::Worded;
use crate::wrong::Found;
use aws_lc_rs::hmac;
use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// Who is told, by which ways, of what. Stored sealed: a Slack URL lets whoever knows it write there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Notify {
    /// Who gets e-mails.
    pub emails: Vec<String>,
    /// A URL that takes what Slack takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slack_url: Option<Confidential>,
    /// Whether browsers that asked for it are told.
    pub push: bool,
    /// Whether the environment's operational webhooks are told.
    pub operational_webhook: bool,
    /// Of what; none is everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kinds: Option<Vec<NoticeKind>>,
}

impl Default for Notify {
    fn default() -> Self {
        Self { emails: Vec::new(), slack_url: None, push: true, operational_webhook: true, kinds: None }
    }
}

impl Notify {
    /// Whether people are to be told of this.
    #[must_use]
    pub fn wants(&self, kind: NoticeKind) -> bool {
        self.kinds.as_ref().is_none_or(|kinds| kinds.contains(&kind))
    }

    /// Notes what is wrong with it. Whether the Slack URL may be reached is asked by whoever knows.
    pub fn check(&self, found: &mut Found<'_>) {
        let mut emails = found.below("emails");
        if self.emails.len() > NOTIFY_EMAILS_MAX {
            let count = self.emails.len();
            emails.add(format!("has {count} addresses: at most {NOTIFY_EMAILS_MAX} (notify_emails_max)"));
        }
        for (index, email) in self.emails.iter().enumerate() {
            if !is_email(email) {
                emails.item(index).add(format!("`{email}` is not an e-mail address like ops@example.com"));
            } else if self.emails[..index].iter().any(|other| other.eq_ignore_ascii_case(email)) {
                emails.item(index).add(format!("`{email}` is in the list twice"));
            }
        }
        if self.slack_url.as_ref().is_some_and(|url| url.reveal().len() > URL_BYTES_MAX) {
            found.wrong("slackUrl", format!("must have at most {URL_BYTES_MAX} bytes"));
        }
        for (index, kind) in self.kinds.iter().flatten().enumerate() {
            if !NoticeKind::FOR_PEOPLE.contains(kind) {
                found.below("kinds").item(index).add("is for operational webhooks alone");
            }
        }
    }
}

/// Whether this is an address as mail servers take it everywhere: a dot-atom, `@`, and a domain name (RFC 5321, section 4.1.2).
#[must_use]
pub fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let is_atom = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    let is_label = |label: &str| {
        let inside = label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        !label.is_empty() && label.len() <= 63 && inside && !label.starts_with('-') && !label.ends_with('-')
    };
    text.len() <= EMAIL_BYTES_MAX
        && local.len() <= 64
        && local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atom))
        && domain.split('.').all(is_label)
}

/// Tells recipients apart without their names, and makes the links by which they want no more.
#[derive(Clone)]
pub struct Recipients(hmac::Key);

impl std::fmt::Debug for Recipients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Recipients(…)")
    }
}

/// Characters of a fingerprint, and of a link's proof.
const PRINT_CHARS: usize = 32;

impl Recipients {
    /// Under a key of the instance.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    fn sign(&self, purpose: &str, parts: [&str; 2]) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        for part in [purpose, parts[0], parts[1]] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        let signed = context.sign();
        signed.as_ref().iter().take(PRINT_CHARS / 2).fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// The fingerprint of whom letters of a channel go to. Addresses of e-mails are the same in capitals.
    #[must_use]
    pub fn print(&self, channel: Channel, to: &str) -> String {
        let to = if channel == Channel::Email { to.to_ascii_lowercase() } else { to.to_owned() };
        self.sign("recipient", [channel.word(), &to])
    }

    /// What a link holds by which the recipient of this fingerprint wants no more e-mails about these applications.
    #[must_use]
    pub fn token(&self, applications: &[&str], print: &str) -> String {
        let applications = applications.join("-");
        format!("{applications}.{print}.{}", self.sign("unsubscribe", [&applications, print]))
    }

    /// The applications and the fingerprint of a token that is ours.
    #[must_use]
    pub fn read_token<'a>(&self, token: &'a str) -> Option<(Vec<&'a str>, &'a str)> {
        let (rest, _) = token.rsplit_once('.')?;
        let (applications, print) = rest.rsplit_once('.')?;
        let applications: Vec<_> = applications.split('-').collect();
        let ours = self.token(&applications, print);
        aws_lc_rs::constant_time::verify_slices_are_equal(ours.as_bytes(), token.as_bytes()).ok()?;
        Some((applications, print))
    }
}

/// A browser that wants to be told, as its `PushSubscription` says (Push API, section 8).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// The push service's URL for this browser. Whoever knows it can push.
    pub endpoint: Confidential,
    /// The browser's public key, an uncompressed P-256 point (RFC 8291, section 3.1).
    pub p256dh: Vec<u8>,
    /// The browser's authentication secret, 16 bytes (RFC 8291, section 3.2).
    pub auth: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_good_for_its_applications_and_recipient_alone() {
        let recipients = Recipients::new(&[7; 32]);
        let print = recipients.print(Channel::Email, "Ops@Example.com");
        assert_eq!(print, recipients.print(Channel::Email, "ops@example.com"));
        assert_ne!(print, recipients.print(Channel::Slack, "ops@example.com"));
        let token = recipients.token(&["app_one", "app_three"], &print);
        assert_eq!(recipients.read_token(&token), Some((vec!["app_one", "app_three"], &*print)));
        for forged in [
            token.replace("app_one", "app_two"),
            token.replace("-app_three", ""),
            token.replace(&print, &"0".repeat(32)),
            String::new(),
        ] {
            assert_eq!(recipients.read_token(&forged), None, "{forged}");
        }
        assert_eq!(Recipients::new(&[8; 32]).read_token(&token), None);
    }

    #[test]
    fn addresses_are_those_that_mail_servers_take() {
        for good in ["a@b", "first.last+tag@sub.example.com", "o'neil@example.co", "x@xn--bcher-kva.example"]
        {
            assert!(is_email(good), "{good}");
        }
        let long = format!("{}@example.com", "a".repeat(65));
        let bad = [
            "", "a", "@b", "a@", "a b@c", "a@b c", ".a@b", "a..b@c", "a@-b", "a@b-", "a@b..c", "a\r\n@b",
            "a@b>", &long,
        ];
        for bad in bad {
            assert!(!is_email(bad), "{bad}");
        }
    }
}
