//! Who may do what.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A role, on a whole environment or on one application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads.
    Viewer,
    /// Reads, tests and replays.
    Member,
    /// Everything about webhooks, secrets included.
    Manager,
    /// Everything.
    Administrator,
}

impl Role {
    /// All roles, from the least to the most.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Member, Self::Manager, Self::Administrator];

    /// The word for this role in the API, in SQL and on the command line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Member => "member",
            Self::Manager => "manager",
            Self::Administrator => "administrator",
        }
    }

    /// The role that `word` means.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.word() == word)
    }

    /// May create, change and delete webhooks, and see secrets.
    #[must_use]
    pub fn manages(self) -> bool {
        self >= Self::Manager
    }

    /// May send messages, test and replay.
    #[must_use]
    pub fn sends(self) -> bool {
        self >= Self::Member
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
