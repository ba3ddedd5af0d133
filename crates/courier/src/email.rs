//! E-mails, through the operator's mail server (SMTP, RFC 5321).

use crate::Refusal;
use crate::letter::Letter;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use std::time::Duration;
use url::Url;

/// Ports where nothing else is said: submission with TLS from the start, and with STARTTLS (RFC 8314, RFC 6409).
const SUBMISSIONS_PORT: u16 = 465;
const SUBMISSION_PORT: u16 = 587;
/// Answers that speak of our own log-in, not of the recipient (RFC 4954, section 6).
const LOG_IN: [u16; 4] = [530, 534, 535, 538];

/// How e-mails are sent.
#[derive(Clone)]
pub struct EmailSettings {
    /// `smtps://user:password@host:465`, or `smtp://…:587` with STARTTLS; `?tls=none` does without.
    pub url: String,
    /// Certificate authorities, in PEM, that are believed beside the public ones.
    pub certificate_authority: Option<String>,
    /// Whom they come from: `ops@example.com` or `Acme <ops@example.com>`.
    pub from: String,
}

impl std::fmt::Debug for EmailSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmailSettings").field("from", &self.from).finish_non_exhaustive()
    }
}

/// A mail server.
pub struct Email {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl std::fmt::Debug for Email {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Email(…)")
    }
}

impl Email {
    /// A mail server at these settings. It is not asked yet.
    ///
    /// # Errors
    /// A sentence on what is wrong with a setting.
    pub fn new(settings: &EmailSettings, timeout: Duration) -> Result<Self, String> {
        let from: Mailbox = settings.from.parse().map_err(|_| {
            format!("`{}` is no sender: write ops@example.com or Acme <ops@example.com>", settings.from)
        })?;
        const ALLOWED: &str = "write smtps://user:password@host or smtp://user:password@host:587";
        let url =
            Url::parse(&settings.url).map_err(|error| format!("it is not a URL ({error}): {ALLOWED}"))?;
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| format!("it names no server: {ALLOWED}"))?;
        let parameters = || {
            let mut parameters = TlsParameters::builder(host.to_owned());
            if let Some(pem) = &settings.certificate_authority {
                let authority = Certificate::from_pem(pem.as_bytes());
                let authority = authority.map_err(|_| "the certificate authority is not PEM".to_owned())?;
                parameters = parameters.add_root_certificate(authority);
            }
            parameters.build_rustls().map_err(|error| format!("TLS cannot be used: {error}"))
        };
        let word = url.query_pairs().find(|(name, _)| name == "tls").map(|(_, word)| word.into_owned());
        let (tls, port) = match (url.scheme(), word.as_deref()) {
            ("smtps", None) => (Tls::Wrapper(parameters()?), SUBMISSIONS_PORT),
            ("smtp", None | Some("required")) => (Tls::Required(parameters()?), SUBMISSION_PORT),
            ("smtp", Some("none")) => (Tls::None, SUBMISSION_PORT),
            ("smtp", Some(word)) => {
                return Err(format!("tls={word} is not known: required (the default) and none are"));
            }
            (scheme, _) => return Err(format!("{scheme}: is not known: {ALLOWED}")),
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
            .port(url.port().unwrap_or(port))
            .tls(tls)
            .timeout(Some(timeout));
        if !url.username().is_empty() {
            let plain = |text: &str| percent_decoded(text);
            let (user, password) = (plain(url.username()), plain(url.password().unwrap_or_default()));
            builder = builder.credentials(Credentials::new(user, password));
        }
        Ok(Self { transport: builder.build(), from })
    }

    pub(crate) async fn send(&self, to: &str, letter: &Letter) -> Result<(), Refusal> {
        let message = self.message(to, letter).map_err(Refusal::Never)?;
        match self.transport.send(message).await {
            Ok(_) => Ok(()),
            Err(error) => {
                let code = error.status().map(u16::from);
                let why = told(&error);
                let is_never = error.is_permanent() && code.is_none_or(|code| !LOG_IN.contains(&code));
                Err(if is_never { Refusal::Never(why) } else { Refusal::Later(why) })
            }
        }
    }

    fn message(&self, to: &str, letter: &Letter) -> Result<Message, String> {
        let to: Mailbox = to.parse().map_err(|_| format!("`{to}` is not an e-mail address"))?;
        let domain = self.from.email.domain();
        let mut message = Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(letter.subject())
            // The same on every try: a server that took it without our hearing of it can tell.
            .message_id(Some(format!("<{}@{domain}>", letter.id)))
            .raw_header(header("Auto-Submitted", "auto-generated"));
        if let [(_, unsubscribe)] = &*letter.unsubscribe {
            // RFC 8058: one click in the mail program.
            message = message
                .raw_header(header("List-Unsubscribe", &format!("<{unsubscribe}>")))
                .raw_header(header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"));
        }
        let body = MultiPart::alternative_plain_html(letter.text(), letter.html());
        message.multipart(body).map_err(|error| error.to_string())
    }
}

fn header(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

/// What went wrong and why, as far as it is known.
fn told(error: &lettre::transport::smtp::Error) -> String {
    let mut told = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_told = cause.to_string();
        if !told.contains(&cause_told) {
            told = format!("{told}: {cause_told}");
        }
        source = cause.source();
    }
    told
}

/// A URL's user or password as it was meant.
fn percent_decoded(text: &str) -> String {
    let pair = format!("x={}", text.replace('+', "%2B").replace('&', "%26"));
    let decoded = url::form_urlencoded::parse(pair.as_bytes()).next();
    decoded.map(|(_, value)| value.into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str) -> EmailSettings {
        EmailSettings { url: url.into(), certificate_authority: None, from: "Acme <ops@example.com>".into() }
    }

    #[test]
    fn settings_say_what_is_wrong_with_them() {
        let refused = |url: &str| Email::new(&settings(url), Duration::from_secs(1)).unwrap_err();
        assert!(refused("mail.example.com").starts_with("it is not a URL"));
        assert!(refused("https://mail.example.com").starts_with("https: is not known"));
        assert!(refused("smtp://h?tls=maybe").contains("required (the default) and none"));
        let from = EmailSettings { from: "nobody".into(), ..settings("smtp://h") };
        assert!(Email::new(&from, Duration::from_secs(1)).unwrap_err().contains("no sender"));
        for good in ["smtps://u:p@h", "smtp://h:25?tls=none", "smtp://h?tls=required"] {
            Email::new(&settings(good), Duration::from_secs(1)).unwrap();
        }
    }

    #[test]
    fn users_and_passwords_are_read_as_they_were_meant() {
        assert_eq!(percent_decoded("a%40b.example+c%2B&d=e%25"), "a@b.example+c+&d=e%");
    }

    #[test]
    fn a_message_has_both_forms_and_the_way_out() {
        let email = Email::new(&settings("smtp://h"), Duration::from_secs(1)).unwrap();
        let letter = Letter {
            about: vec!["Acme".into()],
            items: vec![crate::Item {
                title: "Webhook Été is disabled\r\nBcc: x@y".into(),
                ..Default::default()
            }],
            unsubscribe: vec![("Acme".into(), "https://hooks.example/unsubscribe/x".into())],
            id: "n-1".into(),
            ..Letter::default()
        };
        let message = email.message("ops@customer.example", &letter).unwrap().formatted();
        let message = String::from_utf8(message).unwrap();
        for part in [
            "From: Acme <ops@example.com>\r\n",
            "To: ops@customer.example\r\n",
            "Message-ID: <n-1@example.com>\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "List-Unsubscribe: <https://hooks.example/unsubscribe/x>\r\n",
            "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n",
            "Content-Type: text/plain; charset=utf-8\r\n",
            "Content-Type: text/html; charset=utf-8\r\n",
        ] {
            assert!(message.contains(part), "{part:?} is not in {message}");
        }
        let (head, _) = message.split_once("\r\n\r\n").unwrap();
        assert!(!head.lines().any(|line| line.starts_with("Bcc")), "{head}");
    }
}
