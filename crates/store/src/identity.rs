//! Contract: who users are at an identity provider (OpenID Connect).

use crate::error::Result;
use async_trait::async_trait;
use domain::id::UserKey;
use domain::user::User;

/// A person as a provider knows them. The pair never changes and is never given to somebody else (OpenID Connect Core 1.0, section
/// 5.7); their address may do both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The provider.
    pub issuer: String,
    /// What it calls them.
    pub subject: String,
}

/// What the store does with identities. Both parts are compared as they are.
#[async_trait]
pub trait Identities: Send + Sync {
    /// The user with this identity. `NotFound`.
    async fn identity_find(&self, identity: &Identity) -> Result<User>;
    /// Links an identity to a user, who has this address still; doing so again changes nothing. `Taken("identity")` when it is
    /// another's, or the user has another one of this issuer; `NotFound` for a user that is gone, or has another address by now.
    async fn identity_link(&self, identity: &Identity, user: (UserKey, &str)) -> Result<()>;
}
