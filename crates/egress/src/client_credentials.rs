//! A token by client credentials (RFC 6749, section 4.4): one request to an authorization server.

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE},
};
use serde::Deserialize;
use tokio::time::Instant;
use url::form_urlencoded::{Serializer, byte_serialize};

use crate::{Client, Request, SendError};

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
    #[serde(default)]
    pub expires_in: Option<i64>,
}

impl ClientCredentials<'_> {
    /// Asks for a token.
    ///
    /// # Errors
    /// [`SendError`] with a sentence that names the server; `Unreachable` also when it gave none.
    pub async fn fetch(&self, client: &Client, deadline: Instant) -> Result<Granted, SendError> {
        let uri = self.token_url.parse();
        let uri =
            uri.map_err(|error| SendError::Unreachable(self.told(&format!("it is no URL: {error}"))))?;
        let request =
            Request { method: Method::POST, uri, headers: self.headers(), body: self.body(), deadline };
        let answer = client.send(request, &|| true).await.map_err(|error| match error {
            SendError::Blocked(why) => SendError::Blocked(self.told(&why)),
            SendError::TimedOut(why) => SendError::TimedOut(self.told(&why)),
            SendError::Unreachable(why) => SendError::Unreachable(self.told(&why)),
            SendError::NotAllowed => SendError::NotAllowed,
        })?;
        if answer.status == 200
            && let Ok(granted) = serde_json::from_slice::<Granted>(&answer.body)
            && !granted.access_token.is_empty()
            && HeaderValue::from_str(&granted.access_token).is_ok()
        {
            return Ok(granted);
        }
        let shown: String = String::from_utf8_lossy(&answer.body).chars().take(SHOWN_CHARS_MAX).collect();
        let status = answer.status;
        Err(SendError::Unreachable(self.told(&format!("it gave no token, and answered {status}: {shown}"))))
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
