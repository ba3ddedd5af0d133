//! The cookies of a browser (RFC 6265bis): that somebody is signed in there, that somebody is at the identity provider, that
//! somebody is a guest.

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
    /// Of a guest. It is sent also within pages of other sites, kept apart for each of them (CHIPS).
    Guest,
}

impl Cookie {
    /// Over TLS, a browser takes it from this host alone, over TLS alone (RFC 6265bis, section 4.1.3.2).
    const fn name(self, is_secure: bool) -> &'static str {
        match (self, is_secure) {
            (Self::Session, true) => "__Host-posthaste",
            (Self::Session, false) => "posthaste",
            (Self::Begun, true) => "__Host-posthaste-oidc",
            (Self::Begun, false) => "posthaste-oidc",
            (Self::Guest, true) => "__Host-posthaste-portal",
            (Self::Guest, false) => "posthaste-portal",
        }
    }

    /// How long a browser keeps it; a guest's ends with the browser, or with its link.
    const fn seconds(self) -> Option<i64> {
        match self {
            Self::Session => Some(SESSION_MS / 1_000),
            Self::Begun => Some(BEGUN_MS / 1_000),
            Self::Guest => None,
        }
    }

    /// Where it is sent. Most come along when another site sends somebody here, as the provider does (`Lax`).
    const fn sites(self, is_secure: bool) -> &'static str {
        match (self, is_secure) {
            (Self::Guest, true) => "SameSite=None; Partitioned",
            _ => "SameSite=Lax",
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
        self.set_cookie(cookie, ("", Some(0)))
    }

    /// It is no script's to read.
    fn set_cookie(&self, cookie: Cookie, (value, seconds): (&str, Option<i64>)) -> Option<HeaderValue> {
        let (name, sites) = (cookie.name(self.is_secure()), cookie.sites(self.is_secure()));
        let secure = if self.is_secure() { "; Secure" } else { "" };
        let age = seconds.map(|seconds| format!("; Max-Age={seconds}")).unwrap_or_default();
        HeaderValue::from_str(&format!("{name}={value}; Path=/; HttpOnly; {sites}{age}{secure}")).ok()
    }
}
