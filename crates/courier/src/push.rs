//! Browser push: an encrypted message to the browser's push service (RFC 8030), which knows us by our key (VAPID, RFC 8292).

use crate::encryption::{Browser, PUBLIC_KEY_BYTES, encrypt};
use crate::letter::Letter;
use crate::{Refusal, judge};
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use domain::clock::Timestamp;
use domain::notify::Subscription;
use egress::{Client, Request};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::Instant;

/// How long a push service keeps a message for a browser that is not there, in seconds.
const TTL_SECONDS: &str = "86400";
/// How long our signature is good, in milliseconds; a day at most (RFC 8292, section 2).
const SIGNED_MS: i64 = 12 * 3_600_000;
/// There is no such subscription any more (RFC 8030, section 7.3).
const GONE: [u16; 2] = [404, 410];

/// Where a push goes: what is stored with its letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushTo {
    /// The subscription's id.
    pub id: String,
    /// The subscription.
    pub subscription: Subscription,
}

/// Our key, by which push services know us.
pub struct Vapid {
    key: EcdsaKeyPair,
    public: [u8; PUBLIC_KEY_BYTES],
    /// How push services reach who runs this: `https:` or `mailto:`.
    contact: String,
}

impl std::fmt::Debug for Vapid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vapid(…)")
    }
}

impl Vapid {
    /// The key whose private part these bytes are.
    ///
    /// # Panics
    /// When the bytes are no private key of P-256: zero, or not below its order. Of derived bytes one in 2³² is not.
    #[must_use]
    pub fn new(private: [u8; 32], contact: String) -> Self {
        let mut private = private;
        // The order begins with 32 ones: below it whatever the rest is.
        private[0] &= 0x7f;
        private[31] |= 1;
        let pair = PrivateKey::from_private_key(&ECDH_P256, &private).expect("between one and the order");
        let public = pair.compute_public_key().expect("every private key has one");
        let public: [u8; PUBLIC_KEY_BYTES] = public.as_ref().try_into().expect("an uncompressed point");
        let key = EcdsaKeyPair::from_private_key_and_public_key(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            &private,
            &public,
        );
        Self { key: key.expect("the same key"), public, contact }
    }

    /// The public part, which a browser is given when it subscribes (`applicationServerKey`), in base64url.
    #[must_use]
    pub fn public_key(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.public)
    }

    /// The header that says who we are to the push service of `origin` (RFC 8292, section 3).
    fn authorization(&self, origin: &str, now: Timestamp) -> Option<String> {
        let claims = json!({
            "aud": origin,
            "exp": now.plus_ms(SIGNED_MS).seconds(),
            "sub": self.contact,
        });
        let encode = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&json!({"typ": "JWT", "alg": "ES256"})), encode(&claims));
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).ok()?;
        let signature = URL_SAFE_NO_PAD.encode(signature);
        Some(format!("vapid t={signed}.{signature}, k={}", self.public_key()))
    }
}

pub(crate) async fn send(
    client: &Client,
    (vapid, now): (&Vapid, Timestamp),
    deadline: Instant,
    (to, letter): (&str, &Letter),
) -> Result<(), Refusal> {
    let never = |why: &dyn std::fmt::Display| Refusal::Never(why.to_string());
    let to: PushTo = serde_json::from_str(to).map_err(|error| never(&error))?;
    let Subscription { endpoint, p256dh, auth } = &to.subscription;
    let plain = letter.push().to_string();
    let body = encrypt(plain.as_bytes(), Browser { p256dh, auth }).map_err(|error| never(&error))?;
    let uri = egress::uri_of(endpoint.reveal()).map_err(|error| never(&error))?;
    let origin = url::Url::parse(endpoint.reveal()).map(|url| url.origin().ascii_serialization());
    let origin = origin.map_err(|error| never(&error))?;
    let authorization = vapid.authorization(&origin, now).ok_or_else(|| never(&"it could not be signed"))?;
    let authorization = HeaderValue::from_str(&authorization).map_err(|error| never(&error))?;
    let fixed = |text| HeaderValue::from_static(text);
    let headers = HeaderMap::from_iter([
        (header::AUTHORIZATION, authorization),
        (header::CONTENT_ENCODING, fixed("aes128gcm")),
        (header::CONTENT_TYPE, fixed("application/octet-stream")),
        (HeaderName::from_static("ttl"), fixed(TTL_SECONDS)),
        (HeaderName::from_static("urgency"), fixed("high")),
    ]);
    let request = Request { method: Method::POST, uri, headers, body: Bytes::from(body), deadline };
    judge(client.send(request, &|| true).await, &GONE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    #[test]
    fn every_private_key_signs_what_its_public_key_verifies() {
        for private in [[0; 32], [1; 32], [0xff; 32]] {
            let vapid = Vapid::new(private, "mailto:ops@example.com".into());
            let header = vapid.authorization("https://push.example", Timestamp(1_800_000_000_000)).unwrap();
            let (token, key) = header.strip_prefix("vapid t=").unwrap().split_once(", k=").unwrap();
            let (signed, signature) = token.rsplit_once('.').unwrap();
            let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, URL_SAFE_NO_PAD.decode(key).unwrap());
            key.verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
            let claims = URL_SAFE_NO_PAD.decode(signed.split_once('.').unwrap().1).unwrap();
            let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
            let expected =
                json!({"aud": "https://push.example", "exp": 1_800_043_200, "sub": "mailto:ops@example.com"});
            assert_eq!(claims, expected);
        }
    }
}
