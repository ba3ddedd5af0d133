//! An application: one customer of our user, its workspace (wire id `app_…`).

use crate::clock::Timestamp;
use crate::id::{ApplicationKey, EnvironmentKey};
use crate::name::Metadata;

/// What a client may set of an application.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApplicationFields {
    /// The client's own id, unique in the environment.
    pub uid: Option<String>,
    /// A name for people.
    pub name: String,
    /// Messages a second over all its endpoints.
    pub throttle_rate: Option<u16>,
    /// The client's own notes.
    pub metadata: Metadata,
}

/// An application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    /// The small key.
    pub key: ApplicationKey,
    /// The environment that it belongs to.
    pub environment: EnvironmentKey,
    /// The wire id, `app_…`.
    pub id: String,
    /// What clients may set.
    pub fields: ApplicationFields,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl Application {
    /// What it is called for people: its name, else the client's own id, else its wire id.
    #[must_use]
    pub fn called(&self) -> &str {
        match (&*self.fields.name, &self.fields.uid) {
            ("", Some(uid)) => uid,
            ("", None) => &self.id,
            (name, _) => name,
        }
    }

    /// Whether it is the one whose endpoints are operational webhooks.
    #[must_use]
    pub fn is_operational(&self) -> bool {
        crate::operational::is_operational(&self.id)
    }
}
