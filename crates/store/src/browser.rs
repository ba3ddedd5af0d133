//! Contract: browsers in which people are signed in. (What a *session* with PostgreSQL is, is that engine's own matter.)

use crate::error::Result;
use async_trait::async_trait;
use domain::clock::Timestamp;
use domain::id::UserKey;
use domain::user::User;

/// A browser before anybody is signed in there.
#[derive(Clone, Debug)]
pub struct NewBrowser {
    /// The SHA-256 of what its cookie holds.
    pub sha256: [u8; 32],
    /// Who signs in.
    pub user: UserKey,
    /// The hash of the password by which they do: it must still be theirs. None when it is by something else.
    pub password: Option<String>,
    /// When they must sign in again, whatever they do.
    pub ends_at: Timestamp,
    /// Where they came from; empty when unknown.
    pub address: String,
    /// What the browser says it is, cut to something short.
    pub agent: String,
}

/// A browser in which somebody is signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Browser {
    /// The SHA-256 of what its cookie holds.
    pub sha256: [u8; 32],
    /// When they signed in.
    pub created_at: Timestamp,
    /// When it was last noted that they were there.
    pub seen_at: Timestamp,
    /// When they must sign in again, whatever they do.
    pub ends_at: Timestamp,
    /// Where they came from.
    pub address: String,
    /// What the browser says it is.
    pub agent: String,
}

/// What the store does with browsers.
#[async_trait]
pub trait Browsers: Send + Sync {
    /// Signs a user in. Of more than `sessions_max` the ones that were not seen for longest go. `NotFound` for a user that is
    /// gone, or whose password is another one by now.
    async fn browser_create(&self, new: NewBrowser) -> Result<()>;
    /// The browser under this SHA-256, with its user; `NotFound` when it has ended, or was not seen since `idle_since`.
    async fn browser_find(&self, sha256: [u8; 32], idle_since: Timestamp) -> Result<(Browser, User)>;
    /// Notes that it was seen now.
    async fn browser_seen(&self, sha256: [u8; 32]) -> Result<()>;
    /// A user's browsers that have not ended, the last seen first.
    async fn browser_list(&self, user: UserKey, idle_since: Timestamp) -> Result<Vec<Browser>>;
    /// Signs out there. One that is not there is signed out.
    async fn browser_delete(&self, sha256: [u8; 32]) -> Result<()>;
    /// Signs a user out everywhere, but not in the browser `but`.
    async fn browsers_delete(&self, user: UserKey, but: Option<[u8; 32]>) -> Result<()>;
    /// Forgets browsers that have ended or were not seen since `idle_since`, and links that do not hold any more.
    async fn browsers_prune(&self, idle_since: Timestamp) -> Result<()>;
}
