//! An environment: an isolated set of applications, event types and uids (wire id `org_…`).

use crate::clock::Timestamp;
use crate::id::EnvironmentKey;
use serde::{Deserialize, Serialize};

/// Which names the three headers of a delivery carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SignatureHeaders {
    /// `webhook-id`, `webhook-timestamp`, `webhook-signature`: Standard Webhooks.
    #[default]
    Webhook,
    /// `svix-id`, `svix-timestamp`, `svix-signature`: what receivers of a product that moves here verify today.
    Svix,
    /// Both sets.
    Both,
}

impl SignatureHeaders {
    /// Reads the setting's words.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "webhook" => Some(Self::Webhook),
            "svix" => Some(Self::Svix),
            "both" => Some(Self::Both),
            _ => None,
        }
    }

    /// The prefixes to send.
    #[must_use]
    pub const fn prefixes(self) -> &'static [&'static str] {
        match self {
            Self::Webhook => &["webhook"],
            Self::Svix => &["svix"],
            Self::Both => &["webhook", "svix"],
        }
    }
}

/// An environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// The small key.
    pub key: EnvironmentKey,
    /// The wire id, `org_…`, as it came in a token.
    pub id: String,
    /// Which signature headers its deliveries carry.
    pub signature_headers: SignatureHeaders,
    /// When it was first seen.
    pub created_at: Timestamp,
}
