//! Sealing: what must not stand in the store's plain bytes (signing keys, header values, replayed answers).
//!
//! AES-256-GCM with a random nonce; the key is derived from the instance's encryption key with HKDF-SHA256
//! (RFC 5869), the column's name is the associated data, so that a sealed value cannot be moved to another place.

use crate::error::{Result, StoreError};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{hkdf, rand};

/// The format of sealed values: a first byte, so that a later key can stand beside this one.
const VERSION: u8 = 1;

/// What every store keeps sealed, so that another encryption key is noticed while nothing else is sealed.
pub(crate) const CHECK: &[u8] = b"posthaste";
/// What [`CHECK`] is bound to.
pub(crate) const CHECK_PLACE: &str = "seal_check.value";

/// Seals and opens values.
pub struct Sealer {
    key: LessSafeKey,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer(…)")
    }
}

/// Derives 32 bytes for one purpose from the instance's encryption key (HKDF-SHA256).
///
/// # Panics
/// Never: 32 bytes are within HKDF's range.
#[must_use]
pub fn derive(encryption_key: &[u8], purpose: &str) -> [u8; 32] {
    let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"posthaste");
    let prk = salt.extract(encryption_key);
    let info = [purpose.as_bytes()];
    let mut out = [0; 32];
    prk.expand(&info, hkdf::HKDF_SHA256).and_then(|okm| okm.fill(&mut out)).expect("32 bytes of HKDF");
    out
}

impl Sealer {
    /// A sealer under the instance's encryption key.
    ///
    /// # Panics
    /// Never: the derived key has AES-256's length.
    #[must_use]
    pub fn new(encryption_key: &[u8]) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, &derive(encryption_key, "seal")).expect("a key of 32 bytes");
        Self { key: LessSafeKey::new(key) }
    }

    /// Seals `plain` for the column `place`.
    ///
    /// # Errors
    /// `Broken` when the system gives no randomness.
    pub fn seal(&self, place: &str, plain: &[u8]) -> Result<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).map_err(|_| StoreError::Broken("the system gave no randomness".into()))?;
        let mut text = plain.to_vec();
        self.key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(place.as_bytes()),
                &mut text,
            )
            .map_err(|_| StoreError::Broken(format!("{place} could not be sealed")))?;
        Ok([&[VERSION], &nonce[..], &text].concat())
    }

    /// Opens what was sealed for `place`.
    ///
    /// # Errors
    /// `Broken` when it was sealed under another key or for another place, or was changed.
    pub fn open(&self, place: &str, sealed: &[u8]) -> Result<Vec<u8>> {
        let refuse = || {
            StoreError::Broken(format!(
                "{place} does not open: POSTHASTE_ENCRYPTION_KEY is not the key that it was sealed with"
            ))
        };
        let (head, text) = sealed.split_at_checked(1 + NONCE_LEN).ok_or_else(refuse)?;
        if head[0] != VERSION {
            return Err(refuse());
        }
        let nonce = Nonce::try_assume_unique_for_key(&head[1..]).map_err(|_| refuse())?;
        let mut text = text.to_vec();
        let plain =
            self.key.open_in_place(nonce, Aad::from(place.as_bytes()), &mut text).map_err(|_| refuse())?;
        Ok(plain.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_value_opens_only_under_its_key_at_its_place_and_unchanged() {
        let sealer = Sealer::new(b"key");
        let sealed = sealer.seal("endpoint.secrets", b"whsec_canary").unwrap();
        assert!(!sealed.windows(6).any(|w| w == b"canary"));
        assert_eq!(sealer.open("endpoint.secrets", &sealed).unwrap(), b"whsec_canary");
        assert!(sealer.open("endpoint.headers", &sealed).is_err());
        assert!(Sealer::new(b"other").open("endpoint.secrets", &sealed).is_err());
        let mut changed = sealed.clone();
        *changed.last_mut().unwrap() ^= 1;
        assert!(sealer.open("endpoint.secrets", &changed).is_err());
        assert!(sealer.open("endpoint.secrets", &[]).is_err());
    }
}
