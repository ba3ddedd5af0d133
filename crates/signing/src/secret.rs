//! A signing secret and its text forms.
//!
//! | text | what it is |
//! |---|---|
//! | `whsec_` + base64 of 24–64 bytes | a symmetric key; the prefix may be missing |
//! | `whsk_` or `whsk1_` + base64 of 32 or 64 bytes | an Ed25519 private key: the seed, or the seed and its public key |
//! | `whpk_` + base64 of 32 bytes | an Ed25519 public key: shown, never taken |
//!
//! A secret leaves this type in two ways only: [`Secret::export`] for sealing at rest, and [`Secret::reveal`] for the
//! person who may read it. `Debug` and the errors never show any of it.

use std::fmt;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::{Engine, prelude::BASE64_STANDARD};

use crate::Signer;

/// The shortest symmetric key taken, in bytes (Standard Webhooks: "at least 24 bytes").
pub const SYMMETRIC_BYTES_MIN: usize = 24;
/// The longest symmetric key taken, in bytes (Standard Webhooks: at most 512 bits).
pub const SYMMETRIC_BYTES_MAX: usize = 64;

/// How long a generated symmetric key is: as long as the hash, more adds nothing (RFC 2104, section 3).
const GENERATED_BYTES: usize = 32;
/// An Ed25519 seed, and likewise its public key (RFC 8032, section 5.1.5).
const ED25519_BYTES: usize = 32;

const SYMMETRIC_PREFIX: &str = "whsec_";
const PRIVATE_PREFIX: &str = "whsk_";
const PRIVATE_PREFIX_VERSIONED: &str = "whsk1_";
const PUBLIC_PREFIX: &str = "whpk_";

/// The key that signs one endpoint's messages.
#[derive(Clone)]
pub struct Secret(Kind);

#[derive(Clone)]
enum Kind {
    Symmetric(Vec<u8>),
    Ed25519 { seed: [u8; ED25519_BYTES], pair: Ed25519KeyPair },
}

/// Why a text is not a signing secret. The text itself is never repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// A `whpk_…` key was given: it checks signatures and cannot make them.
    #[error(
        "this is a public key (whpk_…), which can check signatures but not make them; \
         give the private key (whsk_…) or a shared secret (whsec_…)"
    )]
    PublicKey,
    /// What follows the prefix is not standard base64 with padding (RFC 4648, section 4).
    #[error("a secret is written as whsec_ (or whsk_) followed by base64, and this is not base64")]
    NotBase64,
    /// A symmetric key of a length outside of [`SYMMETRIC_BYTES_MIN`]..=[`SYMMETRIC_BYTES_MAX`].
    #[error("a secret has {SYMMETRIC_BYTES_MIN} to {SYMMETRIC_BYTES_MAX} bytes, and this one has {bytes}")]
    Length {
        /// How many bytes the base64 held.
        bytes: usize,
    },
    /// An Ed25519 private key that is neither a seed nor a seed with its public key.
    #[error("an ed25519 key (whsk_…) has 32 bytes, or 64 with its public key, and this one has {bytes}")]
    KeyLength {
        /// How many bytes the base64 held.
        bytes: usize,
    },
    /// The public half of an Ed25519 private key does not belong to its seed.
    #[error("the two halves of this ed25519 key (whsk_…) do not belong together")]
    KeyMismatch,
}

impl Secret {
    /// Reads any private text form (the table at the top of this file).
    ///
    /// # Errors
    /// [`SecretError`], which says what is wrong without repeating the text.
    pub fn parse(text: &str) -> Result<Secret, SecretError> {
        if text.starts_with(PUBLIC_PREFIX) {
            return Err(SecretError::PublicKey);
        }
        let private =
            text.strip_prefix(PRIVATE_PREFIX).or_else(|| text.strip_prefix(PRIVATE_PREFIX_VERSIONED));
        if let Some(encoded) = private {
            return from_private_key(&decode(encoded)?);
        }
        let key = decode(text.strip_prefix(SYMMETRIC_PREFIX).unwrap_or(text))?;
        if (SYMMETRIC_BYTES_MIN..=SYMMETRIC_BYTES_MAX).contains(&key.len()) {
            Ok(Secret(Kind::Symmetric(key)))
        } else {
            Err(SecretError::Length { bytes: key.len() })
        }
    }

    /// A new symmetric secret (`whsec_…`) of 32 bytes. `random` must fill the whole slice from a secure source.
    pub fn generate(random: &mut dyn FnMut(&mut [u8])) -> Secret {
        let mut key = vec![0; GENERATED_BYTES];
        random(&mut key);
        Secret(Kind::Symmetric(key))
    }

    /// A new Ed25519 key (`whsk_…`). `random` must fill the whole slice from a secure source.
    pub fn generate_ed25519(random: &mut dyn FnMut(&mut [u8])) -> Secret {
        let mut seed = [0; ED25519_BYTES];
        random(&mut seed);
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).expect("any 32 bytes are an Ed25519 seed");
        Secret(Kind::Ed25519 { seed, pair })
    }

    /// The whole private form, which [`Secret::parse`] reads back: `whsec_…`, or `whsk_…` with seed and public key.
    /// For sealing at rest, never for showing.
    pub fn export(&self) -> String {
        match &self.0 {
            Kind::Symmetric(key) => prefixed(SYMMETRIC_PREFIX, key),
            Kind::Ed25519 { seed, pair } => {
                prefixed(PRIVATE_PREFIX, &[seed.as_slice(), pair.public_key().as_ref()].concat())
            }
        }
    }

    /// What the receiver needs to check signatures, and so what the API shows: the shared `whsec_…`, or the public
    /// `whpk_…` of an Ed25519 key.
    pub fn reveal(&self) -> String {
        match &self.0 {
            Kind::Symmetric(key) => prefixed(SYMMETRIC_PREFIX, key),
            Kind::Ed25519 { pair, .. } => prefixed(PUBLIC_PREFIX, pair.public_key().as_ref()),
        }
    }

    /// The prepared key. Make it once and keep it: this is where the HMAC key schedule is computed.
    pub fn signer(&self) -> Signer {
        match &self.0 {
            Kind::Symmetric(key) => Signer::hmac(key),
            Kind::Ed25519 { pair, .. } => Signer::ed25519(pair.clone()),
        }
    }

    /// The Ed25519 public key, or `None` for a symmetric secret.
    pub(crate) fn public_key(&self) -> Option<&[u8]> {
        match &self.0 {
            Kind::Symmetric(_) => None,
            Kind::Ed25519 { pair, .. } => Some(pair.public_key().as_ref()),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

/// The decoder's own error names a byte and its place, so it is dropped.
fn decode(encoded: &str) -> Result<Vec<u8>, SecretError> {
    BASE64_STANDARD.decode(encoded).map_err(|_| SecretError::NotBase64)
}

fn prefixed(prefix: &str, bytes: &[u8]) -> String {
    let mut text = String::from(prefix);
    BASE64_STANDARD.encode_string(bytes, &mut text);
    text
}

fn from_private_key(key: &[u8]) -> Result<Secret, SecretError> {
    let wrong_length = SecretError::KeyLength { bytes: key.len() };
    let Some((seed, public)) = key.split_first_chunk::<ED25519_BYTES>() else {
        return Err(wrong_length);
    };
    let pair = match public.len() {
        0 => Ed25519KeyPair::from_seed_unchecked(seed),
        ED25519_BYTES => Ed25519KeyPair::from_seed_and_public_key(seed, public),
        _ => return Err(wrong_length),
    }
    .map_err(|_| SecretError::KeyMismatch)?;
    Ok(Secret(Kind::Ed25519 { seed: *seed, pair }))
}

#[cfg(test)]
#[path = "secret_tests.rs"]
mod tests;
