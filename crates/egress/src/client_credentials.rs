//! A token by client credentials (RFC 6749, section 4.4): one request to an authorization server.

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE},
};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use tokio::time::Instant;
use url::form_urlencoded::{Serializer, byte_serialize};

use crate::{Client, Request, SendError, uri_of};

/// What is shown of a server's answer.
const SHOWN_CHARS_MAX: usize = 200;

/// Who asks, and where.
#[derive(Clone, Copy)]
pub struct ClientCredentials<'a> {
    /// The token endpoint.
    pub token_url: &'a str,
    /// The client's id.
    pub client_id: &'a str,
    /// The client's secret.
    pub client_secret: &'a str,
    /// What is asked for.
    pub scope: Option<&'a str>,
}

/// A token.
#[derive(Deserialize)]
pub struct Granted {
    /// The token itself.
    pub access_token: String,
    /// How long it is good for, in seconds; none when the server does not say.
    #[serde(default, deserialize_with = "seconds")]
    pub expires_in: Option<i64>,
}

/// Some servers write the number as a text, or with a point. What is neither is as if they had not said.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let seconds = match Value::deserialize(deserializer)? {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    // A year is as good as for ever.
    Ok(seconds
        .filter(|seconds: &f64| seconds.is_finite())
        .map(|seconds| seconds.clamp(0.0, 31_536_000.0) as i64))
}

/// What a server says that gives no token (RFC 6749, section 5.2).
#[derive(Deserialize)]
struct Refused {
    error: String,
    #[serde(default)]
    error_description: Option<String>,
}

impl ClientCredentials<'_> {
    /// Asks for a token.
    ///
    /// # Errors
    /// [`SendError`] with a sentence that names the server; `Unreachable` also when it gave none.
    pub async fn fetch(&self, client: &Client, deadline: Instant) -> Result<Granted, SendError> {
        let uri = uri_of(self.token_url)?;
        let request =
            Request { method: Method::POST, uri, headers: self.headers(), body: self.body(), deadline };
        let answer = client.send(request, &|| true).await.map_err(|error| match error {
            SendError::Blocked(why) => SendError::Blocked(self.told(&why)),
            SendError::TimedOut(why) => SendError::TimedOut(self.told(&why)),
            SendError::Unreachable(why) | SendError::Certificate(why) => {
                SendError::Unreachable(self.told(&why))
            }
            SendError::NotAllowed => SendError::NotAllowed,
        })?;
        if answer.status == 200
            && let Ok(granted) = serde_json::from_slice::<Granted>(&answer.body)
            && !granted.access_token.is_empty()
            && HeaderValue::from_str(&granted.access_token).is_ok()
        {
            return Ok(granted);
        }
        Err(SendError::Unreachable(self.told(&refusal(answer.status, &answer.body))))
    }

    /// RFC 6749, section 2.3.1: both parts are encoded as forms are, then as HTTP Basic.
    fn headers(&self) -> HeaderMap {
        let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
        let pair = format!("{}:{}", encode(self.client_id), encode(self.client_secret));
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Ok(mut value) = HeaderValue::from_str(&format!("Basic {}", BASE64_STANDARD.encode(pair))) {
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        headers
    }

    fn body(&self) -> Bytes {
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        if let Some(scope) = self.scope {
            form.append_pair("scope", scope);
        }
        form.finish().into()
    }

    fn told(&self, why: &str) -> String {
        format!("the authorization server {}: {why}", self.token_url)
    }
}

/// A 2xx may hold a token even where it does not read: nothing of it is shown.
fn refusal(status: u16, body: &[u8]) -> String {
    if (200..300).contains(&status) {
        return format!("it answered {status} without a token that can be used");
    }
    let shown = match serde_json::from_slice::<Refused>(body) {
        Ok(Refused { error, error_description: Some(more) }) => format!("{error}: {more}"),
        Ok(Refused { error, error_description: None }) => error,
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    let shown: String = shown.chars().take(SHOWN_CHARS_MAX).collect();
    format!("it gave no token, and answered {status}: {shown}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_servers_say_about_a_tokens_lifetime_is_read() {
        let granted = |expires: &str| {
            let json = format!(r#"{{"access_token":"t","expires_in":{expires}}}"#);
            serde_json::from_str::<Granted>(&json).unwrap().expires_in
        };
        assert_eq!(["3599", "\"3599\"", "3599.0"].map(granted), [Some(3_599); 3]);
        assert_eq!(["null", "\"soon\"", "[]"].map(granted), [None; 3]);
        assert_eq!(["-5", "1e300"].map(granted), [Some(0), Some(31_536_000)]);
        assert_eq!(serde_json::from_str::<Granted>(r#"{"access_token":"t"}"#).unwrap().expires_in, None);
    }

    #[test]
    fn a_refusal_shows_the_servers_error_and_never_what_may_be_a_token() {
        assert_eq!(
            refusal(200, br#"{"token":"s3cret"}"#),
            "it answered 200 without a token that can be used"
        );
        let body = br#"{"error":"invalid_client","error_description":"unknown","hint":"s3cret"}"#;
        assert_eq!(refusal(401, body), "it gave no token, and answered 401: invalid_client: unknown");
        assert_eq!(refusal(502, b"Bad Gateway"), "it gave no token, and answered 502: Bad Gateway");
    }
}
