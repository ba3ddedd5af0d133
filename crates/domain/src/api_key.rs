//! An API key: an opaque credential of ours, kept only as its SHA-256.

use crate::clock::Timestamp;
use crate::id::{ApplicationKey, EnvironmentKey};
use crate::role::Role;

/// What an API key may do, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// `key_…`
    pub id: String,
    /// The environment that it opens.
    pub environment: EnvironmentKey,
    /// The one application that it opens; none is the whole environment.
    pub application: Option<ApplicationKey>,
    /// What it may do there.
    pub role: Role,
    /// A name for people.
    pub name: String,
    /// The first characters of the key, to recognise it by.
    pub prefix: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last used, to the minute.
    pub used_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}
