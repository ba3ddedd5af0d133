//! The cookie of a browser in which somebody is signed in (RFC 6265bis).

use crate::Console;
use domain::sign_in::SESSION_MS;
use http::header::{COOKIE, HeaderMap, HeaderValue};

/// Its name over TLS: a browser takes it from this host alone, over TLS alone (RFC 6265bis, section 4.1.3.2).
const SECURE_NAME: &str = "__Host-posthaste";
/// The name of a guest's, over TLS. It is sent also within pages of other sites, kept apart for each of them (CHIPS).
const SECURE_GUEST_NAME: &str = "__Host-posthaste-portal";
/// Its name where people reach the console over plain http.
const PLAIN_GUEST_NAME: &str = "posthaste-portal";
/// Its name where people reach the console over plain http.
const PLAIN_NAME: &str = "posthaste";

impl Console {
    const fn cookie_name(is_secure: bool) -> &'static str {
        if is_secure { SECURE_NAME } else { PLAIN_NAME }
    }

    /// What the cookie of a request holds.
    pub(crate) fn cookie<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        Self::cookie_called(Self::cookie_name(self.is_secure()), headers)
    }

    /// What a guest's cookie holds.
    pub(crate) fn guest_cookie<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        let name = if self.is_secure() { SECURE_GUEST_NAME } else { PLAIN_GUEST_NAME };
        Self::cookie_called(name, headers)
    }

    fn cookie_called<'a>(name: &str, headers: &'a HeaderMap) -> Option<&'a str> {
        let texts = headers.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok());
        let mut pairs = texts.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    /// Sets the cookie.
    pub(crate) fn keep_cookie(&self, value: &str) -> Option<HeaderValue> {
        self.set_cookie(value, SESSION_MS / 1_000)
    }

    /// Sets a guest's cookie. It ends with the browser, or with its link.
    pub(crate) fn keep_guest(&self, value: &str) -> Option<HeaderValue> {
        let text = if self.is_secure() {
            format!("{SECURE_GUEST_NAME}={value}; Path=/; HttpOnly; Secure; SameSite=None; Partitioned")
        } else {
            format!("{PLAIN_GUEST_NAME}={value}; Path=/; HttpOnly; SameSite=Lax")
        };
        HeaderValue::from_str(&text).ok()
    }

    /// Takes a guest's cookie away.
    pub(crate) fn drop_guest(&self) -> Option<HeaderValue> {
        let cookie = self.keep_guest("")?;
        HeaderValue::from_str(&format!("{}; Max-Age=0", cookie.to_str().ok()?)).ok()
    }

    /// Takes the cookie away.
    pub(crate) fn drop_cookie(&self) -> Option<HeaderValue> {
        self.set_cookie("", 0)
    }

    fn set_cookie(&self, value: &str, seconds: i64) -> Option<HeaderValue> {
        let (is_secure, name) = (self.is_secure(), Self::cookie_name(self.is_secure()));
        let secure = if is_secure { "; Secure" } else { "" };
        let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}");
        HeaderValue::from_str(&text).ok()
    }
}
