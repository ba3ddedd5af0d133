//! The portal: a link that opens the console for one application to whoever has it, with what they may do there.

use crate::clock::Timestamp;
use crate::id::ApplicationKey;
use crate::role::Role;
use crate::word::worded;

/// How long a link holds unless told otherwise, and at most, in seconds (7 days).
pub const PORTAL_SECONDS_MAX: i64 = 604_800;
/// How long a link holds at least, in seconds (an hour).
pub const PORTAL_SECONDS_MIN: i64 = 3_600;
/// How long links that are ended may go on, in seconds at most (3 days).
pub const PORTAL_GRACE_SECONDS_MAX: i64 = 259_200;
/// Sessions that are ended by name at once.
pub const PORTAL_SESSIONS_MAX: usize = 1_000;

worded!(
    /// What whoever has a link may do.
    Capability {
        /// See everything but secrets.
        ViewBase = "ViewBase",
        /// See secrets.
        ViewEndpointSecret = "ViewEndpointSecret",
        /// Replace secrets.
        ManageEndpointSecret = "ManageEndpointSecret",
        /// Set transformations.
        ManageTransformations = "ManageTransformations",
        /// Send again, test, recover.
        CreateAttempts = "CreateAttempts",
        /// Create, change and delete webhooks.
        ManageEndpoint = "ManageEndpoint",
    }
);

/// A link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Portal {
    /// The application that it opens.
    pub application: ApplicationKey,
    /// What may be done there.
    pub capabilities: Vec<Capability>,
    /// Which flagged event types are seen.
    pub feature_flags: Vec<String>,
    /// What the back end calls the session, to end it by.
    pub session_id: Option<String>,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// The role that comes nearest to capabilities: what pages go by. What is really allowed, capabilities say one by one.
#[must_use]
pub fn role_of(capabilities: &[Capability]) -> Role {
    if capabilities.contains(&Capability::ManageEndpoint) {
        Role::Manager
    } else if capabilities.contains(&Capability::CreateAttempts) {
        Role::Member
    } else {
        Role::Viewer
    }
}
