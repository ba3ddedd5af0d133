//! A browser that is told by push: its keys, and what it reads of what its push service got (RFC 8291, RFC 8292).

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{self, ECDSA_P256_SHA256_FIXED};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use testkit::Received;

/// A browser.
pub(crate) struct Browser {
    key: PrivateKey,
    auth: [u8; 16],
}

impl Browser {
    pub(crate) fn new() -> Self {
        Self { key: PrivateKey::generate(&ECDH_P256).expect("a key"), auth: [9; 16] }
    }

    fn public(&self) -> Vec<u8> {
        self.key.compute_public_key().expect("a public key").as_ref().to_vec()
    }

    /// What `PushSubscription.toJSON` gives.
    pub(crate) fn subscription(&self, endpoint: &str) -> Value {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({
            "endpoint": endpoint,
            "expirationTime": null,
            "keys": {"p256dh": encode(&self.public()), "auth": encode(&self.auth)},
        })
    }

    /// What a push says; panics unless it was made for this browser by who has the key `known` (in base64url).
    pub(crate) fn read(&self, push: &Received, (known, audience): (&str, &str)) -> Value {
        verify(push.header("authorization"), known, audience);
        assert_eq!(push.header("content-encoding"), "aes128gcm");
        let body = &push.body[..];
        let (salt, rest) = body.split_at(16);
        let (size, rest) = rest.split_at(4);
        assert!(body.len() <= u32::from_be_bytes(size.try_into().expect("four bytes")) as usize);
        let (theirs, sealed) = rest[1..].split_at(usize::from(rest[0]));
        let shared = UnparsedPublicKey::new(&ECDH_P256, theirs);
        let shared = agree(&self.key, shared, (), |shared| Ok(shared.to_vec())).expect("a shared secret");
        let info = [b"WebPush: info\0", &*self.public(), theirs].concat();
        let keying = derive(&self.auth, &shared, &info);
        let key = &derive(salt, &keying, b"Content-Encoding: aes128gcm\0")[..16];
        let nonce = &derive(salt, &keying, b"Content-Encoding: nonce\0")[..12];
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, key).expect("a key"));
        let mut plain = sealed.to_vec();
        let nonce = Nonce::try_assume_unique_for_key(nonce).expect("twelve bytes");
        let plain = key.open_in_place(nonce, Aad::empty(), &mut plain).expect("a push for this browser");
        let end = plain.iter().rposition(|byte| *byte == 2).expect("the end of the last record");
        serde_json::from_slice(&plain[..end]).expect("JSON")
    }
}

/// One block of HKDF with SHA-256 (RFC 5869), written out.
fn derive(salt: &[u8], secret: &[u8], info: &[u8]) -> Vec<u8> {
    let prk = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, salt), secret);
    let block = [info, &[1]].concat();
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, prk.as_ref()), &block).as_ref().to_vec()
}

fn verify(header: &str, known: &str, audience: &str) {
    let (token, key) =
        header.strip_prefix("vapid t=").and_then(|rest| rest.split_once(", k=")).expect("VAPID");
    assert_eq!(key, known, "the key that the browser was given");
    let (signed, proof) = token.rsplit_once('.').expect("a token");
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).expect("base64url");
    let key = signature::UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, decode(key));
    key.verify(signed.as_bytes(), &decode(proof)).expect("a good signature");
    let claims: Value =
        serde_json::from_slice(&decode(signed.split_once('.').expect("claims").1)).expect("JSON");
    assert_eq!(claims["aud"], audience);
    assert!(claims["sub"].as_str().is_some_and(|contact| contact.starts_with("mailto:")), "{claims}");
}
