//! Tokens of an authorization server, by client credentials (RFC 6749, section 4.4).
//!
//! A token is kept until shortly before it expires, or until the receiver refuses it. One request for a new one goes out at
//! a time, whoever else wants one waits for it; what went wrong is told to all of them for some seconds, so that a server
//! that is down is not asked by each attempt.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use domain::auth::OAuth2;
use domain::clock::{Clock, Timestamp};
use egress::{Client, Request, SendError};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method};
use serde::Deserialize;
use std::sync::Arc;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};
use url::form_urlencoded::{Serializer, byte_serialize};

/// How long a token is good for, when the server does not say.
const LIFETIME_SECONDS_DEFAULT: i64 = 3_600;
/// A new one is fetched so long before the old one expires, or a tenth of its lifetime if that is less.
const EARLY_MS: i64 = 60_000;
/// How long a failure is told to others without asking again.
const FAILURE_MS: i64 = 5_000;
/// What is shown of a server's answer.
const SHOWN_CHARS_MAX: usize = 200;

/// Gets one endpoint's tokens.
#[derive(Debug)]
pub(crate) struct Tokens {
    client: OAuth2,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    None,
    Token {
        text: Arc<str>,
        renew_at: Timestamp,
    },
    Failed {
        error: SendError,
        ask_at: Timestamp,
    },
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    #[serde(default)]
    expires_in: Option<i64>,
}

impl Tokens {
    pub(crate) fn new(client: &OAuth2) -> Self {
        Self { client: client.clone(), state: Mutex::default() }
    }

    /// A token. `refused` is one that the receiver did not take: it is not given again.
    pub(crate) async fn get(
        &self,
        egress: &Client,
        clock: &dyn Clock,
        refused: Option<&str>,
        deadline: Instant,
    ) -> Result<Arc<str>, SendError> {
        let waited = timeout_at(deadline, self.state.lock()).await;
        let mut state = waited.map_err(|_| SendError::TimedOut(self.told("no token came in time")))?;
        match &*state {
            State::Token { text, renew_at } if clock.now() < *renew_at && refused != Some(text) => {
                return Ok(Arc::clone(text));
            }
            State::Failed { error, ask_at } if clock.now() < *ask_at => return Err(error.clone()),
            _ => {}
        }
        match self.fetch(egress, deadline).await {
            Ok(granted) => {
                let text: Arc<str> = granted.access_token.into();
                let lifetime_ms =
                    granted.expires_in.unwrap_or(LIFETIME_SECONDS_DEFAULT).max(0).saturating_mul(1000);
                let renew_at = clock.now().plus_ms(lifetime_ms - EARLY_MS.min(lifetime_ms / 10));
                *state = State::Token { text: Arc::clone(&text), renew_at };
                Ok(text)
            }
            Err(error) => {
                *state = State::Failed { error: error.clone(), ask_at: clock.now().plus_ms(FAILURE_MS) };
                Err(error)
            }
        }
    }

    async fn fetch(&self, egress: &Client, deadline: Instant) -> Result<Granted, SendError> {
        let uri = self.client.token_url.parse();
        let uri =
            uri.map_err(|error| SendError::Unreachable(self.told(&format!("it is no URL: {error}"))))?;
        let request =
            Request { method: Method::POST, uri, headers: self.headers(), body: self.body(), deadline };
        let answer = egress.send(request, &|| true).await.map_err(|error| match error {
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
        let pair =
            format!("{}:{}", encode(&self.client.client_id), encode(self.client.client_secret.reveal()));
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static(shape::AGENT));
        if let Ok(mut value) = HeaderValue::from_str(&format!("Basic {}", BASE64_STANDARD.encode(pair))) {
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        headers
    }

    fn body(&self) -> Bytes {
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        if let Some(scope) = &self.client.scope {
            form.append_pair("scope", scope);
        }
        form.finish().into()
    }

    fn told(&self, why: &str) -> String {
        format!("the authorization server {}: {why}", self.client.token_url)
    }
}
