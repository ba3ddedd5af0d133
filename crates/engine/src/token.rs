//! Tokens of an authorization server, by client credentials (RFC 6749, section 4.4).
//!
//! A token is kept until shortly before it expires, or until the receiver refuses it. One request for a new one goes out at
//! a time, whoever else wants one waits for it; what went wrong is told to all of them for some seconds, so that a server
//! that is down is not asked by each attempt.

use domain::auth::OAuth2;
use domain::clock::{Clock, Timestamp};
use egress::{Client, ClientCredentials, SendError};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;

/// How long a token is good for, when the server does not say.
const LIFETIME_SECONDS_DEFAULT: i64 = 3_600;
/// A new one is fetched so long before the old one expires, or a tenth of its lifetime if that is less.
const EARLY_MS: i64 = 60_000;
/// How long a failure is told to others without asking again.
const FAILURE_MS: i64 = 5_000;

/// How long a request for a token may take: it is not any one attempt's, and goes on when that one's time is over.
const FETCH_WITHIN: Duration = Duration::from_secs(15);

/// Gets one endpoint's tokens.
#[derive(Debug)]
pub(crate) struct Tokens {
    client: Arc<OAuth2>,
    state: Arc<Mutex<State>>,
    fetching: TaskTracker,
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
        Self { client: Arc::new(client.clone()), state: Arc::default(), fetching: TaskTracker::new() }
    }

    /// A token. `refused` is one that the receiver did not take: it is not given again.
    pub(crate) async fn get(
        &self,
        egress: &Client,
        clock: &Arc<dyn Clock>,
        refused: Option<&str>,
        deadline: Instant,
    ) -> Result<Arc<str>, SendError> {
        let late = |_| SendError::TimedOut(self.told("no token came in time"));
        let state = timeout_at(deadline, Arc::clone(&self.state).lock_owned()).await.map_err(late)?;
        match &*state {
            State::Token { text, renew_at } if clock.now() < *renew_at && refused != Some(text) => {
                return Ok(Arc::clone(text));
            }
            State::Failed { error, ask_at } if clock.now() < *ask_at => return Err(error.clone()),
            _ => {}
        }
        let fetch = fetch(state, Arc::clone(&self.client), egress.clone(), Arc::clone(clock));
        match timeout_at(deadline, self.fetching.spawn(fetch)).await.map_err(late)? {
            Ok(got) => got,
            Err(error) => Err(SendError::Unreachable(self.told(&error.to_string()))),
        }
    }

    fn told(&self, why: &str) -> String {
        format!("the authorization server {}: {why}", self.client.token_url)
    }
}

/// Asks for a token, and keeps what came of it for all who wait for the lock.
async fn fetch(
    mut state: OwnedMutexGuard<State>,
    client: Arc<OAuth2>,
    egress: Client,
    clock: Arc<dyn Clock>,
) -> Result<Arc<str>, SendError> {
    let asked = ClientCredentials {
        token_url: &client.token_url,
        client_id: &client.client_id,
        client_secret: client.client_secret.reveal(),
        scope: client.scope.as_deref(),
    };
    match asked.fetch(&egress, Instant::now() + FETCH_WITHIN).await {
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
