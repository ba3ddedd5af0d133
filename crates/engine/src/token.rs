//! Tokens of an authorization server, by client credentials (RFC 6749, section 4.4).
//!
//! A token is kept until shortly before it expires, or until the receiver refuses it. One request for a new one goes out at
//! a time, whoever else wants one waits for it; what went wrong is told to all of them for some seconds, so that a server
//! that is down is not asked by each attempt.

use domain::auth::OAuth2;
use domain::clock::{Clock, Timestamp};
use egress::{Client, ClientCredentials, SendError};
use std::sync::Arc;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

/// How long a token is good for, when the server does not say.
const LIFETIME_SECONDS_DEFAULT: i64 = 3_600;
/// A new one is fetched so long before the old one expires, or a tenth of its lifetime if that is less.
const EARLY_MS: i64 = 60_000;
/// How long a failure is told to others without asking again.
const FAILURE_MS: i64 = 5_000;

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
        let asked = ClientCredentials {
            token_url: &self.client.token_url,
            client_id: &self.client.client_id,
            client_secret: self.client.client_secret.reveal(),
            scope: self.client.scope.as_deref(),
        };
        match asked.fetch(egress, deadline).await {
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

    fn told(&self, why: &str) -> String {
        format!("the authorization server {}: {why}", self.client.token_url)
    }
}
