//! How an endpoint's requests are signed: the standard's headers, and the headers that a product's customers verify
//! already. Several can stand beside each other.

use crate::clock::Timestamp;
use crate::confidential::Confidential;
use crate::header;
use crate::limit::{OLD_SECRETS_MAX, SIGNATURE_PREFIX_BYTES_MAX, SIGNATURES_MAX, SIGNING_KEY_CHARS_MAX};
use crate::word::worded;
use crate::wrong::Found;
use serde::{Deserialize, Serialize};

/// The header of an `hmac` signature unless told otherwise.
pub const HMAC_HEADER: &str = "X-Signature";
/// Stands in a prefix for the time that is signed, in seconds since 1970.
pub const TIMESTAMP_PLACE: &str = "{timestamp}";

worded!(
    /// The hash of an HMAC.
    Algorithm {
        /// SHA-256.
        Sha256 = "sha256",
        /// SHA-512.
        Sha512 = "sha512",
        /// SHA-1, for receivers that know nothing else.
        Sha1 = "sha1",
    }
);

worded!(
    /// How a signature's bytes are written.
    Digits {
        /// Lower-case hexadecimal.
        Hex = "hex",
        /// Base64 with padding.
        Base64 = "base64",
    }
);

worded!(
    /// What is signed.
    Signs {
        /// The body's bytes.
        Body = "body",
        /// The time in seconds, a dot, and the body's bytes.
        TimestampBody = "timestamp.body",
    }
);

/// One signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Signature {
    /// Standard Webhooks with the endpoint's secret.
    Standard,
    /// Standard Webhooks with an Ed25519 key of its own (`v1a`).
    StandardEd25519 {
        /// Current key first (`whsk_…`), then those that still sign.
        keys: Vec<SigningKey>,
    },
    /// An HMAC in a header of its own.
    Hmac(Hmac),
}

/// An HMAC in a header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hmac {
    /// Current key first, then those that still sign; each as its literal bytes.
    pub keys: Vec<SigningKey>,
    /// The header.
    pub header: String,
    /// The hash.
    pub algorithm: Algorithm,
    /// How it is written.
    pub encoding: Digits,
    /// What stands before it; `{timestamp}` in it becomes the time that is signed.
    pub prefix: String,
    /// What is signed.
    pub signs: Signs,
}

/// A key of a signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningKey {
    /// The key.
    pub key: Confidential,
    /// When it stops signing, in milliseconds since 1970; none for the current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
}

/// What customers of well-known products verify already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preset {
    /// The word that a client gives.
    pub word: &'static str,
    /// The header.
    pub header: &'static str,
    /// What stands before the signature.
    pub prefix: &'static str,
    /// How it is written.
    pub encoding: Digits,
    /// What is signed.
    pub signs: Signs,
}

/// The presets; all of them are HMAC-SHA256.
pub const PRESETS: [Preset; 4] = [
    Preset {
        word: "x-signature",
        header: HMAC_HEADER,
        prefix: "",
        encoding: Digits::Hex,
        signs: Signs::Body,
    },
    Preset {
        word: "x-hub-signature-256",
        header: "X-Hub-Signature-256",
        prefix: "sha256=",
        encoding: Digits::Hex,
        signs: Signs::Body,
    },
    Preset {
        word: "timestamped",
        header: HMAC_HEADER,
        prefix: "t={timestamp},v1=",
        encoding: Digits::Hex,
        signs: Signs::TimestampBody,
    },
    Preset { word: "base64", header: HMAC_HEADER, prefix: "", encoding: Digits::Base64, signs: Signs::Body },
];

impl Signature {
    /// The keys, where it has some of its own.
    pub fn keys_mut(&mut self) -> Option<&mut Vec<SigningKey>> {
        match self {
            Self::Standard => None,
            Self::StandardEd25519 { keys } => Some(keys),
            Self::Hmac(hmac) => Some(&mut hmac.keys),
        }
    }

    /// What tells it from the others of its endpoint: only one of each may be.
    #[must_use]
    pub fn place(&self) -> String {
        match self {
            Self::Standard => "standard".to_owned(),
            Self::StandardEd25519 { .. } => "standard-ed25519".to_owned(),
            Self::Hmac(hmac) => hmac.header.to_ascii_lowercase(),
        }
    }

    /// Makes `fresh` the current key; the one before goes on signing until `overlap_ends`. Answers false when it has no keys
    /// of its own, or when too many old ones still sign.
    pub fn rotate(&mut self, fresh: Confidential, overlap_ends: Timestamp, now: Timestamp) -> bool {
        let Some(keys) = self.keys_mut() else { return false };
        keys.iter_mut()
            .filter(|key| key.expires_at.is_none())
            .for_each(|key| key.expires_at = Some(overlap_ends.0));
        keys.retain(|key| key.expires_at.is_some_and(|end| end > now.0));
        if keys.len() > OLD_SECRETS_MAX {
            return false;
        }
        keys.insert(0, SigningKey { key: fresh, expires_at: None });
        true
    }

    fn check(&self, found: &mut Found<'_>) {
        match self {
            Self::Standard => {}
            Self::StandardEd25519 { keys } => {
                for key in keys {
                    match signing::Secret::parse(key.key.reveal()) {
                        Ok(secret) if secret.reveal().starts_with("whpk_") => {}
                        _ => found.wrong("key", "must be an Ed25519 key, `whsk_` and base64 of its 64 bytes"),
                    }
                }
            }
            Self::Hmac(hmac) => hmac.check(found),
        }
    }
}

impl Hmac {
    fn check(&self, found: &mut Found<'_>) {
        found.check("header", header::check_one(&self.header, ""));
        for key in &self.keys {
            let chars = key.key.reveal().chars().count();
            if !(1..=SIGNING_KEY_CHARS_MAX).contains(&chars) {
                found.wrong(
                    "key",
                    format!("must have 1 to {SIGNING_KEY_CHARS_MAX} characters (signing_key_chars_max)"),
                );
            }
        }
        let fits = self.prefix.len() <= SIGNATURE_PREFIX_BYTES_MAX
            && self.prefix.bytes().all(|byte| (0x20..0x7f).contains(&byte));
        if !fits {
            found.wrong("prefix", format!(
                "must have at most {SIGNATURE_PREFIX_BYTES_MAX} visible ASCII characters (signature_prefix_bytes_max)"
            ));
        }
    }
}

/// Notes what is wrong with an endpoint's signatures.
pub fn check(signatures: &[Signature], found: &mut Found<'_>) {
    if signatures.len() > SIGNATURES_MAX {
        found.add(format!("has {} signatures: at most {SIGNATURES_MAX} (signatures_max)", signatures.len()));
    }
    for (index, signature) in signatures.iter().enumerate() {
        signature.check(&mut found.item(index));
        let place = signature.place();
        if signatures[..index].iter().any(|other| other.place() == place) {
            found
                .item(index)
                .add(format!("`{place}` is there twice: each header can carry one kind of signature"));
        }
    }
}
