//! The cookies of a browser (RFC 6265bis): that somebody is signed in there, and that somebody is at the identity provider.

use crate::Console;
use app::oidc::BEGUN_MS;
use domain::sign_in::SESSION_MS;
use http::header::{COOKIE, HeaderMap, HeaderValue};

/// A cookie of ours.
#[derive(Clone, Copy)]
pub(crate) enum Cookie {
    /// Of a browser in which somebody is signed in.
    Session,
    /// Of one in which somebody is at the identity provider.
    Begun,
}

impl Cookie {
    /// Over TLS, a browser takes it from this host alone, over TLS alone (RFC 6265bis, section 4.1.3.2).
    const fn name(self, is_secure: bool) -> &'static str {
        match (self, is_secure) {
            (Self::Session, true) => "__Host-posthaste",
            (Self::Session, false) => "posthaste",
            (Self::Begun, true) => "__Host-posthaste-oidc",
            (Self::Begun, false) => "posthaste-oidc",
        }
    }

    const fn seconds(self) -> i64 {
        match self {
            Self::Session => SESSION_MS / 1_000,
            Self::Begun => BEGUN_MS / 1_000,
        }
    }
}

impl Console {
    /// What a cookie of a request holds.
    pub(crate) fn cookie<'a>(&self, headers: &'a HeaderMap, cookie: Cookie) -> Option<&'a str> {
        let name = cookie.name(self.is_secure());
        let texts = headers.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok());
        let mut pairs = texts.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    /// Sets a cookie.
    pub(crate) fn keep_cookie(&self, cookie: Cookie, value: &str) -> Option<HeaderValue> {
        self.set_cookie(cookie, (value, cookie.seconds()))
    }

    /// Takes a cookie away.
    pub(crate) fn drop_cookie(&self, cookie: Cookie) -> Option<HeaderValue> {
        self.set_cookie(cookie, ("", 0))
    }

    /// It comes along when another site sends somebody here, as the provider does (`Lax`), and is no script's to read.
    fn set_cookie(&self, cookie: Cookie, (value, seconds): (&str, i64)) -> Option<HeaderValue> {
        let (is_secure, name) = (self.is_secure(), cookie.name(self.is_secure()));
        let secure = if is_secure { "; Secure" } else { "" };
        let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}");
        HeaderValue::from_str(&text).ok()
    }
}
