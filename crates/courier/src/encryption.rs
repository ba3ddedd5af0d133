//! What only the browser reads: Message Encryption for Web Push (RFC 8291), in one record of `aes128gcm` (RFC 8188).

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::hkdf;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};

/// An uncompressed P-256 point.
pub const PUBLIC_KEY_BYTES: usize = 65;
/// A browser's authentication secret (RFC 8291, section 3.2).
const AUTH_BYTES: usize = 16;
const SALT_BYTES: usize = 16;
/// The size of records; ours is the only one (RFC 8188, section 2).
const RECORD_BYTES: u32 = 4096;
/// Ends the last record.
const LAST: u8 = 2;

/// A browser's keys that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unusable;

impl std::fmt::Display for Unusable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the browser's keys are not a P-256 point of 65 bytes and a secret of 16")
    }
}

impl std::error::Error for Unusable {}

/// A browser's keys, as its `PushSubscription` says.
#[derive(Clone, Copy)]
pub(crate) struct Browser<'a> {
    pub(crate) p256dh: &'a [u8],
    pub(crate) auth: &'a [u8],
}

/// Whether these keys can be used.
///
/// # Errors
/// [`Unusable`].
pub fn check_keys(p256dh: &[u8], auth: &[u8]) -> Result<(), Unusable> {
    encrypt(b"", Browser { p256dh, auth }).map(|_| ())
}

/// Encrypts `plain` for a browser, with a key and a salt of its own.
pub(crate) fn encrypt(plain: &[u8], browser: Browser<'_>) -> Result<Vec<u8>, Unusable> {
    let own = PrivateKey::generate(&ECDH_P256).map_err(|_| Unusable)?;
    let mut salt = [0; SALT_BYTES];
    SystemRandom::new().fill(&mut salt).map_err(|_| Unusable)?;
    encrypt_with(plain, browser, &own, salt)
}

fn encrypt_with(
    plain: &[u8],
    browser: Browser<'_>,
    own: &PrivateKey,
    salt: [u8; SALT_BYTES],
) -> Result<Vec<u8>, Unusable> {
    let Browser { p256dh, auth } = browser;
    if p256dh.len() != PUBLIC_KEY_BYTES || auth.len() != AUTH_BYTES {
        return Err(Unusable);
    }
    let own_public = own.compute_public_key().map_err(|_| Unusable)?;
    let own_public = own_public.as_ref();
    let theirs = UnparsedPublicKey::new(&ECDH_P256, p256dh);
    // RFC 8291, section 3.4.
    let shared = agree(own, theirs, Unusable, |shared| Ok(shared.to_vec()))?;
    let info = [b"WebPush: info\0".as_slice(), p256dh, own_public];
    let keying: [u8; 32] = derive(auth, &shared, &info)?;
    let key: [u8; 16] = derive(&salt, &keying, &[b"Content-Encoding: aes128gcm\0"])?;
    let nonce: [u8; 12] = derive(&salt, &keying, &[b"Content-Encoding: nonce\0"])?;
    let mut sealed = [plain, &[LAST]].concat();
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key).map_err(|_| Unusable)?);
    let nonce = Nonce::assume_unique_for_key(nonce);
    key.seal_in_place_append_tag(nonce, Aad::empty(), &mut sealed).map_err(|_| Unusable)?;
    let key_id_bytes = [PUBLIC_KEY_BYTES as u8];
    Ok([&salt, &RECORD_BYTES.to_be_bytes()[..], &key_id_bytes, own_public, &sealed].concat())
}

/// HKDF with SHA-256 (RFC 5869).
fn derive<const N: usize>(salt: &[u8], secret: &[u8], info: &[&[u8]]) -> Result<[u8; N], Unusable> {
    struct Length(usize);
    impl hkdf::KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(secret);
    let mut out = [0; N];
    prk.expand(info, Length(N)).and_then(|okm| okm.fill(&mut out)).map_err(|_| Unusable)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    fn bytes(text: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(text).unwrap()
    }

    /// RFC 8291, appendix A.
    #[test]
    fn the_example_of_the_standard_comes_out_as_it_stands_there() {
        let browser = Browser {
            p256dh: &bytes(
                "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
            ),
            auth: &bytes("BTBZMqHH6r4Tts7J_aSIgg"),
        };
        let own = bytes("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw");
        let own = PrivateKey::from_private_key(&ECDH_P256, &own).unwrap();
        let salt: [u8; 16] = bytes("DGv6ra1nlYgDCS1FRnbzlw").try_into().unwrap();
        let plain = b"When I grow up, I want to be a watermelon";
        let sealed = encrypt_with(plain, browser, &own, salt).unwrap();
        let expected = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6Tlz\
                        AC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN";
        assert_eq!(URL_SAFE_NO_PAD.encode(sealed), expected);
    }

    #[test]
    fn keys_that_are_none_are_noticed() {
        let good =
            bytes("BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4");
        assert_eq!(check_keys(&good, &[1; 16]), Ok(()));
        assert_eq!(check_keys(&good, &[1; 15]), Err(Unusable));
        assert_eq!(check_keys(&good[1..], &[1; 16]), Err(Unusable));
        assert_eq!(check_keys(&[4; 65], &[1; 16]), Err(Unusable));
    }
}
