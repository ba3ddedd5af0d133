//! An environment: an isolated set of applications, event types and uids (wire id `org_…`).

use crate::clock::Timestamp;
use crate::id::EnvironmentKey;
use crate::retry::RetryPolicy;
use crate::word::worded;
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

    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Svix => "svix",
            Self::Both => "both",
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

worded!(
    /// What becomes of messages whose payload does not fit the schema of their event type.
    SchemaValidation {
        /// Nobody looks.
        Off = "off",
        /// They are accepted, and the answer and the log say so.
        Warn = "warn",
        /// They are refused.
        Enforce = "enforce",
    }
);

/// What an environment can be told. Stored as JSON: what is at its default is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EnvironmentSettings {
    /// Whether payloads are checked.
    #[serde(skip_serializing_if = "is_off")]
    pub schema_validation: SchemaValidation,
    /// Retries of its endpoints that say nothing themselves.
    #[serde(flatten)]
    pub retries: RetryPolicy,
}

fn is_off(validation: &SchemaValidation) -> bool {
    *validation == SchemaValidation::Off
}

/// The environment of whoever names none: the same on every instance.
pub const ENVIRONMENT_DEFAULT: &str = "org_00000000000000000000default";

/// An environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// The small key.
    pub key: EnvironmentKey,
    /// The wire id, `org_…`, as it came in a token.
    pub id: String,
    /// Which signature headers its deliveries carry.
    pub signature_headers: SignatureHeaders,
    /// What it was told besides.
    pub settings: EnvironmentSettings,
    /// When it was first seen.
    pub created_at: Timestamp,
}
