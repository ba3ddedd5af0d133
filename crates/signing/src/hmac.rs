//! An HMAC over whatever a receiver verifies already: `X-Signature` and its kin.

use std::{fmt, sync::Arc};

use aws_lc_rs::hmac;

/// The hash of an HMAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
    /// SHA-1, for receivers that know nothing else.
    Sha1,
}

/// A key ready to sign, used as its literal bytes. Clones share it.
#[derive(Clone)]
pub struct HmacKey(Arc<hmac::Context>);

impl HmacKey {
    /// Takes a key in.
    pub fn new(hash: Hash, key: &[u8]) -> HmacKey {
        let algorithm = match hash {
            Hash::Sha256 => hmac::HMAC_SHA256,
            Hash::Sha512 => hmac::HMAC_SHA512,
            Hash::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        };
        HmacKey(Arc::new(hmac::Context::with_key(&hmac::Key::new(algorithm, key))))
    }

    /// The code of these parts, one after the other.
    pub fn sign(&self, parts: &[&[u8]]) -> Vec<u8> {
        // The key is already absorbed: a signature starts from a copy.
        let mut context = hmac::Context::clone(&self.0);
        parts.iter().for_each(|part| context.update(part));
        context.sign().as_ref().to_vec()
    }
}

impl fmt::Debug for HmacKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("HmacKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 2202 and RFC 4231, test case 2 of each.
    #[test]
    fn it_makes_the_codes_of_the_rfcs() {
        let code = |hash| {
            let code = HmacKey::new(hash, b"Jefe").sign(&[b"what do ya want ", b"for nothing?"]);
            code.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        assert_eq!(code(Hash::Sha1), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
        assert_eq!(code(Hash::Sha256), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        assert!(
            code(Hash::Sha512)
                .starts_with("164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554")
        );
    }
}
