//! The settings' parsers: a text becomes a value, or a sentence about what is allowed.
//!
//! A sentence never repeats the text: it may be a secret, and whoever reports it shows it where that is right.

use super::Config;
use app::jwt::ALGORITHMS;
use courier::{Email, EmailSettings};
use domain::environment::SignatureHeaders;
use domain::notify::is_email;
use domain::retry::Schedule;
use domain::role::Role;
use ipnet::IpNet;
use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;
use url::{Host, Url};

/// The shortest key for tokens, in characters. RFC 7518, section 3.2, wants 32; who moves here brings the key that
/// signs today, so only what is plainly too weak is refused.
pub(super) const JWT_SECRET_CHARS_MIN: usize = 16;
/// The shortest encryption key, in characters: a random one of letters and digits has well over 128 bits.
pub(super) const ENCRYPTION_KEY_CHARS_MIN: usize = 32;
/// The longest value of the origin header.
const HEADER_VALUE_CHARS_MAX: usize = 256;
/// The longest name of an identity provider: it stands on a button.
const NAME_CHARS_MAX: usize = 60;

pub(super) type Parsed<T> = Result<T, String>;

/// A secret that a log line or an error can hold without showing it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(String);

impl SecretText {
    /// A secret of this text.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The secret itself, for signing and sealing.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(set)")
    }
}

/// Where everything durable is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreAddress {
    /// A file of this process alone.
    Sqlite(PathBuf),
    /// A database that any number of nodes share. Its address may hold a password.
    Postgres(SecretText),
}

impl StoreAddress {
    /// Reads `sqlite:PATH` or `postgres://…`.
    ///
    /// # Errors
    /// What it must be.
    pub fn parse(text: &str) -> Result<Self, String> {
        store(text)
    }

    /// The file, where it is one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Sqlite(path) => Some(path),
            Self::Postgres(_) => None,
        }
    }
}

impl Default for StoreAddress {
    fn default() -> Self {
        Self::Sqlite(PathBuf::new())
    }
}

/// How JWTs are signed: one of [`ALGORITHMS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JwtAlgorithm(&'static str);

impl Default for JwtAlgorithm {
    fn default() -> Self {
        Self("HS256")
    }
}

impl JwtAlgorithm {
    /// Whether whoever checks tokens also holds the key that signs them.
    #[must_use]
    pub fn is_symmetric(self) -> bool {
        self.0.starts_with("HS")
    }

    /// Its name.
    #[must_use]
    pub const fn word(self) -> &'static str {
        self.0
    }
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Puts a parsed value into its place.
pub(super) fn put<T>(place: &mut T, parsed: Parsed<T>) -> Result<(), String> {
    parsed.map(|value| *place = value)
}

pub(super) fn host_port(text: &str) -> Parsed<String> {
    let refuse = || "must be host:port, for example 127.0.0.1:8071 or [::1]:8071".to_owned();
    let (host, port) = text.rsplit_once(':').ok_or_else(refuse)?;
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let host_fits = match bare {
        Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c)),
    };
    if !host_fits || port.parse::<u16>().is_err() || port.starts_with('+') {
        return Err(refuse());
    }
    Ok(text.to_owned())
}

pub(super) fn path(text: &str) -> Parsed<PathBuf> {
    if text.is_empty() { Err("must be a path".into()) } else { Ok(text.into()) }
}

pub(super) fn store(text: &str) -> Parsed<StoreAddress> {
    if let Some((_, rest)) =
        text.split_once("://").filter(|(scheme, _)| ["postgres", "postgresql"].contains(scheme))
    {
        return match rest {
            "" => Err("must be postgres://user:password@host/database".into()),
            _ => Ok(StoreAddress::Postgres(SecretText::new(text.to_owned()))),
        };
    }
    match text.strip_prefix("sqlite:") {
        Some("" | ":memory:") | None => {
            Err("must be sqlite:PATH, the path of a file, or postgres://user:password@host/database".into())
        }
        Some(file) => Ok(StoreAddress::Sqlite(file.into())),
    }
}

pub(super) fn secret(text: &str, chars_min: usize) -> Parsed<SecretText> {
    let chars = text.chars().count();
    if chars < chars_min {
        return Err(format!(
            "has {chars} characters and needs at least {chars_min}: make one with `openssl rand -hex 32`"
        ));
    }
    Ok(SecretText::new(text.to_owned()))
}

pub(super) fn algorithm(text: &str) -> Parsed<JwtAlgorithm> {
    let known = ALGORITHMS.iter().find(|word| **word == text).map(|word| JwtAlgorithm(word));
    known.ok_or_else(|| format!("must be one of {}", ALGORITHMS.join(", ")))
}

/// What stands there, or in the file that `file:PATH` names.
fn pem(text: &str) -> Parsed<String> {
    match text.strip_prefix("file:") {
        Some(file) => std::fs::read_to_string(file).map_err(|error| format!("cannot be read: {error}")),
        None => Ok(text.to_owned()),
    }
}

pub(super) fn public_key(text: &str) -> Parsed<String> {
    let pem = pem(text)?;
    if pem.contains("PRIVATE KEY") {
        return Err("holds a PRIVATE key, which this server must not have: give the public one, which \
                    `openssl pkey -in FILE -pubout` prints"
            .into());
    }
    if !pem.trim_start().starts_with("-----BEGIN PUBLIC KEY-----") {
        return Err("must be a PEM public key (-----BEGIN PUBLIC KEY-----), or file:PATH of one".into());
    }
    Ok(pem)
}

pub(super) fn schedule(text: &str) -> Parsed<Schedule> {
    let refuse = |_| "must be whole seconds separated by commas, for example 5,300,1800".to_owned();
    let seconds: Vec<u32> = items(text).map(str::parse).collect::<Result<_, _>>().map_err(refuse)?;
    Schedule::new(seconds).map_err(|error| error.to_string())
}

pub(super) fn subnets(text: &str) -> Parsed<Vec<IpNet>> {
    let subnet = |item: &str| {
        item.parse::<IpNet>().or_else(|_| item.parse::<IpAddr>().map(IpNet::from)).map_err(|_| {
            "must be subnets separated by commas, for example 10.0.0.0/8,fd00::/8 or 192.168.1.5".to_owned()
        })
    };
    items(text).map(subnet).collect()
}

pub(super) fn origins(text: &str) -> Parsed<Vec<String>> {
    let origin = |text: &str| {
        let url = Url::parse(text).ok()?;
        let origin = url.origin().ascii_serialization();
        (matches!(url.scheme(), "http" | "https") && origin == text.trim_end_matches('/')).then_some(origin)
    };
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts
        .map(|part| {
            origin(part)
                .ok_or_else(|| "must be origins like https://app.example.com, separated by commas".to_owned())
        })
        .collect()
}

pub(super) fn boolean(text: &str) -> Parsed<bool> {
    text.parse().map_err(|_| "must be true or false".to_owned())
}

pub(super) fn number(text: &str, allowed: RangeInclusive<u32>) -> Parsed<u32> {
    let number = text.parse().ok().filter(|number| allowed.contains(number));
    number.ok_or_else(|| format!("must be a whole number from {} to {}", allowed.start(), allowed.end()))
}

pub(super) fn seconds(text: &str, allowed: RangeInclusive<u32>) -> Parsed<Duration> {
    number(text, allowed).map(|seconds| Duration::from_secs(seconds.into()))
}

pub(super) fn signature_headers(text: &str) -> Parsed<SignatureHeaders> {
    SignatureHeaders::from_word(text).ok_or_else(|| "must be webhook, svix or both".to_owned())
}

pub(super) fn public_url(text: &str) -> Parsed<String> {
    let refuse = "must be an http:// or https:// address without user name, query and fragment".to_owned();
    match Url::parse(text) {
        Ok(url)
            if matches!(url.scheme(), "http" | "https")
                && url.username().is_empty()
                && url.password().is_none()
                && url.query().is_none()
                && url.fragment().is_none() =>
        {
            Ok(text.trim_end_matches('/').to_owned())
        }
        _ => Err(refuse),
    }
}

pub(super) fn header_value(text: &str) -> Parsed<String> {
    let fits =
        (1..=HEADER_VALUE_CHARS_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    if fits {
        Ok(text.to_owned())
    } else {
        Err(format!("must be 1 to {HEADER_VALUE_CHARS_MAX} visible ASCII characters without spaces"))
    }
}

/// A word alone must be a level: the filter's own grammar would take `inof` for the name of a target and log nothing.
pub(super) fn log_filter(text: &str) -> Parsed<String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let known =
        |item: &str| item.contains(['=', '[']) || LEVELS.contains(&item.to_ascii_lowercase().as_str());
    if text.is_empty() || !items(text).all(known) || tracing_subscriber::EnvFilter::try_new(text).is_err() {
        return Err(format!("must be a level ({}), or target=level, separated by commas", LEVELS.join(", ")));
    }
    Ok(text.to_owned())
}

pub(super) fn log_format(text: &str) -> Parsed<LogFormat> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("must be text or json".into()),
    }
}

pub(super) fn store_in_data_dir(config: &Config) -> String {
    format!("sqlite:{}", config.data_dir.join("posthaste.db").display())
}

/// The listener's address as a client on this machine writes it.
pub(super) fn url_of_listener(config: &Config) -> String {
    let listen = config.listen.replace("0.0.0.0:", "127.0.0.1:").replace("[::]:", "[::1]:");
    format!("http://{listen}")
}

pub(super) fn host_of_public_url(config: &Config) -> String {
    let url = Url::parse(&config.public_url).ok();
    url.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_else(|| "posthaste".to_owned())
}

/// The sender of e-mails where none is set.
pub(super) fn sender_at_public_url(config: &Config) -> String {
    let host = host_of_public_url(config);
    let is_name = Url::parse(&config.public_url).is_ok_and(|url| url.domain().is_some());
    format!("posthaste@{}", if is_name { &host } else { "localhost" })
}

pub(super) fn sender(text: &str) -> Parsed<String> {
    let address = match text.split_once('<') {
        Some((_, rest)) => rest.strip_suffix('>').unwrap_or_default(),
        None => text,
    };
    if is_email(address.trim()) && !text.chars().any(char::is_control) {
        return Ok(text.to_owned());
    }
    Err("must be ops@example.com, or Acme <ops@example.com>".into())
}

pub(super) fn mail_server(text: &str) -> Parsed<SecretText> {
    let settings = EmailSettings {
        url: text.to_owned(),
        certificate_authority: None,
        from: "posthaste@localhost".into(),
    };
    Email::new(&settings, Duration::from_secs(1)).map(|_| SecretText::new(text.to_owned()))
}

/// An identity provider's identifier (OpenID Connect Discovery 1.0, section 2), to the letter.
pub(super) fn issuer(text: &str) -> Parsed<String> {
    let refuse = "must be the provider's https:// address without user name, query and fragment; http:// only on this machine";
    let url = Url::parse(text).map_err(|_| refuse.to_owned())?;
    let is_here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    let is_plain = url.username().is_empty() && url.password().is_none() && !text.contains(['?', '#']);
    let fits = is_plain && (url.scheme() == "https" || (url.scheme() == "http" && is_here));
    if fits { Ok(text.to_owned()) } else { Err(refuse.into()) }
}

pub(super) fn some_text(text: &str) -> Parsed<String> {
    if text.is_empty() { Err("must not be empty".into()) } else { Ok(text.to_owned()) }
}

pub(super) fn called(text: &str) -> Parsed<String> {
    let fits = (1..=NAME_CHARS_MAX).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    if fits { Ok(text.to_owned()) } else { Err(format!("must be 1 to {NAME_CHARS_MAX} characters")) }
}

/// In lower case.
pub(super) fn domains(text: &str) -> Parsed<Vec<String>> {
    let domain = |item: &str| {
        let fits = is_email(&format!("a@{item}"));
        let refuse = "must be domains separated by commas, for example acme.com,acme.co.uk";
        if fits { Ok(item.to_ascii_lowercase()) } else { Err(refuse.to_owned()) }
    };
    items(text).map(domain).collect()
}

pub(super) fn role(text: &str) -> Parsed<Role> {
    Role::from_word(text).ok_or_else(|| "must be viewer, member, manager or administrator".to_owned())
}

pub(super) fn certificates(text: &str) -> Parsed<String> {
    let pem = pem(text)?;
    if !pem.contains("-----BEGIN CERTIFICATE-----") {
        return Err("must be PEM certificates (-----BEGIN CERTIFICATE-----), or file:PATH of them".into());
    }
    Ok(pem)
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}
