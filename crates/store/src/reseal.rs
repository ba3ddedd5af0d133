//! Contract: everything sealed, sealed anew under the current key. What is sealed, and where, stands here once.

use crate::endpoint::{CREDENTIALS_PLACE, HEADERS_PLACE, SECRETS_PLACE};
use crate::error::Result;
use crate::idempotency::REPLAY_PLACE;
use crate::message::OVERRIDES_PLACE;
use crate::notice::LETTER_PLACE;
use crate::notify::{NOTIFY_PLACE, SUBSCRIPTION_PLACE};
use crate::seal::{CHECK_PLACE, IDS_PLACE};
use crate::user::TOTP_PLACE;
use async_trait::async_trait;

/// A sealed column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sealed {
    pub(crate) table: &'static str,
    /// The column that tells its rows apart.
    pub(crate) key: &'static str,
    pub(crate) column: &'static str,
    /// What it is bound to.
    pub(crate) place: &'static str,
}

/// All of them. The check is the last one: a rotation that was cut short is seen by it.
pub(crate) const SEALED: [Sealed; 11] = [
    Sealed { table: "endpoint", key: "key", column: "sealed_headers", place: HEADERS_PLACE },
    Sealed { table: "endpoint", key: "key", column: "sealed_secrets", place: SECRETS_PLACE },
    Sealed { table: "endpoint", key: "key", column: "sealed_credentials", place: CREDENTIALS_PLACE },
    Sealed { table: "message", key: "id", column: "sealed_overrides", place: OVERRIDES_PLACE },
    Sealed { table: "replay", key: "hash", column: "sealed_body", place: REPLAY_PLACE },
    Sealed { table: "letter", key: "key", column: "sealed_to", place: LETTER_PLACE },
    Sealed { table: "notify", key: "application", column: "sealed_value", place: NOTIFY_PLACE },
    Sealed { table: "push_subscription", key: "key", column: "sealed_value", place: SUBSCRIPTION_PLACE },
    Sealed { table: "users", key: "key", column: "sealed_totp", place: TOTP_PLACE },
    Sealed { table: "seal_check", key: SEAL_CHECK_KEY, column: "sealed_ids", place: IDS_PLACE },
    Sealed { table: "seal_check", key: SEAL_CHECK_KEY, column: "sealed_value", place: CHECK_PLACE },
];

/// Stands for the key of a table with one row.
pub(crate) const SEAL_CHECK_KEY: &str = "";

/// Rows of one step.
pub(crate) const STEP: i64 = 2_000;

/// What the store does when the encryption key is replaced.
#[async_trait]
pub trait Reseal: Send + Sync {
    /// Seals everything under the current key that still is under an old one; answers how many values. It can be cut short
    /// and done again.
    async fn reseal(&self) -> Result<u64>;
    /// The key of the wire ids: made from the encryption key that the store had first, and kept when that is replaced.
    fn wire_id_key(&self) -> [u8; 32];
}
