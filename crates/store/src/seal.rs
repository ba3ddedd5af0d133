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
/// What the key of the wire ids is bound to.
pub(crate) const IDS_PLACE: &str = "seal_check.ids";

/// Seals values under one key, and opens those that were sealed under it or under an old one.
pub struct Sealer {
    /// The current one first, each with the key of the wire ids that is made of it.
    keys: Vec<(LessSafeKey, [u8; 32])>,
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
    /// A sealer under the instance's encryption key, which opens also what was sealed under `old` ones, newest first.
    ///
    /// # Panics
    /// Never: the derived key has AES-256's length.
    #[must_use]
    pub fn new(encryption_key: &[u8], old: &[Vec<u8>]) -> Self {
        let all = || std::iter::once(encryption_key).chain(old.iter().map(Vec::as_slice));
        let ready = |key: &[u8]| {
            let key = UnboundKey::new(&AES_256_GCM, &derive(key, "seal")).expect("a key of 32 bytes");
            LessSafeKey::new(key)
        };
        Self { keys: all().map(|key| (ready(key), derive(key, "wire ids"))).collect() }
    }

    /// The key of the wire ids for a store that keeps none yet: made of the encryption key that its check is sealed with, or of the
    /// current one where it has no check.
    pub(crate) fn first_wire_id_key(&self, check: Option<&[u8]>) -> [u8; 32] {
        let with = check.and_then(|sealed| self.opened(CHECK_PLACE, sealed)).map(|(index, _)| index);
        self.keys[with.unwrap_or(0)].1
    }

    /// Opens the key of the wire ids.
    pub(crate) fn open_ids(&self, sealed: &[u8]) -> Result<[u8; 32]> {
        let plain = self.open(IDS_PLACE, sealed)?;
        plain.try_into().map_err(|_| StoreError::Broken("the key of the wire ids has another length".into()))
    }

    /// The same value under the current key; none when it is under that already.
    ///
    /// # Errors
    /// As [`Sealer::open`].
    pub(crate) fn reseal(&self, place: &str, sealed: &[u8]) -> Result<Option<Vec<u8>>> {
        match self.opened(place, sealed) {
            Some((0, _)) => Ok(None),
            Some((_, plain)) => self.seal(place, &plain).map(Some),
            None => self.open(place, sealed).map(Some),
        }
    }

    /// Seals `plain` for the column `place`.
    ///
    /// # Errors
    /// `Broken` when the system gives no randomness.
    pub fn seal(&self, place: &str, plain: &[u8]) -> Result<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).map_err(|_| StoreError::Broken("the system gave no randomness".into()))?;
        let mut text = plain.to_vec();
        self.keys[0]
            .0
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
        self.opened(place, sealed).map(|(_, plain)| plain).ok_or_else(|| {
            StoreError::Broken(format!(
                "{place} does not open: POSTHASTE_ENCRYPTION_KEY is not the key that it was sealed with"
            ))
        })
    }

    /// What is sealed, and under which of the keys.
    fn opened(&self, place: &str, sealed: &[u8]) -> Option<(usize, Vec<u8>)> {
        let (head, text) = sealed.split_at_checked(1 + NONCE_LEN)?;
        if head[0] != VERSION {
            return None;
        }
        self.keys.iter().enumerate().find_map(|(index, (key, _))| {
            let nonce = Nonce::try_assume_unique_for_key(&head[1..]).ok()?;
            let mut text = text.to_vec();
            let plain = key.open_in_place(nonce, Aad::from(place.as_bytes()), &mut text).ok()?;
            Some((index, plain.to_vec()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_value_opens_only_under_its_key_at_its_place_and_unchanged() {
        let sealer = Sealer::new(b"key", &[]);
        let sealed = sealer.seal("endpoint.secrets", b"whsec_canary").unwrap();
        assert!(!sealed.windows(6).any(|w| w == b"canary"));
        assert_eq!(sealer.open("endpoint.secrets", &sealed).unwrap(), b"whsec_canary");
        assert!(sealer.open("endpoint.headers", &sealed).is_err());
        assert!(Sealer::new(b"other", &[]).open("endpoint.secrets", &sealed).is_err());
        let rotated = Sealer::new(b"new", &[b"key".to_vec()]);
        assert_eq!(rotated.open("endpoint.secrets", &sealed).unwrap(), b"whsec_canary");
        let anew = rotated.reseal("endpoint.secrets", &sealed).unwrap().unwrap();
        assert_eq!(rotated.reseal("endpoint.secrets", &anew).unwrap(), None);
        assert_eq!(Sealer::new(b"new", &[]).open("endpoint.secrets", &anew).unwrap(), b"whsec_canary");
        let check = sealer.seal(CHECK_PLACE, CHECK).unwrap();
        let ids = sealer.first_wire_id_key(Some(&check));
        assert_eq!(ids, sealer.first_wire_id_key(None));
        assert_eq!(rotated.first_wire_id_key(Some(&check)), ids);
        // A node that can open already what others will seal: its old one is a key to come.
        assert_eq!(Sealer::new(b"key", &[b"new".to_vec()]).first_wire_id_key(Some(&check)), ids);
        let mut changed = sealed.clone();
        *changed.last_mut().unwrap() ^= 1;
        assert!(sealer.open("endpoint.secrets", &changed).is_err());
        assert!(sealer.open("endpoint.secrets", &[]).is_err());
    }
}
