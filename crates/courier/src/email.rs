//! E-mails, through the operator's mail server (SMTP, RFC 5321).

use crate::Refusal;
use lettre::Message;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use std::time::Duration;
use url::Url;

/// Ports where nothing else is said: submission with TLS from the start, and with STARTTLS (RFC 8314, RFC 6409).
const SUBMISSIONS_PORT: u16 = 465;
const SUBMISSION_PORT: u16 = 587;
/// How long a server may take to say goodbye: the e-mail is taken by then.
const GOODBYE_WITHIN: Duration = Duration::from_secs(2);

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
    host: String,
    port: u16,
    security: Security,
    credentials: Option<Credentials>,
    from: Mailbox,
    timeout: Duration,
}

/// What an e-mail says.
#[derive(Clone, Debug)]
pub(crate) struct Content<'a> {
    /// On one line.
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) html: String,
    /// The same for every try of the same e-mail.
    pub(crate) id: &'a str,
    /// Where its recipient says that they want no more of these.
    pub(crate) unsubscribe: Option<&'a str>,
}

/// A connection whose e-mail is taken, whatever comes now.
pub(crate) struct Goodbye(AsyncSmtpConnection);

impl Goodbye {
    pub(crate) async fn say(mut self) {
        let _ = tokio::time::timeout(GOODBYE_WITHIN, self.0.quit()).await;
    }
}

/// How a connection is secured.
enum Security {
    None,
    StartTls(TlsParameters),
    Tls(TlsParameters),
}

/// Why an e-mail was not taken, by whose fault.
enum Failed {
    /// Ours, the server's or the network's: another time it may be taken.
    Server(Error),
    /// The recipient's or the letter's, where the server's answer is for good.
    Letter(Error),
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
            let mut parameters = TlsParameters::builder(host.trim_matches(['[', ']']).to_owned());
            if let Some(pem) = &settings.certificate_authority {
                let authority = Certificate::from_pem(pem.as_bytes());
                let authority = authority.map_err(|_| "the certificate authority is not PEM".to_owned())?;
                parameters = parameters.add_root_certificate(authority);
            }
            parameters.build_rustls().map_err(|error| format!("TLS cannot be used: {error}"))
        };
        let word = url.query_pairs().find(|(name, _)| name == "tls").map(|(_, word)| word.into_owned());
        let (security, port) = match (url.scheme(), word.as_deref()) {
            ("smtps", None) => (Security::Tls(parameters()?), SUBMISSIONS_PORT),
            ("smtp", None | Some("required")) => (Security::StartTls(parameters()?), SUBMISSION_PORT),
            ("smtp", Some("none")) => (Security::None, SUBMISSION_PORT),
            ("smtp", Some(word)) => {
                return Err(format!("tls={word} is not known: required (the default) and none are"));
            }
            (scheme, _) => return Err(format!("{scheme}: is not known: {ALLOWED}")),
        };
        let credentials = (!url.username().is_empty()).then(|| {
            let password = percent_decoded(url.password().unwrap_or_default());
            Credentials::new(percent_decoded(url.username()), password)
        });
        let port = url.port().unwrap_or(port);
        // An IPv6 address stands in brackets only in URLs.
        let host = host.trim_matches(['[', ']']).to_owned();
        Ok(Self { host, port, security, credentials, from, timeout })
    }

    /// Hands an e-mail over; what remains is to say goodbye.
    pub(crate) async fn send(&self, to: &str, content: Content<'_>) -> Result<Goodbye, Refusal> {
        let message = self.message(to, content).map_err(Refusal::Never)?;
        match self.hand_over(&message).await {
            Ok(connection) => Ok(Goodbye(connection)),
            Err(Failed::Letter(error)) if error.is_permanent() => Err(Refusal::Never(told(&error))),
            Err(Failed::Letter(error) | Failed::Server(error)) => Err(Refusal::Later(told(&error))),
        }
    }

    /// One connection, one e-mail.
    async fn hand_over(&self, message: &Message) -> Result<AsyncSmtpConnection, Failed> {
        let envelope = message.envelope();
        let mut connection = self.connect().await.map_err(Failed::Server)?;
        let mail = Mail::new(envelope.from().cloned(), Vec::new());
        connection.command(mail).await.map_err(Failed::Server)?;
        for to in envelope.to() {
            connection.command(Rcpt::new(to.clone(), Vec::new())).await.map_err(Failed::Letter)?;
        }
        connection.command(Data).await.map_err(Failed::Letter)?;
        connection.message(&message.formatted()).await.map_err(Failed::Letter)?;
        Ok(connection)
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Error> {
        let hello = ClientId::Domain(self.from.email.domain().to_owned());
        let wrapped =
            if let Security::Tls(parameters) = &self.security { Some(parameters.clone()) } else { None };
        let place = (self.host.as_str(), self.port);
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(place, Some(self.timeout), &hello, wrapped, None).await?;
        if let Security::StartTls(parameters) = &self.security {
            connection.starttls(parameters.clone(), &hello).await?;
        }
        if let Some(credentials) = &self.credentials {
            connection.auth(&[Mechanism::Plain, Mechanism::Login], credentials).await?;
        }
        Ok(connection)
    }

    fn message(&self, to: &str, content: Content<'_>) -> Result<Message, String> {
        let to: Mailbox = to.parse().map_err(|_| format!("`{to}` is not an e-mail address"))?;
        let domain = self.from.email.domain();
        let mut message = Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(content.subject)
            // The same on every try: a server that took it without our hearing of it can tell.
            .message_id(Some(format!("<{}@{domain}>", content.id)))
            .raw_header(header("Auto-Submitted", "auto-generated"));
        if let Some(unsubscribe) = content.unsubscribe {
            // RFC 8058: one click in the mail program.
            message = message
                .raw_header(header("List-Unsubscribe", &format!("<{unsubscribe}>")))
                .raw_header(header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"));
        }
        let body = MultiPart::alternative_plain_html(content.text, content.html);
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
    use crate::Letter;

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
            unsubscribe: Some("https://hooks.example/unsubscribe/x".into()),
            id: "n-1".into(),
            ..Letter::default()
        };
        let message = email.message("ops@customer.example", letter.content()).unwrap().formatted();
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
