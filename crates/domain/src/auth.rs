//! How an endpoint's requests say who they are from: basic, bearer, API key, a header, or OAuth 2.
//!
//! Mutual TLS is beside it, in [`crate::credentials`]: it is a matter of the connection and goes with each of these.

use crate::confidential::Confidential;
use crate::header;
use crate::limit::{CREDENTIAL_BYTES_MAX, URL_BYTES_MAX};
use crate::wrong::Found;
use serde::{Deserialize, Serialize};

/// The header of an API key unless told otherwise.
pub const API_KEY_HEADER: &str = "X-API-Key";

/// How requests are authenticated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Auth {
    /// Not at all.
    #[default]
    None,
    /// `Authorization: Basic …` (RFC 7617).
    Basic {
        /// Without a colon.
        username: String,
        /// The password.
        password: Confidential,
    },
    /// `Authorization: Bearer …` (RFC 6750).
    Bearer {
        /// The token.
        token: Confidential,
    },
    /// A key in a header.
    ApiKey {
        /// The header's name.
        header: String,
        /// The key.
        value: Confidential,
    },
    /// Any header.
    Header {
        /// Its name.
        name: String,
        /// Its value.
        value: Confidential,
    },
    /// A token of an authorization server, by client credentials (RFC 6749, section 4.4).
    Oauth2(OAuth2),
}

/// Client credentials, and where they get a token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OAuth2 {
    /// The token endpoint.
    pub token_url: String,
    /// The client's id.
    pub client_id: String,
    /// The client's secret.
    pub client_secret: Confidential,
    /// The scopes that are asked for, separated by spaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

impl Auth {
    /// The word for this kind.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Basic { .. } => "basic",
            Self::Bearer { .. } => "bearer",
            Self::ApiKey { .. } => "apiKey",
            Self::Header { .. } => "header",
            Self::Oauth2(_) => "oauth2",
        }
    }

    /// The header that it sets, if any.
    #[must_use]
    pub fn header(&self) -> Option<&str> {
        match self {
            Self::None => None,
            Self::Basic { .. } | Self::Bearer { .. } | Self::Oauth2(_) => Some("Authorization"),
            Self::ApiKey { header: name, .. } | Self::Header { name, .. } => Some(name),
        }
    }

    /// Notes what is wrong with it; the policy's word on `tokenUrl` is not asked here.
    pub fn check(&self, found: &mut Found<'_>) {
        match self {
            Self::None => {}
            Self::Basic { username, password } => {
                if username.contains(':') {
                    found.wrong("username", "must not contain a colon (RFC 7617, section 2)");
                }
                printable(found, "username", username);
                printable(found, "password", password.reveal());
            }
            Self::Bearer { token } => value(found, "token", token),
            Self::ApiKey { header, value: key } => {
                found.check("header", header::check_one(header, ""));
                value(found, "value", key);
            }
            Self::Header { name, value: text } => {
                found.check("name", header::check_one(name, ""));
                value(found, "value", text);
            }
            Self::Oauth2(oauth2) => oauth2.check(found),
        }
    }
}

impl OAuth2 {
    fn check(&self, found: &mut Found<'_>) {
        if self.token_url.len() > URL_BYTES_MAX {
            found.wrong("tokenUrl", format!("must have at most {URL_BYTES_MAX} bytes (url_bytes_max)"));
        }
        if self.client_id.is_empty() {
            found.wrong("clientId", "must not be empty");
        }
        printable(found, "clientId", &self.client_id);
        printable(found, "clientSecret", self.client_secret.reveal());
        printable(found, "scope", self.scope.as_deref().unwrap_or_default());
    }
}

/// A text that goes into a header as it is.
fn value(found: &mut Found<'_>, name: &'static str, text: &Confidential) {
    if text.is_empty() {
        return found.wrong(name, "must not be empty");
    }
    // The header's name is not at fault: any will do for the question.
    if header::check_one("x", text.reveal()).is_err() {
        found.wrong(name, format!("must have 1 to {CREDENTIAL_BYTES_MAX} bytes (credential_bytes_max) without control characters"));
    }
}

/// A text that is encoded before it goes into a header or a form.
fn printable(found: &mut Found<'_>, name: &'static str, text: &str) {
    if text.len() > CREDENTIAL_BYTES_MAX || text.chars().any(char::is_control) {
        found.wrong(name, format!("must have at most {CREDENTIAL_BYTES_MAX} bytes (credential_bytes_max) without control characters"));
    }
}
